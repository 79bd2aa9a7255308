"""Layer facts: one span each, and an answer the agent can act on."""

from __future__ import annotations

import asyncio
import threading

import pytest
from opentelemetry import trace

import tachograph as tacho
from tachograph_schemas import names


def test_gate_records_proposal_and_verdict(spans):
    """The verdict decides over the condition; enforce raises."""
    denied = tacho.gate("limit", allow=False, proposal={"usd": 900}, reason="over 500", risk="high")
    assert not denied
    assert denied.verdict == "deny"
    with pytest.raises(tacho.Refused, match="over 500") as caught:
        denied.enforce()
    assert (caught.value.rule, caught.value.verdict) == ("limit", "deny")
    assert tacho.gate("limit", allow=True).enforce().allowed
    span = spans[0]
    assert (span.layer, span.name, span.input) == ("gate", "gate limit", {"usd": 900})
    assert span.attributes[names.GATE_ACTION] == "blocked"
    assert span.attributes[names.GATE_RISK] == "high"
    assert span.attributes[names.REASON] == "over 500"


@pytest.mark.parametrize(
    ("options", "allowed", "action"),
    [
        ({"verdict": "escalate"}, False, "escalated"),
        ({"verdict": "allow"}, True, "proceeded"),
        ({"allow": True, "dry_run": True}, False, "dry_run"),
    ],
)
def test_gate_action_follows_the_verdict(spans, options, allowed, action):
    """A dry run never proceeds; escalation is not permission."""
    assert tacho.gate("rule", **options).allowed is allowed
    assert spans.one().attributes[names.GATE_ACTION] == action


def test_gate_needs_exactly_one_answer():
    """allow and verdict may contradict each other."""
    with pytest.raises(ValueError, match="either"):
        tacho.gate("rule")
    with pytest.raises(ValueError, match="either"):
        tacho.gate("rule", allow=True, verdict="deny")


def test_validate_returns_what_it_records(spans):
    """Usable in a condition."""
    assert tacho.validate("total", ok=True)
    assert not tacho.validate("cap", ok=False, kind="range", field="damage_cap", message="a string")
    failed = spans[1].attributes
    assert (failed[names.VALIDATION_VERDICT], failed[names.VALIDATION_FIELD]) == (
        "fail",
        "damage_cap",
    )
    assert (failed[names.VALIDATION_KIND], failed[names.REASON]) == ("range", "a string")


def test_repair_that_succeeds(spans):
    """Attempts are counted, calls inside nest."""
    answers = iter(["bad", "good"])
    with tacho.repair("terms") as loop:
        answer = next(answers)
        while answer != "good" and loop.attempt(f"{answer} will not do"):
            answer = tacho.step(name="ask")(lambda: next(answers))()
    span = spans.one(layer="repair")
    assert span.attributes[names.REPAIR_OUTCOME] == "repaired"
    assert span.attributes[names.REPAIR_ATTEMPT] == 1
    assert span.attributes[names.REPAIR_FEEDBACK] == "bad will not do"
    assert spans.one(name="ask").parent == "repair terms"


def test_repair_that_gives_up(spans):
    """Out of attempts means gave_up, and so does an exception."""
    with tacho.repair("terms", max_attempts=2) as loop:
        while loop.attempt({"field": "x"}):
            pass
    with pytest.raises(ValueError, match="no"):
        with tacho.repair("terms"):
            raise ValueError("no")
    assert [span.attributes[names.REPAIR_OUTCOME] for span in spans] == ["gave_up", "gave_up"]
    assert spans[0].attributes[names.REPAIR_ATTEMPT] == 2
    assert spans[1].status == "error"


def test_approval_records_who_why_and_how_long(spans):
    """Waiting time is the person's, not the agent's."""
    moment = threading.Event()

    def supervisor(request, context):
        moment.wait(0.05)
        return tacho.Decision(approved=True, approver="maria", reason=f"{context['usd']} is fine")

    decision = tacho.approve("refund 20", context={"usd": 20}, approver=supervisor)
    assert decision
    assert decision.waiting_ns >= 40_000_000
    span = spans.one()
    assert span.input == {"usd": 20}
    assert span.attributes[names.APPROVAL_REQUEST] == "refund 20"
    assert span.attributes[names.APPROVAL_DECISION] == "approved"
    assert span.attributes[names.APPROVAL_APPROVER] == "maria"
    assert span.attributes[names.REASON] == "20 is fine"
    assert span.attributes[names.WAITING_NS] == decision.waiting_ns


