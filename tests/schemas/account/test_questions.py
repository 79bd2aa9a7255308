"""The eight questions, each answered from spans alone."""

import pytest
from account_rows import MS, a_model, a_root, a_span, a_tool, an_answer, answers, requests, tell

from tachograph_schemas import names


def test_trigger_says_who_started_what_for_whom_with_which_code():
    account = tell(
        customer="Acme", user_id="ann", session_id="s-1", code_version="abc123", tags=["vip"]
    )
    said = "\n".join(answers(account, "trigger"))
    assert "Started from the command line, in app:main" in said
    assert "The task: “Settle the ticket”" in said
    assert "On behalf of customer Acme, user ann and session s-1" in said
    assert "The agent helper version 1.0, code abc123" in said
    assert "Started at 2026-11-20 09:00:00 UTC" in said
    assert "Tagged vip" in said


def test_trigger_finds_the_task_of_a_foreign_run_in_its_first_user_message():
    asked = '[{"role":"system","parts":[{"type":"text","content":"Be kind"}]},{"role":"user","parts":[{"type":"text","content":"Weather in Paris?"}]}]'
    account = tell(
        a_model("m", 1, an_answer("Sunny"), input_text=asked, ours=False), goal="", trigger=""
    )
    assert "The task: “Weather in Paris?”" in answers(account, "trigger")
    assert "What started it is not recorded, in app:main" in answers(account, "trigger")
    assert account.title == "Weather in Paris?"


def test_trigger_does_not_repeat_the_task_among_the_arguments():
    account = tell(goal="Pay it", input='{"task": "Pay it", "limit_usd": 50}')
    assert "It was given limit_usd=50" in answers(account, "trigger")


def test_read_names_the_call_with_its_arguments_and_result():
    account = tell(
        a_tool("t", 1, "lookup_order", {"order_id": "A-1007"}, output_text='{"status": "sent"}')
    )
    line = account.section("read").lines[0]
    assert line.text == "Through lookup_order(order_id='A-1007')"
    assert line.detail == 'Result: {"status": "sent"}'
    assert line.span_id == "t"


def test_read_says_that_a_call_failed_before_it_answered():
    account = tell(
        a_tool("t1", 1, "lookup_order", {"order_id": 7}, error="TimeoutError"),
        a_tool("t2", 50, "lookup_order", {"order_id": 7}),
    )
    assert answers(account, "read") == [
        "Through lookup_order(order_id=7): failed once (TimeoutError), then answered"
    ]
    assert account.section("read").lines[0].tone == "warn"


def test_read_counts_a_retry_made_inside_the_call():
    retry = a_span(
        "r",
        "retry",
        5,
        parent="t",
        error_type="TimeoutError",
        facts={names.RETRY_OF: "orders", names.RETRY_ATTEMPT: "1"},
    )
    account = tell(a_tool("t", 1, "lookup_order", {"order_id": 7}, ms=30), retry)
    assert answers(account, "read") == [
        "Through lookup_order(order_id=7): answered at attempt 2 (TimeoutError before)"
    ]


def test_read_says_when_nothing_came_back():
    account = tell(a_tool("t", 1, "lookup", {"q": 1}, error="Boom", status_message="no route"))
    assert answers(account, "read") == [
        "Through lookup(q=1): failed, nothing came back (Boom: no route)"
    ]
    assert account.section("read").lines[0].tone == "bad"


def test_read_includes_searches_and_memory():
    account = tell(
        a_span(
            "s",
            "retrieval",
            1,
            name="retrieval handbook",
            facts={names.GEN_AI_RETRIEVAL_QUERY_TEXT: "refund limit"},
        ),
        a_span(
            "m",
            "memory",
            2,
            name="recall",
            input_text='{"key": "tone"}',
            facts={names.MEMORY_OPERATION: "read"},
        ),
    )
    assert answers(account, "read") == [
        "A search in handbook for “refund limit”",
        "Memory recall(key='tone')",
    ]


def test_read_does_not_claim_more_than_the_record_of_a_foreign_client():
    account = tell(
        a_tool("t", 1, "get_weather", {"city": "Paris"}, effect="", ours=False), root=False
    )
    assert (
        answers(account, "read")[0]
        == "1 call of get_weather; whether for reading or changing is not declared"
    )


def test_tools_count_calls_failures_and_what_the_tool_may_do():
    facts = {names.TOOL_RISK: "high", names.TOOL_SCOPE: "billing:refund"}
    account = tell(
        a_tool("t1", 1, "refund", effect="write", error="TimeoutError", facts=facts),
        a_span("r", "retry", 20, facts={names.RETRY_OF: "refund", names.RETRY_ATTEMPT: "1"}),
        a_tool("t2", 30, "refund", effect="write", facts=facts),
    )
    line = account.section("tools").lines[0]
    assert line.text == "refund: 2 calls, 1 failed (TimeoutError), 1 retry announced"
    assert line.detail == "Changes the world, risk high, scope billing:refund"
    assert line.tone == "warn"


