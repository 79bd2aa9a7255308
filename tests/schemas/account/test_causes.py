"""Why a run ended: the chain from its end to the first cause, and where it left the road of another run."""

from account_rows import a_model, a_root, a_run, a_span, a_tool, requests

from tachograph_schemas import names
from tachograph_schemas.account import build
from tachograph_schemas.account.difference import first_difference, lines


def why(*spans, **run):
    run.setdefault("outcome", "failure")
    account = build(a_run(span_count=len(spans) + 1, **run), [a_root(), *spans])
    return [(line.span_id, line.text) for line in account.why]


def test_a_failure_leads_to_its_first_occurrence_and_to_who_asked_for_it():
    chain = why(
        a_model("m", 0, requests(("pay", {}))),
        a_tool("p1", 20, "pay", error="OSError"),
        a_tool("p2", 40, "pay", error="OSError"),
        error_type="OSError",
    )
    assert [span for span, _ in chain] == ["p2", "p1", "m"]
    assert chain[1][1].startswith("It began here: the call pay() failed: OSError")
    assert chain[2][1] == "Before that: the model decided to call pay"


def test_a_stop_leads_over_the_gate_to_the_check_that_failed():
    check = {names.VALIDATION_CHECK: "names agree", names.VALIDATION_VERDICT: "fail"}
    stop = {names.STOP_RULE: "conflict", names.REASON: "two names"}
    chain = why(
        a_tool("read", 0, "read_account"),
        a_span("check", "validation", 20, verdict="fail", facts=check),
        a_span("gate", "gate", 40, verdict="deny", facts={names.GATE_VERDICT: "deny", names.GATE_RULE: "renew"}),
        a_span("stop", "stop", 60, facts=stop),
        outcome="stopped",
        stop_reason="stopped by conflict: two names",
    )  # fmt: skip
    assert [span for span, _ in chain] == ["stop", "gate", "check", "read"]
    assert chain[2][1].startswith("It began here: the check “names agree” failed")


def test_a_check_that_passed_in_the_end_is_no_cause():
    check = {names.VALIDATION_CHECK: "names agree"}
    chain = why(
        a_span("fail", "validation", 20, verdict="fail", facts=check),
        a_span("pass", "validation", 30, verdict="pass", facts=check),
        a_span("gate", "gate", 40, verdict="deny", facts={names.GATE_VERDICT: "deny"}),
        outcome="stopped",
        stop_reason="refused by the rule",
    )
    assert [span for span, _ in chain] == ["gate"]


def test_a_budget_leads_to_the_call_that_failed_over_and_over():
    failed = [a_tool(f"t{at}", 10 * at, "export", error="ExportError") for at in range(4)]
    facts = {names.BUDGET_ACTION: "stopped", names.REASON: "run budget is used up"}
    budget = a_span("b", "budget", 90, verdict="stopped", facts=facts)
    chain = why(*failed, budget, outcome="stopped", stop_reason="run budget is used up")
    assert [span for span, _ in chain] == ["b", "t0"]
    assert chain[1][1].startswith("It began here. It failed 4 times like this, from here on")


def test_a_run_that_runs_has_not_ended_and_one_without_a_trace_says_only_how():
    assert why(a_tool("t", 0, "look"), outcome="running", ended_at=None) == []
    assert len(why()) == 1


def test_a_chain_of_spans_that_point_at_each_other_ends():
    spans = [
        a_span("f1", "fallback", 10, parent="f2"),
        a_span("b", "breaker", 20, verdict="opened", parent="f1"),
        a_span("f2", "fallback", 30, parent="b"),
        a_span("stop", "stop", 60, facts={names.STOP_RULE: "down"}),
    ]
    chain = why(*spans, outcome="stopped", stop_reason="stopped by down")
    assert [span for span, _ in chain] == ["stop", "f2", "b"]


def parted(mine, theirs):
    differs = first_difference(
        a_run(), [a_root(), *mine], a_run(run_id="b" * 32), [a_root(), *theirs]
    )
    return differs, [(line.span_id, line.text) for line in lines(differs)]


def test_two_runs_part_at_the_first_step_that_differs():
    same = a_tool("s", 0, "look", {"id": 1})
    model = a_model("m", 5, requests(("pay", {})))
    differs, told = parted(
        [same, model, a_tool("p", 10, "pay", {"usd": 900})],
        [same, a_tool("q", 10, "pay", {"usd": 40})],
    )
    assert (differs.same_steps, differs.what) == (1, "arguments")
    assert told == [
        ("", "The first 1 step is the same; then they part"),
        ("p", "Here: called pay(usd=900)"),
        ("", "There: called pay(usd=40)"),
    ]


def test_a_step_that_went_otherwise_and_one_that_is_missing():
    ok, failed = a_tool("s", 0, "look"), a_tool("s", 0, "look", error="OSError")
    assert parted([failed], [ok])[0].what == "outcome"
    assert parted([ok], [ok, a_tool("x", 9, "write")])[0].what == "step"
    assert parted([ok], [ok])[0].what == "nothing"