def test_approval_without_approver_or_in_time_is_refused(spans):
    """Silence is never consent."""
    never = threading.Event()
    assert not tacho.approve("x")
    late = tacho.approve("x", approver=lambda *_: never.wait(5), timeout_s=0.05)
    never.set()
    assert not late
    assert late.timed_out
    assert tacho.approve("x", approver=lambda *_: True, timeout_s=5)
    decisions = [span.attributes[names.APPROVAL_DECISION] for span in spans]
    assert decisions == ["refused", "timeout", "approved"]


def test_approver_that_raises_is_not_swallowed(spans):
    """Its error is the agent's to handle; the wait is recorded."""

    def broken(request, context):
        raise ConnectionError("chat is down")

    for options in ({}, {"timeout_s": 5}):
        with pytest.raises(ConnectionError, match="chat is down"):
            tacho.approve("x", approver=broken, **options)
    assert {span.status for span in spans} == {"error"}


def test_async_approval_awaits_and_times_out(spans):
    """The async variant cancels an approver that takes too long."""
    cancelled = []

    async def yes(request, context):
        return True

    async def never(request, context):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def main():
        first = await tacho.approve_async("x", approver=yes)
        second = await tacho.approve_async("x", approver=never, timeout_s=0.02)
        third = await tacho.approve_async("x", approver=lambda *_: True)
        return first.approved, second.timed_out, third.approved

    assert asyncio.run(main()) == (True, True, True)
    assert cancelled == [True]
    assert spans[1].attributes[names.APPROVAL_DECISION] == "timeout"


def test_stop_ends_the_run_as_stopped(spans):
    """A stop rule is a decision: recorded with what a person needs, no error status."""

    @tacho.run(agent="renewals")
    def work():
        tacho.stop("missing data", "no contract on file", needs="the signed contract")

    with pytest.raises(tacho.RunStopped) as caught:
        work()
    assert caught.value.needs == "the signed contract"
    fact, run = spans.one(layer="stop"), spans.one(layer="run")
    assert fact.attributes[names.STOP_RULE] == "missing data"
    assert fact.attributes[names.STOP_NEEDS] == "the signed contract"
    assert run.attributes[names.RUN_OUTCOME] == "stopped"
    assert "no contract on file" in run.attributes[names.RUN_STOP_REASON]
    assert run.status == "unset"


def test_remaining_facts_have_their_attributes(spans):
    """Checkpoint, handoff, breaker, retry, fallback, evaluation."""

    @tacho.run(agent="a")
    def work():
        tacho.checkpoint("step 14", done=["a", "b"], todo=("c",), action="restored")
        tacho.handoff("billing team", reason="over limit", payload={"order": 7})
        tacho.breaker_event("crm", "closed", "open", "5 failures")
        tacho.retry_event("orders", 1, TimeoutError("slow"), wait_s=0.25)
        tacho.fallback_event("big", "small", "overloaded")
        tacho.evaluate("helpful", score=0.9, label="good", explanation="answers all")

    work()
    by_layer = {span.layer: span for span in spans}
    assert by_layer["checkpoint"].input == {"done": ["a", "b"], "todo": ["c"]}
    assert by_layer["checkpoint"].attributes[names.CHECKPOINT_ACTION] == "restored"
    handoff = by_layer["handoff"]
    assert (handoff.attributes[names.HANDOFF_FROM], handoff.attributes[names.HANDOFF_TO]) == (
        "a",
        "billing team",
    )
    assert handoff.input == {"order": 7}
    assert by_layer["breaker"].attributes[names.BREAKER_TO] == "open"
    retry = by_layer["retry"]
    assert retry.attributes[names.RETRY_WAIT_MS] == 250
    assert (retry.attributes["error.type"], retry.attributes[names.REASON]) == (
        "TimeoutError",
        "slow",
    )
    assert retry.status == "unset"
    assert by_layer["fallback"].attributes[names.FALLBACK_TO] == "small"
    assert by_layer["eval"].attributes[names.EVAL_SCORE] == 0.9


def test_what_was_done_is_kept_apart_from_the_verdict(spans):
    """A rule that only watches says no and lets go on; a rule that allows may be overruled."""
    watched = tacho.gate("night rule", verdict="deny", action="proceeded")
    assert watched
    assert watched.verdict == "deny"
    assert watched.enforce() is watched
    overruled = tacho.gate("day rule", allow=True, action="blocked")
    assert not overruled
    said = [(s.attributes[names.GATE_VERDICT], s.attributes[names.GATE_ACTION]) for s in spans]
    assert said == [("deny", "proceeded"), ("allow", "blocked")]