def test_what_a_recording_answers_is_not_told_as_done_once_more():
    """A resumed run goes again through its payments, and makes none of them twice."""
    again = {names.CACHED: "true", names.CACHED_BY: "the recording"}
    account = tell(
        a_tool("t1", 1, "refund", effect="write"),
        a_tool("t2", 30, "refund", effect="write", facts=again),
    )
    (done,) = [text for text in answers(account, "changed") if "refund" in text]
    assert done.startswith("Carried out refund(")
    assert "twice" not in done
    told = [line.text for line in account.story]
    assert any("from the recording; nothing was done" in text for text in told)


def test_what_was_refused_or_stopped_is_not_told_as_done():
    """A resumption does not repeat a write that may have happened; a budget may stop a tool from within."""
    why = "refused by the resumption: refund may or may not have happened"
    ended = {"refused": why, "stopped": "stopped by budget: $1 is used up"}
    account = tell(
        *(
            a_tool(
                how,
                at,
                "refund",
                effect="write",
                facts={names.TOOL_REFUSAL: how, names.REASON: said},
            )
            for at, (how, said) in enumerate(ended.items(), 1)
        )
    )
    changed = answers(account, "changed")
    assert not any(
        "Carried out" in text for text in [*changed, *(line.text for line in account.story)]
    )
    assert changed[0] == "No change is confirmed"
    assert [text.partition("end: ")[2] for text in changed[1:3]] == list(ended.values())
    assert [
        line.text for line in account.story if "did not come to its end" in line.text
    ] == changed[1:3]


def test_tools_name_what_the_model_asked_for_and_nobody_ran():
    account = tell(a_model("m", 1, requests(("drop_database", {}))))
    assert answers(account, "tools") == [
        "drop_database: the model asked for it once; no call is recorded"
    ]
    assert "which the model asked for, is not recorded" in answers(account, "changed")[0]


def test_decided_shows_choice_and_context():
    account = tell(
        a_model(
            "m",
            1,
            requests(("lookup", {"id": 7})),
            input_tokens=900,
            cache_read_tokens=100,
            input_text='[{"role":"user","content":"hi"}]',
        )
    )
    line = account.section("decided").lines[0]
    assert line.text == "The model decided to call lookup(id=7)"
    assert line.detail == "Context: 1,000 tokens (100 from the cache), 1 message recorded"


def test_decided_shows_gates_checks_repairs_handoffs_and_fallbacks():
    account = tell(
        a_span(
            "g",
            "gate",
            1,
            input_text='{"usd": 400}',
            facts={
                names.GATE_RULE: "limit",
                names.GATE_VERDICT: "deny",
                names.GATE_ACTION: "blocked",
                names.REASON: "over 50",
            },
        ),
        a_span(
            "v",
            "validation",
            2,
            facts={
                names.VALIDATION_CHECK: "amount",
                names.VALIDATION_VERDICT: "fail",
                names.VALIDATION_FIELD: "usd",
            },
        ),
        a_span(
            "p",
            "repair",
            3,
            name="repair plan",
            facts={
                names.REPAIR_OUTCOME: "repaired",
                names.REPAIR_ATTEMPT: "2",
                names.REPAIR_MAX_ATTEMPTS: "3",
            },
        ),
        a_span(
            "h",
            "handoff",
            20,
            facts={names.HANDOFF_TO: "billing team", names.HANDOFF_FROM: "helper"},
        ),
        a_span("f", "fallback", 21, facts={names.FALLBACK_TO: "small", names.FALLBACK_FROM: "big"}),
    )
    assert answers(account, "decided") == [
        "The gate “limit” refused usd=400: over 50",
        "The check “amount” on usd failed",
        "Repaired plan in 2 attempts of at most 3",
        "Handed over to billing team (from helper)",
        "Fell back to small instead of big",
    ]


def test_changed_lists_what_was_carried_out():
    account = tell(a_tool("t", 1, "refund", {"order_id": "A-1", "usd": 40}, effect="write"))
    assert answers(account, "changed") == ["Carried out refund(order_id='A-1', usd=40)"]


def test_changed_warns_of_the_same_change_made_twice():
    account = tell(
        *(a_tool(f"t{n}", n * 20, "charge", {"usd": 40}, effect="write") for n in range(2))
    )
    line = account.section("changed").lines[0]
    assert line.text == "Carried out charge(usd=40) twice, with the same arguments each time"
    assert line.tone == "warn"


