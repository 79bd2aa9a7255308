"""Every parameter of every public call is given every hostile value: the agent notices nothing, and a record is made."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import types

import pytest
from hostile_values import HOSTILE

import tachograph as tacho
from tachograph import _facts, _guard, _moment
from tachograph.testing import captured_spans


@pytest.fixture(autouse=True)
def short_moments(monkeypatch, tmp_path):
    """Code of values is left soon. Mistakes of the caller are logged, as in production; faults of ours are raised."""
    monkeypatch.setattr(_moment, "LIMIT_CPU_S", 0.001)
    monkeypatch.setattr(_moment, "_TICK_S", 0.0005)
    monkeypatch.setattr(_facts, "under_pytest", lambda: False)
    monkeypatch.setenv("TACHO_HOME", str(tmp_path))
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    yield
    sys.setswitchinterval(interval_s)


@tacho.run
def in_run(does):
    """What ``does`` gives inside of a run."""
    return does()


def plainly(made):
    """Nothing more to do with it."""
    return type(made).__name__


def entered(block):
    """Enter and leave a block."""
    with block:
        pass
    return plainly(block)


def decorating(decorator):
    """Call a function that was decorated with an option."""
    return decorator(lambda given: given)("an argument")


def run_method(name):
    """A method of the current run, with the signature that it has there."""

    def call(*args, **kwargs):
        return in_run(lambda: getattr(tacho.current_run(), name)(*args, **kwargs))

    call.__signature__ = inspect.signature(functools.partial(getattr(tacho.Run, name), None))
    return call


def repair_method(name):
    def call(*args, **kwargs):
        with tacho.repair("terms") as loop:
            return getattr(loop, name)(*args, **kwargs)

    call.__signature__ = inspect.signature(functools.partial(getattr(tacho.Repair, name), None))
    return call


def budget_used(unit):
    with tacho.budget(usd=1) as budget:
        return budget.used(unit)


def block_output(value):
    with tacho.step(name="plan") as block:
        block.output(value)


def approve_async(**given):
    # A loop would show the result of its main task to itself (``repr``), with what is in it.
    with pytest.raises(StopIteration) as ended:
        tacho.approve_async(**given).send(None)
    return ended.value.value


approve_async.__signature__ = inspect.signature(tacho.approve_async)


def say_yes(_request, _context):
    return True


CALLS = {
    "gate": (tacho.gate, {"rule": "r", "allow": True}, plainly),
    "enforce": (lambda rule, reason: tacho.gate(rule, allow=False, reason=reason).enforce(), {"rule": "r", "reason": "r"}, plainly),
    "tool_refused": (tacho.tool_refused, {"tool": "t"}, plainly),
    "validate": (tacho.validate, {"check": "c", "ok": True}, plainly),
    "checkpoint": (tacho.checkpoint, {"label": "l"}, plainly),
    "stop": (tacho.stop, {"rule": "r", "reason": "why"}, plainly),
    "handoff": (tacho.handoff, {"to": "t"}, plainly),
    "breaker_event": (tacho.breaker_event, {"name": "b", "from_state": "open", "to_state": "closed"}, plainly),
    "breaker_refused": (tacho.breaker_refused, {"name": "b"}, plainly),
    "retry_event": (tacho.retry_event, {"of": "t", "attempt": 1}, plainly),
    "fallback_event": (tacho.fallback_event, {"from_": "a", "to": "b"}, plainly),
    "evaluate": (tacho.evaluate, {"name": "e"}, plainly),
    "normalized": (tacho.normalized, {}, plainly),
    "context_chosen": (tacho.context_chosen, {}, plainly),
    "cost": (tacho.cost, {"usd": 0.1, "human_s": 60, "usd_per_hour": 1}, plainly),
    "cache_hit": (tacho.cache_hit, {}, plainly),
    "approve": (tacho.approve, {"request": "r", "approver": say_yes}, plainly),
    "approve_async": (approve_async, {"request": "r", "approver": say_yes}, plainly),
    "current_run().tag": (run_method("tag"), {}, plainly),
    "current_run().outcome": (run_method("outcome"), {"outcome": "success"}, plainly),
    "current_run().set": (run_method("set"), {}, plainly),
    "repair": (tacho.repair, {"what": "w"}, entered),
    "Repair.attempt": (repair_method("attempt"), {}, plainly),
    "Repair.gave_up": (repair_method("gave_up"), {}, plainly),
    "budget": (tacho.budget, {"usd": 1}, entered),
    "Budget.used": (budget_used, {}, plainly),
    "continue_from": (tacho.continue_from, {}, entered),
    "on_degrade": (tacho.on_degrade, {}, plainly),
    "Block.output": (block_output, {}, plainly),
    "arg": (lambda name: decorating(tacho.run(goal=tacho.arg(name))), {}, plainly),
    "flush": (tacho.flush, {}, plainly),
    "shutdown": (tacho.shutdown, {}, plainly),
    "instrument": (tacho.instrument, {}, plainly),
    "uninstrument": (tacho.uninstrument, {}, plainly),
    "a step": (lambda name: entered(tacho.step(name=name)), {}, plainly),
} | {name: (getattr(tacho, name), {}, decorating) for name in (
    "run", "agent", "model", "tool", "effect", "retrieval", "memory", "step", "normalize", "context",
)}  # fmt: skip
TAKE_A_FUNCTION = {"function"}
"""Parameters of decorators; an object that is no function is refused with a TypeError where it is decorated."""
ELSEWHERE = {
    "ApprovalPolicy": "a value that makes no sense is a ValueError, as its docstring says",
    "Budget": "budget", "Continued": "continue_from", "Repair": "repair", "Run": "current_run",
    "Decision": "what an approver makes", "Verdict": "what gate gives", "BudgetExceeded": "raised, not called",
    "Refused": "raised, not called", "RunStopped": "raised, not called", "TachographError": "raised, not called",
    "cached": "takes a function", "wrap": "takes a function", "masked": "takes an exporter",
    "context_headers": "takes nothing", "current_run": "takes nothing", "degraded": "takes nothing",
    "init": "test_init_with_hostile_settings",
}  # fmt: skip
DOCUMENTED = {
    "stop": tacho.RunStopped,
    "enforce": tacho.Refused,
    "instrument": ValueError,
    "uninstrument": ValueError,
    "tool": tacho.Refused,  # an approval that makes no sense asks, and there is nobody to ask
    "effect": tacho.Refused,
}
READ_IN_ONE_PLACE = {"aliases", "capture_input", "capture_output"}
"""Options of all decorators: tried where they are read."""
MAKES_NO_SPAN = {
    "on_degrade",
    "flush",
    "shutdown",
    "instrument",
    "uninstrument",
    "budget",
    "Budget.used",
    "continue_from",
}
TRIALS = [
    pytest.param(name, parameter, id=f"{name}-{parameter}")
    for name, (call, _, _) in CALLS.items()
    for parameter in inspect.signature(call).parameters
    if parameter not in TAKE_A_FUNCTION
    and not (parameter in READ_IN_ONE_PLACE and name not in {"run", "tool"})
]


def outcome_of(name, parameter, value):
    """What an agent sees of a call; what the call may raise by its own documentation is what it sees."""
    call, base, then = CALLS[name]
    kind = inspect.signature(call).parameters[parameter].kind
    try:
        if kind is inspect.Parameter.VAR_POSITIONAL:
            return then(call(value))
        if kind is inspect.Parameter.VAR_KEYWORD:
            return then(call(free=value))
        if kind is inspect.Parameter.POSITIONAL_ONLY:
            return then(call(value))
        return then(call(**{**base, parameter: value}))
    except DOCUMENTED.get(name, ()) as error:
        return type(error).__name__


@contextlib.contextmanager
def made(make):
    """A hostile value; a coroutine among them is awaited by nobody, and is closed here."""
    value = make()
    yield value
    if type(value) is types.CoroutineType:
        assert inspect.getcoroutinestate(value) == inspect.CORO_CREATED
        value.close()


def is_function(name, parameter, value):
    """An approver that is called may raise, and hang, as the agent's own code may."""
    return parameter in {"approver", "hook", "on_reached"} and callable(value)