def test_facts_describe_the_span_of_their_layer_or_make_one(spans):
    """Inside a decorated function or a block no second span is made; a foreign span is not described."""

    @tacho.normalize
    def clean(text):
        tacho.normalized(removed=["ads", "headers"], injections=2)
        return text

    clean("x")
    with tacho.context(name="pick"):
        tacho.context_chosen(candidates=9, selected=[1, 2])
    tacho.context_chosen(candidates=3)
    with tacho.normalize(name="outer"):
        with trace.get_tracer("library").start_as_current_span("parse"):
            tacho.normalized(cut_chars=5)
    made = [(span.layer, span.name) for span in spans]
    assert made == [
        ("normalize", "clean"),
        ("context", "pick"),
        ("context", "context chosen"),
        ("normalize", "normalize input"),
        ("other", "parse"),
        ("normalize", "outer"),
    ]
    assert spans[0].attributes[names.NORMALIZE_REMOVED] == "ads, headers"
    assert spans[0].attributes[names.NORMALIZE_INJECTIONS] == 2
    assert spans[1].attributes[names.CONTEXT_SELECTED] == 2
    assert names.NORMALIZE_CUT_CHARS not in spans[5].attributes


def test_blocks_record_errors_and_nest_sync_and_async(spans):
    """A block is the layer of what happens in it; what escapes is recorded and goes on."""

    async def main():
        async with tacho.step(name="outside"):
            with pytest.raises(KeyError), tacho.context(name="inside"):
                raise KeyError("gone")

    asyncio.run(main())
    inside, outside = spans
    assert (inside.parent, inside.status, outside.status) == ("outside", "error", "unset")


def test_checkpoint_takes_containers_with_truth_values_of_their_own(spans):
    """What numpy does: an array of several has no truth value."""

    class Several(list):
        def __bool__(self):
            raise ValueError("ambiguous")

    tacho.checkpoint("x", done=Several([1]), lost=Several([2, 3]), action="restored")
    assert spans.one().attributes[names.CHECKPOINT_LOST] == 2
    assert spans.one().input == {"done": [1], "todo": [], "lost": [2, 3]}


MISTAKES = """
import logging, sys
logging.basicConfig(stream=sys.stdout, format="%(message)s")
import tachograph as tacho
from tachograph.testing import captured_spans

class Hostile:
    def __str__(self): raise RuntimeError("no")
    __repr__ = __str__

with captured_spans() as spans:
    assert not tacho.gate("r")
    assert not tacho.gate("r", allow=True, verdict="deny")
    assert not tacho.gate("r", verdict="maybe", risk="huge", reason=Hostile())
    assert not tacho.gate(Hostile(), allow=True, action="whatever")
    assert tacho.gate(None, allow=True, risk=7)
    assert tacho.validate(Hostile(), 1, kind="vibes", field=3, message=[1])
    tacho.tool_refused(Hostile(), why="felt like it", offered=7)
    tacho.checkpoint(Hostile(), done=None, lost=iter([1]), action="lost")
    tacho.handoff(Hostile(), payload=Hostile())
    tacho.breaker_event(None, Hostile(), 3)
    tacho.breaker_refused(4, call=Hostile())
    tacho.retry_event(None, "first", error="not an exception", wait_s="soon")
    tacho.fallback_event(1, 2, 3, reduced=4, told=5)
    tacho.evaluate(None, score="high", label=Hostile())
    tacho.normalized(removed=5, injections=None)
    tacho.context_chosen(candidates="abc", dropped=5)
    with tacho.repair(Hostile(), max_attempts=0) as loop:
        loop.attempt(Hostile())
        loop.gave_up(Hostile())
    with tacho.budget(usd=None, action="explode"):
        tacho.current_run().outcome("great")
    with tacho.step(name=Hostile()) as step:
        step.output(Hostile())
    assert tacho.approve(Hostile(), approver=lambda *_: tacho.Decision(True, Hostile(), Hostile()))
    try:
        tacho.stop(Hostile(), "why")
    except tacho.RunStopped:
        pass
    with tacho.continue_from({"traceparent": Hostile(), "baggage": 5}):
        pass
    with tacho.continue_from(5):
        pass
print("layers", " ".join(span.layer for span in spans))
"""