def test_changed_says_nothing_when_nothing_was():
    assert answers(tell(a_tool("t", 1, "lookup")), "changed") == ["Nothing was changed"]


def test_changed_claims_nothing_when_spans_are_missing():
    account = tell(spans_made=9, span_count=7)
    assert answers(account, "changed") == ["No change is recorded, but the record is not complete"]
    assert "7 of 9 spans are stored: 2 are missing" in account.warnings[0]


def test_changed_claims_nothing_for_tools_whose_effect_is_not_declared():
    account = tell(a_tool("t", 1, "update_crm", effect="", ours=False), root=False)
    assert answers(account, "changed") == [
        "1 tool call may have changed something (its effect on the world is not declared): update_crm once"
    ]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"error": "TimeoutError"}, "it may have changed something all the same"),
        (
            {"is_open": True},
            "had not come back when the record ends: it may have changed something",
        ),
    ],
)
def test_changed_warns_of_changes_that_are_not_certain(state, said):
    account = tell(
        a_tool("t", 1, "refund", {"usd": 4}, effect="write", **state), outcome="interrupted"
    )
    assert answers(account, "changed")[0] == "No change is confirmed"
    assert said in answers(account, "changed")[1]


def test_changed_lists_what_a_gate_prevented():
    gate = a_span(
        "g",
        "gate",
        1,
        input_text='{"usd": 400}',
        facts={
            names.GATE_RULE: "limit",
            names.GATE_VERDICT: "deny",
            names.GATE_ACTION: "blocked",
            names.REASON: "over 50",
        },
    )
    line = tell(gate).section("changed").lines[1]
    assert (line.text, line.detail) == ("Prevented by the gate “limit”: usd=400", "over 50")


def test_approved_says_who_what_why_and_how_long():
    facts = {
        names.APPROVAL_REQUEST: "Refund $40",
        names.APPROVAL_DECISION: "approved",
        names.APPROVAL_APPROVER: "Dana",
        names.REASON: "good customer",
        names.WAITING_NS: str(130_000 * MS),
    }
    line = tell(a_span("a", "approval", 1, facts=facts)).section("approved").lines[0]
    assert line.text == "Dana approved after 2 min 10 s: “Refund $40”"
    assert line.detail == "Reason given: good customer"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({names.APPROVAL_DECISION: "refused", names.APPROVAL_APPROVER: "Dana"}, "Dana refused"),
        ({names.APPROVAL_DECISION: "timeout"}, "Nobody decided in time"),
    ],
)
def test_approved_tells_refusals_and_silence(facts, said):
    line = (
        tell(a_span("a", "approval", 1, name="approval", facts=facts)).section("approved").lines[0]
    )
    assert line.text.startswith(said)
    assert line.tone == "bad"


def test_approved_says_when_nobody_was_asked():
    assert answers(tell(), "approved") == ["Nobody was asked"]


def test_approved_tells_a_gate_whose_question_nobody_answered():
    gate = a_span(
        "g", "gate", 1, facts={names.GATE_RULE: "big refunds", names.GATE_VERDICT: "escalate"}
    )
    assert answers(tell(gate), "approved") == [
        "The gate “big refunds” wanted a person to decide; no answer is recorded"
    ]


def test_stopped_names_error_and_place():
    root = a_root(error="ValueError", status_message="no price")
    tool = a_tool(
        "t", 5, "lookup_price", {"item": "x"}, error="ValueError", status_message="no price"
    )
    account = tell(root, tool, root=False, outcome="failure", error_type="ValueError")
    assert (
        account.verdict
        == "Failed after 2.0 s with ValueError: no price, in the call lookup_price(item='x')"
    )
    assert account.tone == "bad"
    assert account.section("stopped").lines[1].span_id == "t"


def test_stopped_names_rule_reason_and_what_a_person_needs():
    stop = a_span(
        "s",
        "stop",
        9,
        facts={
            names.STOP_RULE: "conflict",
            names.REASON: "two customers match",
            names.STOP_NEEDS: "the right customer number",
        },
    )
    account = tell(stop, outcome="stopped")
    assert (
        account.verdict
        == "Stopped on purpose after 2.0 s by the rule “conflict”: two customers match"
    )
    assert "To take over, a person needs: the right customer number" in answers(account, "stopped")


def test_stopped_names_the_budget():
    facts = {
        names.BUDGET_UNIT: "usd",
        names.BUDGET_LIMIT: "0.05",
        names.BUDGET_USED: "0.0512",
        names.BUDGET_ACTION: "stopped",
    }
    account = tell(a_span("b", "budget", 9, facts=facts), outcome="stopped")
    assert (
        account.verdict
        == "Stopped on purpose after 2.0 s: the run budget of $0.05 was used up, so the next call was not made"
    )


