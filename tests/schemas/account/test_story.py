"""The story: order, folding, parallel calls, sub-agents, foreign traces, size."""

import time

from account_rows import (
    a_model,
    a_root,
    a_span,
    a_tool,
    an_answer,
    everything,
    requests,
    tell,
    told,
)

from tachograph_schemas import names


def test_story_begins_with_the_task_and_ends_with_the_verdict():
    account = tell(a_tool("t", 1, "lookup"), output=an_answer("Done."))
    assert told(account)[0] == "The agent helper was started (cli): “Settle the ticket”"
    assert told(account)[-1] == account.verdict == "Finished successfully in 2.0 s"
    assert account.story[-1].detail == "Answer: Done."


def test_story_is_in_order_of_time_whatever_the_order_of_rows():
    account = tell(a_tool("t2", 50, "second"), a_tool("t1", 1, "first"))
    assert told(account)[1:3] == ["Called first()", "Called second()"]
    offsets = [line.offset_ns for line in account.story]
    assert offsets == sorted(offsets)


def test_story_leaves_arguments_to_the_call_that_follows_the_decision():
    account = tell(
        a_model("m", 1, requests(("lookup", {"id": 7}))), a_tool("t", 20, "lookup", {"id": 7})
    )
    assert told(account)[1:3] == ["The model decided to call lookup", "Called lookup(id=7)"]


def test_story_gives_the_arguments_of_a_decision_that_no_call_followed():
    assert (
        told(tell(a_model("m", 1, requests(("lookup", {"id": 7})))))[1]
        == "The model decided to call lookup(id=7)"
    )


def test_calls_that_overlap_are_told_as_one():
    account = tell(
        a_tool("a", 1, "lookup_customer", {"id": 1}, ms=30),
        a_tool("b", 2, "lookup_order", {"id": 2}, ms=30),
    )
    assert (
        told(account)[1] == "Called lookup_customer(id=1) and lookup_order(id=2) at the same time"
    )


def test_parallel_calls_of_which_one_failed_say_so():
    account = tell(a_tool("a", 1, "x", ms=30), a_tool("b", 2, "y", ms=30, error="TimeoutError"))
    line = account.story[1]
    assert line.text == "Called x() and y() at the same time; y failed: TimeoutError"
    assert (line.tone, line.span_id) == ("bad", "b")


def test_equal_steps_in_a_row_fold_into_one_with_a_count():
    account = tell(*(a_tool(f"t{n}", n * 20, "poll", {"id": 7}) for n in range(4)))
    assert [(line.text, line.count) for line in account.story[1:-1]] == [("Called poll(id=7)", 4)]


def test_many_calls_that_differ_in_arguments_fold_and_show_first_and_last():
    account = tell(*(a_tool(f"t{n}", n * 20, "get_order", {"id": n}) for n in range(37)))
    assert [(line.text, line.count) for line in account.story[1:-1]] == [
        ("Called get_order(id=0), …, get_order(id=36)", 37)
    ]


def test_few_calls_that_differ_are_told_one_by_one():
    assert (
        len(told(tell(*(a_tool(f"t{n}", n * 20, "get_order", {"id": n}) for n in range(3))))) == 5
    )


def test_a_loop_of_several_steps_folds_as_turns():
    spans = []
    for n in range(12):
        spans += [
            a_model(f"m{n}", n * 50, requests(("export", {"try": n}))),
            a_tool(
                f"t{n}",
                n * 50 + 20,
                "export",
                {"try": n},
                error="ExportError",
                status_message=f"row {n}",
            ),
        ]
    account = tell(*spans)
    assert [(line.text, line.count) for line in account.story[1:-1]] == [
        ("The model decided to call export", 12),
        ("A call of export failed: ExportError", 12),
    ]
    assert account.story[1].detail.startswith("These 2 steps took turns 12 times")


def test_a_failure_that_a_later_call_made_good_is_a_warning_only():
    account = tell(
        a_tool("t1", 1, "pay", {"n": 1}, error="Timeout"), a_tool("t2", 50, "pay", {"n": 1})
    )
    assert [line.tone for line in account.story[1:3]] == ["warn", "plain"]


def test_sub_agents_are_named_in_their_sentences():
    agent = a_span(
        "ag",
        "agent",
        5,
        500,
        agent="researcher",
        name="invoke_agent researcher",
        input_text='{"task": "Find it"}',
    )
    account = tell(agent, a_tool("t", 10, "search", parent="ag", agent="researcher"))
    assert told(account)[1:3] == [
        "The agent researcher started working: “Find it”",
        "researcher: called search()",
    ]


def test_sub_agents_at_work_together_are_told_so():
    one = a_span("a1", "agent", 5, 500, agent="left")
    two = a_span("a2", "agent", 6, 500, agent="right")
    assert "The agent right started working at the same time as left" in told(tell(one, two))


def test_a_workflow_around_the_one_agent_is_not_told_twice():
    outer = a_root(ours=False)
    inner = a_span("in", "agent", 1, agent="helper", name="invoke_agent helper", ours=False)
    assert told(tell(outer, inner, root=False)) == [
        "The agent helper was started (cli): “Settle the ticket”",
        "Finished successfully in 2.0 s",
    ]