def test_facts_told_wrongly_are_recorded_and_logged_never_raised(run_script):
    """Outside of tests no mistake in what a fact is given reaches the agent."""
    said = run_script(MISTAKES).stdout
    recorded = said.splitlines()[-1].split()[1:]
    assert recorded == [
        *("gate",) * 5,
        *("validation", "tool", "checkpoint", "handoff", "breaker", "breaker", "retry", "fallback"),
        *("eval", "normalize", "context", "repair", "step", "approval", "stop"),
    ]
    assert said.count("tachograph: gate: ") == 1
    assert "tachograph: budget: give at least one limit" in said


def test_a_request_that_outlives_its_run_is_pending(spans):
    """The approver stops the run instead of waiting: nobody has decided yet, and nothing failed."""

    def ask_by_mail(request, context):
        raise tacho.RunStopped("approval", "mail sent")

    @tacho.run
    def pay():
        tacho.approve("pay 900 USD", approver=ask_by_mail)

    with pytest.raises(tacho.RunStopped):
        pay()
    asked, run = spans
    assert asked.attributes[names.APPROVAL_DECISION] == "pending"
    assert (asked.status, run.attributes[names.RUN_OUTCOME]) == ("unset", "stopped")


def test_a_run_is_taken_up_by_its_id(spans):
    """Every span of the second attempt carries the first one's id; without an id it is a new run."""

    @tacho.run(resume=tacho.arg("run_id"))
    def work(run_id=None):
        tacho.checkpoint("x")
        return tacho.current_run().id

    first = work()
    assert work(first) == first
    assert work("") not in {"", first}
    resumed = [span.attributes.get(names.RESUMED) for span in spans.where(layer="run")]
    assert resumed == [None, True, None]
    assert [span.run_id == first for span in spans.where(layer="checkpoint")] == [True, True, False]


def test_headers_carry_the_run_and_nothing_else_of_it(spans):
    """Trace and run id go over; the user and the customer stay; the other side nests and counts."""

    @tacho.run(agent="near", user="u-1", customer="acme")
    def near():
        return tacho.context_headers(), tacho.current_run().id

    assert tacho.context_headers() == {}
    headers, run_id = near()
    assert set(headers) == {"traceparent", "baggage"}
    assert "acme" not in str(headers)
    assert "u-1" not in str(headers)
    root = spans.one(layer="run")
    for carrier in (headers, {f"HTTP_{k.upper()}": v for k, v in headers.items()},
                    [(k.encode(), v.encode()) for k, v in headers.items()]):  # fmt: skip
        with tacho.continue_from(carrier):
            assert tacho.current_run().id == run_id
            tacho.step(name="far")(lambda: None)()
        assert tacho.current_run().id == ""
    far = spans.where(name="far")
    assert [span.run_id for span in far] == [run_id] * 3
    assert {span.trace_id for span in far} == {root.trace_id}
    bridges = spans.where(name="continue run")
    assert {span.parent_id for span in bridges} == {root.span_id}
    assert [span.attributes[names.RUN_SPANS_MADE] for span in bridges] == [2, 2, 2]
    with tacho.continue_from({"accept": "*/*"}):
        assert not tacho.current_run()


OPTIONS = """
import tachograph as tacho
from tachograph.testing import captured_spans

class Hostile:
    def __str__(self): raise RuntimeError("no")
    __repr__ = __str__

h = Hostile()
decorators = [
    tacho.run(agent=h, tags=5, goal=h, session=h, trigger=h, resume=h, version=h),
    tacho.run(name=5, tags=[h], customer=5, resume="two words"),
    tacho.agent(name=h, version=h),
    tacho.step(name=5, capture_output="lots"),
    tacho.tool(name=h, risk=h, effect="maybe", scope=h, call_id=h),
    tacho.effect(name=5, risk="huge", scope=5),
    tacho.model(name=h, provider=h, model=h),
    tacho.retrieval(name=5, store=h),
    tacho.memory(name=h, operation=[1], tier=5),
]
with captured_spans() as spans:
    for decorate in decorators:
        assert decorate(lambda: 1)() == 1
print(" ".join(span.layer for span in spans))
print(any(span.attributes.get("tacho.run.resumed") for span in spans))
"""


def test_decorators_with_options_that_make_no_sense_still_record(run_script):
    """What was given is recorded as far as it can be; the decorated function never notices."""
    layers, resumed = run_script(OPTIONS).stdout.splitlines()[-2:]
    assert layers == "run run agent step tool tool model retrieval memory"
    assert resumed == "False"
