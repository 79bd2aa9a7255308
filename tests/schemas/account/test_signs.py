"""Signs of trouble within a run: when they fire, at which step, and when they hold their tongue."""

import json

import pytest
from account_rows import a_model, a_run, a_span, a_tool, an_answer, tell

from tachograph_schemas import names
from tachograph_schemas.account import build
from tachograph_schemas.account.model import Usual


def kinds(account):
    return [sign.kind for sign in account.signs]


def searches(number, result, **more):
    return [
        a_tool(f"t{at}", 10 * at, "search", {"q": "x"}, output_text=result(at), **more)
        for at in range(number)
    ]


def test_the_same_call_with_the_same_result_fires_at_the_third():
    account = tell(*searches(4, lambda _: '"none"'))
    (sign,) = [sign for sign in account.signs if sign.kind == "same_result"]
    assert sign.line.text == "Called search(q='x') 4 times and got the same each time"
    assert sign.line.span_id == "t2"
    assert account.numbers["same_result"] == 4


def test_a_poll_whose_answer_changes_is_no_loop_until_it_is_asked_five_times():
    assert "same_call" not in kinds(tell(*searches(4, lambda at: f'"state {at}"')))
    account = tell(*searches(5, lambda at: f'"state {at}"'))
    assert "same_result" not in kinds(account)
    (sign,) = [sign for sign in account.signs if sign.kind == "same_call"]
    assert sign.line.span_id == "t4"


def test_what_a_retry_announces_is_the_harness_at_work():
    calls = searches(4, lambda _: "", error="TimeoutError")
    retry = a_span("r", "retry", 5, facts={names.RETRY_OF: "search"})
    assert "same_result" not in kinds(tell(*calls, retry))
    assert "same_result" in kinds(tell(*calls))


def test_three_messages_that_say_nearly_the_same():
    said = "I am sorry, that did not work as expected, let me try the export once more with batch"
    models = [a_model(f"m{at}", 10 * at, an_answer(f"{said} {at}")) for at in range(3)]
    account = tell(*models)
    (sign,) = [sign for sign in account.signs if sign.kind == "near_duplicates"]
    assert sign.line.span_id == "m2"
    assert "near_duplicates" not in kinds(tell(*models[:2]))


def test_a_grave_change_that_nobody_looked_at_is_said():
    grave = {names.TOOL_RISK: "high"}
    pay = a_tool("pay", 10, "pay", {"usd": 5}, effect="write", facts=grave)
    account = tell(pay)
    assert kinds(account) == ["unverified"]
    assert account.signs[0].line.span_id == "pay"
    look = a_tool("look", 50, "read_balance")
    check = a_span("check", "validation", 50, verdict="pass")
    assert kinds(tell(pay, look)) == []
    assert kinds(tell(pay, check)) == []
    assert kinds(tell(pay, outcome="failure")) == []
    assert kinds(tell(a_tool("note", 10, "note", effect="write"))) == []


def history(*turns):
    return json.dumps(
        [{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in turns]
    )


@pytest.mark.parametrize(
    ("after", "lost"),
    [
        ([("user", "Settle the ticket"), ("user", "go on")], "instructions were"),
        ([("system", "Be careful."), ("user", "a summary")], "goal was"),
    ],
)
def test_what_a_compaction_left_out_of_the_context(after, lost):
    before = [("system", "Be careful."), ("user", "Settle the ticket"), ("user", "more")]
    models = [
        a_model("m1", 10, input_text=history(*before), input_tokens=9_000),
        a_model("m2", 90, input_text=history(*after), input_tokens=800),
    ]
    account = tell(*models)
    (sign,) = account.signs
    assert (sign.kind, sign.line.span_id) == ("forgotten", "m2")
    assert f"the {lost} left out" in sign.line.text


def test_another_role_with_a_prompt_of_its_own_has_forgotten_nothing():
    one = a_model(
        "m1", 10, input_text=history(("system", "Plan."), ("user", "x")), input_tokens=9_000
    )
    two = a_model(
        "m2", 90, input_text=history(("system", "Judge."), ("user", "y")), input_tokens=800
    )
    assert kinds(tell(one, two)) == []


USUAL = Usual(runs=200, context_tokens_p99=1_000, steps_p99=3, cost_usd_p99=0.1)


def test_size_is_told_against_what_is_usual_only():
    models = [a_model(f"m{at}", 10 * at, input_tokens=700 * (at + 1)) for at in range(4)]
    run = a_run(cost_usd=0.2)
    assert build(run, models).signs == ()
    found = {sign.kind: sign for sign in build(run, models, USUAL).signs}
    assert set(found) == {"context", "steps", "spent"}
    assert found["context"].line.span_id == "m1"
    assert found["context"].value == pytest.approx(2.8)
    assert found["steps"].line.span_id == "m3"
    assert "more than 99 % of 200 successful runs" in found["spent"].line.text


def test_money_is_held_against_the_progress_that_a_checkpoint_tells():
    def account(done):
        state = json.dumps({"done": ["x"] * done, "todo": ["y"] * (10 - done)})
        spans = [a_model("m", 10), a_span("c", "checkpoint", 20, input_text=state)]
        return build(a_run(cost_usd=0.08), spans, USUAL)

    assert [sign.kind for sign in account(1).signs] == ["spent"]
    assert "80 % of what such runs cost is spent and 10 % of the work is done" in (
        account(1).signs[0].line.text
    )
    assert account(5).signs == ()