def test_every_public_call_is_tried():
    tried = {name.partition(".")[0].removesuffix("()") for name in CALLS}
    assert set(tacho.__all__) - tried == set(ELSEWHERE) - tried


@pytest.mark.parametrize(("name", "parameter"), TRIALS)
def test_nothing_that_is_given_breaks_or_hangs_the_agent(name, parameter):
    """The call ends as it does with the recorder off, and what could be recorded is."""
    for kind, make in HOSTILE.items():
        with made(make) as value:
            if is_function(name, parameter, value):
                continue
            with captured_spans() as spans:
                outcome = outcome_of(name, parameter, value)
            assert spans or name in MAKES_NO_SPAN, f"{kind}: no record"
            if not kind.startswith("endless"):  # they take their moment each time
                assert outcome_of(name, parameter, value) == outcome, kind


@pytest.mark.parametrize("decorator", ["run", "model", "tool", "retrieval"])
def test_calls_with_hostile_values_end_as_undecorated_ones_do(decorator):
    """What goes in comes out as the same object; what is raised comes out as the same exception."""
    passed = getattr(tacho, decorator)(lambda query: query)
    raised = getattr(tacho, decorator)(raises)
    for kind, make in HOSTILE.items():
        with made(make) as value, captured_spans() as spans:
            assert passed(value) is value, kind
            if issubclass(type(value), Exception):
                with pytest.raises(type(value)) as caught:
                    raised(value)
                assert caught.value is value
            assert spans, kind