def test_stopped_says_where_a_run_hangs():
    root = a_root(is_open=True)
    account = tell(
        root,
        a_tool("t", 100, "fetch", {"url": "x"}, is_open=True),
        root=False,
        outcome="running",
        ended_at=None,
    )
    assert account.verdict == "Still running after 2.0 s, now in the call fetch(url='x')"
    assert "It is now in the call fetch(url='x'), since 09:00:00 UTC" in answers(account, "stopped")


def test_stopped_tells_that_a_broken_off_change_needs_checking():
    root = a_root(is_open=True)
    tool = a_tool("t", 100, "refund", {"usd": 4}, effect="write", is_open=True)
    account = tell(root, tool, root=False, outcome="interrupted", ended_at=None)
    assert account.verdict.startswith(
        "Broke off in the call refund(usd=4) without an ending: no sign of life since"
    )
    assert any(
        "check whether it took effect before starting again" in text
        for text in answers(account, "stopped")
    )


def test_verdict_of_a_run_that_waits_for_a_person():
    root = a_root(is_open=True)
    wait = a_span("a", "approval", 9, is_open=True, facts={names.APPROVAL_REQUEST: "Refund $40"})
    account = tell(root, wait, root=False, outcome="running", ended_at=None)
    assert (account.verdict, account.tone) == ("Waiting for a person: “Refund $40”", "waiting")


def test_cost_gives_money_tokens_and_time():
    account = tell(
        a_model("m", 0, an_answer("x"), ms=500), a_tool("t", 600, "lookup", ms=100),
        model_calls=1, cost_usd=0.0123, input_tokens=1000, output_tokens=50, reasoning_tokens=10, waiting_ns=300 * MS,
    )  # fmt: skip
    assert answers(account, "cost") == [
        "$0.0123 for 1 model call",
        "Tokens: 1,000 fresh input, 50 output (10 of it reasoning)",
        "Time: 2.0 s, of it 500 ms in models, 100 ms in tools, 300 ms waiting for people",
    ]


def test_cost_without_a_price_is_unknown_and_never_zero():
    account = tell(
        a_model("m", 0, an_answer("x"), cost_status="unknown_price"),
        model_calls=1,
        unpriced_calls=1,
    )
    assert (
        answers(account, "cost")[0]
        == "What it cost is not known: 1 model call, none with a known price"
    )
    assert not any("$0" in text for text in answers(account, "cost"))
    assert account.warnings == (
        "What this run cost is not known: no price is known for gpt-5-mini",
    )


def test_cost_with_some_prices_is_a_lower_bound():
    account = tell(
        a_model("m1", 0, an_answer("x"), cost_usd=0.02, cost_status="priced"),
        a_model("m2", 9, an_answer("y"), model="own-model", cost_status="unknown_price"),
        model_calls=2, cost_usd=0.02, unpriced_calls=1, models=["gpt-5-mini", "own-model"],
    )  # fmt: skip
    said = answers(account, "cost")
    assert said[0] == "At least $0.02 for 2 model calls, 1 of them unpriced"
    assert "own-model: unpriced for 1 call, 0 tokens" in said


def test_cost_tells_what_repairs_took():
    repair = a_span(
        "p",
        "repair",
        5,
        100,
        name="repair x",
        facts={names.REPAIR_OUTCOME: "repaired", names.REPAIR_ATTEMPT: "1"},
    )
    again = a_model("m2", 10, an_answer("y"), parent="p", cost_usd=0.01, cost_status="priced")
    account = tell(
        a_model("m1", 0, an_answer("x"), cost_usd=0.01, cost_status="priced"),
        repair,
        again,
        model_calls=2,
        cost_usd=0.02,
    )
    assert (
        "Loops that had to repair an answer took 1 model call: $0.01 (50 % of the cost)"
        in answers(account, "cost")
    )


def test_time_in_parallel_calls_counts_once():
    account = tell(*(a_tool(f"t{n}", 0, "lookup", {"n": n}, ms=100) for n in range(3)))
    assert "Time: 2.0 s, of it 100 ms in tools" in answers(account, "cost")


def test_every_question_is_answered_for_a_run_without_spans():
    account = tell(root=False, span_count=0)
    assert [section.key for section in account.sections] == [
        "trigger",
        "read",
        "tools",
        "decided",
        "changed",
        "approved",
        "stopped",
        "cost",
    ]
    assert all(section.lines for section in account.sections)
