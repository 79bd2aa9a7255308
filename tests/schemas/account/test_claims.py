"""The account claims no more than the record shows: retries, refusals, endings, budgets, broken streams."""

import pytest
from account_rows import MS, a_root, a_span, a_tool, answers, everything, tell, told

from tachograph_schemas import names
from tachograph_schemas.account import harness, payload


def a_retry(attempt=2, at_ms=10, outcome="", **values):
    facts = {
        names.RETRY_OF: "lookup",
        names.RETRY_ATTEMPT: str(attempt),
        names.RETRY_WAIT_MS: str(100 * attempt // 2),
    }
    if outcome:
        facts[names.RETRY_OUTCOME] = outcome
    return a_span(f"r{attempt}", "retry", at_ms, facts=facts, error_type="TimeoutError", **values)


def an_approval(decision, approver="", reason="", waiting_ns=0):
    facts = {
        names.APPROVAL_REQUEST: "Refund $40",
        names.APPROVAL_DECISION: decision,
        names.APPROVAL_APPROVER: approver,
        names.REASON: reason,
        names.WAITING_NS: str(waiting_ns),
    }
    return a_span("a", "approval", 5, facts=facts)


def a_denial(**values):
    facts = {names.GATE_RULE: "limit", names.GATE_VERDICT: "deny", names.GATE_ACTION: "blocked"}
    return a_span("g", "gate", 5, facts=facts, **values)


def test_a_retry_is_an_announcement_everywhere():
    account = tell(a_tool("t", 1, "lookup", error="TimeoutError"), a_retry())
    assert "Attempt 2 of lookup failed with TimeoutError; to be tried again in 100 ms" in told(
        account
    )
    assert "1 failed attempt announced another try" in account.verdict
    assert "1 failed attempt announced another try" in answers(account, "cost")
    assert answers(account, "tools")[0].endswith("1 retry announced")
    assert not any("Tried" in text or "tried again once" in text for text in everything(account))


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ("succeeded", "tried again after 100 ms, and that worked"),
        ("failed", "tried again after 100 ms, which failed too"),
        ("gave_up", "tried again after 100 ms, which failed too, and given up"),
        ("nonsense", "to be tried again in 100 ms"),
    ],
)
def test_a_retry_says_what_came_of_it_where_it_is_known(outcome, said):
    account = tell(a_retry(outcome=outcome))
    assert f"Attempt 2 of lookup failed with TimeoutError; {said}" in told(account)


def test_retries_in_a_row_are_folded_into_an_announcement():
    account = tell(*(a_retry(n, n * 10) for n in range(1, 12)))
    [line] = [line for line in account.story if line.layer == "retry"]
    assert line.text == "An attempt of lookup failed with TimeoutError; to be tried again"
    assert line.count == 11


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (an_approval("refused", "Dana"), "1 action was refused by a person"),
        (an_approval("refused"), "1 action was not approved"),
        (an_approval("timeout"), "1 action was not approved: nobody decided in time"),
        (
            an_approval("refused", "", harness.NO_APPROVER),
            "1 action was not approved: nobody was there to ask",
        ),
        (a_denial(), "1 proposal was refused by a gate"),
    ],
)
def test_the_verdict_tells_who_refused(span, said):
    assert tell(span).verdict == f"Finished successfully in 2.0 s; {said}"


def test_without_an_approver_nobody_waited():
    account = tell(an_approval("refused", "", harness.NO_APPROVER, 9_000), waiting_ns=9_000)
    assert answers(account, "approved") == [
        "Not approved, as nobody was there to ask: “Refund $40”"
    ]
    assert not any("waiting for people" in text for text in answers(account, "cost"))


def test_an_answer_in_pieces_is_read_as_one():
    assert payload.answer('["tok0 ", "tok1 ", "tok2 "]') == "tok0 tok1 tok2"
    assert payload.answer('["A-1", "A-2"]') == "A-1, A-2"
    assert payload.answer('["assistant", "Done."]') == "Done."


@pytest.mark.parametrize(
    "reason", ["interrupted from the keyboard", "cancelled", "its consumer stopped reading"]
)
def test_an_ending_from_outside_was_not_on_purpose(reason):
    caught = a_span("s", "stop", 5, facts={names.STOP_RULE: "conflict", names.REASON: "two match"})
    for spans in ([], [caught], [a_denial()]):
        account = tell(*spans, outcome="stopped", stop_reason=reason)
        assert account.verdict == f"Stopped after 2.0 s: {reason}"


def test_a_gate_that_ended_the_run_did_so_on_purpose():
    account = tell(a_denial(), outcome="stopped", stop_reason="refused by limit: over 50")
    assert account.verdict == "Stopped on purpose after 2.0 s: refused by limit: over 50"


def test_a_stop_with_the_reason_that_the_run_gives_ended_it_on_purpose():
    stop = a_span("s", "stop", 5, facts={names.STOP_RULE: "conflict", names.REASON: "two match"})
    account = tell(stop, outcome="stopped", stop_reason="stopped by conflict: two match")
    assert account.verdict == "Stopped on purpose after 2.0 s by the rule “conflict”: two match"


def test_a_stream_that_was_left_early_says_so():
    facts = {names.ABANDONED: "true"}
    left = a_tool("t", 1, "stream_rows", facts=facts)
    assert "Called stream_rows(); its consumer stopped reading early" in told(tell(left))
    written = tell(a_tool("t", 1, "send", effect="write", facts=facts))
    assert answers(written, "changed") == [
        "Carried out send(), perhaps in part: its consumer stopped reading early"
    ]


@pytest.mark.parametrize("used", ["", "0.01"])
def test_a_budget_that_could_not_be_measured_gives_its_reason(used):
    facts = {
        names.BUDGET_UNIT: "usd",
        names.BUDGET_LIMIT: "0.05",
        names.BUDGET_USED: used,
        names.BUDGET_ACTION: "warned",
        names.REASON: "no price is known for m-1",
    }
    story = told(tell(a_span("b", "budget", 5, facts=facts)))
    assert "The run budget of $0.05 could not be enforced: no price is known for m-1" in story
    facts[names.BUDGET_USED] = "0.06"
    story = told(tell(a_span("b", "budget", 5, facts=facts)))
    assert "The run budget of $0.05 was exceeded; it only warns" in story


def test_an_interrupted_run_does_not_vouch_for_its_last_seconds():
    account = tell(a_root(is_open=True), root=False, outcome="interrupted", ended_at=None)
    unsure = "Actions begun in its last few seconds may be missing from the record"
    assert answers(account, "changed") == ["No change is recorded", unsure]
    assert unsure in answers(account, "stopped")
    assert unsure not in everything(tell(duration_ns=5 * MS))


def test_a_gate_without_a_proposal_refused_to_go_on():
    account = tell(a_denial())
    assert "The gate “limit” refused to go on" in told(account)
    for question in ("tools", "changed"):
        assert "The gate “limit” refused to go on" in answers(account, question)