def raises(query):
    raise query


def said(spans):
    return "".join(f"{key} {value}" for span in spans for key, value in span.attributes.items())


@pytest.mark.parametrize(
    "kind", ["broken object", "endless object", "broken error", "exiting error"]
)
@pytest.mark.parametrize(
    "tell",
    [
        lambda value: tacho.gate("r", allow=True, reason=value),
        lambda value: tacho.validate("c", ok=True, field=value),
        lambda value: tacho.evaluate("e", score=value),
        lambda value: tacho.tool_refused("t", offered=[value]),
        lambda value: tacho.context_chosen(dropped={"stale": 1, value_of_length(value): 2}),
        tacho.handoff,
    ],
    ids=["gate", "validate", "evaluate", "tool_refused", "context_chosen", "handoff"],
)
def test_what_cannot_be_recorded_says_why(kind, tell):
    with captured_spans() as spans:
        tell(HOSTILE[kind]())
    assert "could not be recorded" in said(spans)


class value_of_length:  # noqa: N801 - reads as a function above
    """A key whose text is what ``value``'s text is."""

    def __init__(self, value):
        self.value = value

    def __str__(self):
        return str(self.value)


def test_an_endless_mapping_of_what_was_dropped_is_counted_as_far_as_it_is_read():
    with captured_spans() as spans:
        tacho.context_chosen(dropped=HOSTILE["endless mapping"]())
    assert 0 < spans[0].attributes["tacho.context.dropped"] <= 100


SETTINGS = sorted(set(inspect.signature(tacho.init).parameters) - {"home"})


@pytest.mark.parametrize("setting", SETTINGS)
def test_init_with_hostile_settings(setting, monkeypatch):
    """It never raises, and ends at once; nothing is sent anywhere."""
    monkeypatch.setenv("TACHO_SPOOL_MAX_BYTES", "0")
    for kind, make in HOSTILE.items():
        if kind == "huge text" and setting in {"redact", "redact_paths"}:
            continue
        with made(make) as value:
            base = {"endpoint": "http://127.0.0.1:9", "record": "off", "heartbeat_s": 0}
            monkeypatch.setattr(_guard, "under_pytest", lambda: False)
            tacho.init(**{**base, setting: value})
            tacho.shutdown(0)