def test_a_model_call_inside_a_model_call_is_its_second_view():
    outer = a_model("outer", 1, "")
    inner = a_model("inner", 2, an_answer("Sunny"), parent="outer")
    assert told(tell(outer, inner))[1:-1] == ["The model answered: “Sunny”"]


def test_framework_chains_are_silent_unless_they_failed():
    chain = a_span("c", "step", 1, name="RunnableSequence", ours=False)
    broken = a_span("d", "step", 2, name="should_continue", ours=False, error="KeyError")
    assert told(tell(a_tool("t", 0, "x"), chain, broken))[2:-1] == [
        "The step “should_continue” failed: KeyError"
    ]


def test_a_gate_inside_a_call_is_told_before_the_call_it_decided_about():
    tool = a_tool("t", 1, "refund", {"usd": 4}, effect="write", ms=50)
    gate = a_span(
        "g", "gate", 5, parent="t", facts={names.GATE_RULE: "limit", names.GATE_VERDICT: "allow"}
    )
    assert told(tell(tool, gate))[1:3] == [
        "The gate “limit” let it go on",
        "Carried out refund(usd=4)",
    ]


def test_an_open_call_says_that_it_has_not_come_back():
    account = tell(
        a_tool("t", 1, "refund", {"usd": 4}, effect="write", is_open=True),
        outcome="running",
        ended_at=None,
    )
    assert (
        told(account)[1]
        == "The call refund(usd=4) has not come back, and it may already have changed something"
    )


def test_a_resumed_run_tells_its_second_start():
    again = a_span("again", "run", 100, parent="", agent="helper")
    restored = a_span(
        "c",
        "checkpoint",
        110,
        facts={names.CHECKPOINT_LABEL: "step 14", names.CHECKPOINT_ACTION: "restored"},
    )
    assert told(tell(again, restored))[1:3] == [
        "The run was started again",
        "Took up again at the checkpoint “step 14”",
    ]


def test_fifty_thousand_spans_take_a_moment_and_keep_what_matters():
    spans = [a_root()]
    for n in range(25_000):
        spans.append(a_model(f"m{n}", n * 2, requests((f"tool{n % 7}", {"n": n}))))
        spans.append(
            a_tool(
                f"t{n}",
                n * 2 + 1,
                f"tool{n % 7}",
                {"n": n, "pad": "x" * 200},
                ms=0.5,
                effect="read",
            )
        )
    spans[30_000] = a_tool("broken", 29_999, "refund", {"usd": 1}, effect="write", error="Boom")
    started = time.process_time()
    account = tell(*spans, root=False)
    took_s = time.process_time() - started
    assert took_s < 5, f"{took_s:.2f} s of CPU"
    assert len(account.story) <= 500
    assert any("refund(usd=1) failed" in text for text in told(account))
    assert any("further steps left out here" in text for text in told(account))


def test_a_very_deep_tree_needs_no_recursion():
    spans, parent = [a_root()], "root"
    for n in range(20_000):
        spans.append(a_span(f"s{n}", "step", n, parent=parent, ours=False))
        parent = f"s{n}"
    spans.append(a_tool("t", 20_001, "lookup", parent=parent))
    spans.append(a_model("m", 20_002, an_answer("x"), parent=parent))
    assert "Called lookup()" in told(tell(*spans, root=False))


def test_circles_orphans_and_duplicate_ids_are_survived():
    account = tell(
        a_span("a", "agent", 1, parent="b", agent=""),
        a_span("b", "agent", 2, parent="a", agent=""),
        a_tool("t", 3, "x", parent="a"),
        a_tool("t", 4, "x", parent="t"),
        a_tool("lost", 5, "y", parent="nowhere"),
    )
    assert "Called y()" in told(account)


def test_hostile_text_cannot_steer_a_terminal_or_hide():
    evil = (
        "\x1b]0;owned\x07\x1b[2J\u202e gnp.exe \u200b <script>alert(1)</script> ![x](http://evil)"
    )
    account = tell(
        a_tool("t", 1, evil, {evil: evil}, error=evil, status_message=evil),
        a_model("m", 20, an_answer(evil), model=evil),
        a_span("g", "gate", 30, input_text=evil, facts={names.GATE_RULE: evil, names.GATE_VERDICT: "deny", names.REASON: evil}),
        a_span("e", "eval", 31, facts={names.EVAL_NAME: evil, names.EVAL_LABEL: evil, names.EVAL_SCORE: evil}),
        goal=evil, input=evil, output=evil, agent=evil, customer=evil, trigger=evil, tags=[evil], stop_reason=evil,
        entrypoint=evil, version=evil, code_version=evil, service=evil, models=[evil, "b"],
    )  # fmt: skip
    for text in everything(account):
        assert not set(text) & set("\x1b\x07\u202e\u200b\n\r")


def test_the_same_rows_give_the_same_account():
    spans = [a_tool("t", 1, "x"), a_model("m", 20, an_answer("y"))]
    assert tell(*spans) == tell(*spans)
