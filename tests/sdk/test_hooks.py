"""What the user's own methods raise while they are recorded changes nothing; a Ctrl-C is never lost."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal

import pytest

import tachograph as tacho
from tachograph import _guard
from tachograph._capture import capture
from tachograph._guard import pass_on


class OwnError(BaseException):
    pass


ERRORS = [
    ValueError,
    asyncio.CancelledError,
    SystemExit,
    KeyboardInterrupt,
    GeneratorExit,
    StopIteration,
    RecursionError,
    MemoryError,
    OwnError,
]


def raising(error):
    """Values each of which raises ``error`` wherever it is touched."""

    def fail(*_args, **_options):
        raise error

    class Dumps:
        model_dump = fail

    @dataclasses.dataclass
    class Reads:
        field: int = 0

        def __getattribute__(self, name):
            return fail() if name == "field" else super().__getattribute__(name)

    class Text:
        __str__ = __repr__ = __format__ = __len__ = __iter__ = __eq__ = __hash__ = __bool__ = fail

    class Meta(type):
        __module__ = property(fail)
        __name__ = property(fail)
        __hash__ = __eq__ = fail

    class Classed(metaclass=Meta):
        pass

    class Broken(Exception):
        __str__ = __repr__ = fail

    return [Dumps(), Reads(), Text(), Classed(), Broken(), [Dumps()], {"a": Text()}, {1, 2}]


@pytest.fixture
def as_for_users(monkeypatch):
    """Faults are contained as they are outside tests."""
    monkeypatch.setattr(_guard, "under_pytest", lambda: False)
    monkeypatch.setattr(_guard, "_last_said_s", {})


@pytest.mark.parametrize("error", ERRORS)
def test_hooks_may_raise_anything_and_the_agent_never_sees_it(error, spans):
    """Arguments, results, yielded items, goals, errors: the call does what it does without us."""
    for value in raising(error):
        assert tacho.tool(lambda given: given)(value) is value
        assert next(tacho.step(_one)(value)) is value
    result = tacho.run(goal=_raiser(error), session=_raiser(error))(lambda task: task)("t")
    assert result == "t"
    run = spans.one(layer="run")
    assert run.attributes["tacho.run.goal"] == f"could not be recorded: {_name(error)}"
    texts = [text for span in spans for text in map(str, span.attributes.values())]
    assert any(f"could not be recorded: {_name(error)}" in text for text in texts)


def _one(value):
    yield value


def _raiser(error):
    def fail(_):
        raise error

    return fail


def _name(error):
    return (
        error.__name__ if error.__module__ == "builtins" else f"{error.__module__}.{error.__name__}"
    )


@pytest.mark.parametrize("error", ERRORS)
def test_exception_with_a_hostile_text_comes_out_as_it_went_in(error, spans):
    """Its type, arguments and cause, whatever its own methods raise."""

    class Odd(Exception):
        def __str__(self):
            raise error

        __repr__ = __str__

        @property
        def __class__(self):
            raise error

    cause = KeyError("k")
    odd = Odd(1)

    def fail():
        raise odd from cause

    with pytest.raises(BaseException) as caught:
        tacho.step(fail)()
    assert caught.value is odd
    assert odd.__cause__ is cause
    assert odd.args == (1,)
    assert spans.one().status == "error"


def test_ctrl_c_during_a_hook_reaches_the_agent(spans):
    """A signal that arrives while the SDK reads a value is the agent's, not the value's."""

    class Slow:
        def model_dump(self, mode):
            signal.raise_signal(signal.SIGINT)
            return {}

    with pytest.raises(KeyboardInterrupt):
        tacho.tool(lambda value: value)(Slow())


def test_ctrl_c_that_a_hook_turned_into_something_else_reaches_the_agent(spans):
    """Code that is interrupted may say so in its own words."""

    class Wraps:
        def model_dump(self, mode):
            try:
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(10_000):
                    pass
            except BaseException as error:
                raise ValueError("stopped") from error

    with pytest.raises(KeyboardInterrupt):
        tacho.tool(lambda value: value)(Wraps())


def test_fault_of_a_hook_is_held_while_the_agent_handles_a_ctrl_c(spans):
    """The interruption has reached the agent already; its clean-up must not meet our troubles."""
    bad = raising(ValueError)[0]
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        assert tacho.tool(lambda value: value)(bad) is bad
        with pytest.raises(ZeroDivisionError):
            tacho.tool(lambda value: value / 0)(1)
        pass_on(ValueError("held"))
    assert "could not be recorded: ValueError" in str(spans[0].attributes)


def test_exception_of_a_signal_handler_reaches_the_agent_and_ends_the_run(spans):
    """Schedulers stop workers with SIGTERM and a handler that raises; the run is recorded as ended."""

    def stop(_number, _frame):
        raise SystemExit(3)

    class Slow:
        def model_dump(self, mode):
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(10_000):
                pass

    @tacho.run(agent="a")
    def work():
        return Slow()

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(SystemExit):
            work()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert spans.one(layer="run").attributes["tacho.run.outcome"]


def test_own_keyboard_interrupt_of_a_hook_is_noted_in_the_record():
    """Raised by the code itself: without a recorder the agent would never have seen it."""
    assert json.loads(capture(raising(KeyboardInterrupt)[0], 1_000)[0])["error"] == (
        "could not be recorded: KeyboardInterrupt"
    )


def test_guard_holds_everything_but_what_came_from_outside(as_for_users):
    """Also outside of the main path: flushing, ending, counting."""
    for error in ERRORS:
        with _guard.guarded("x"):
            raise error
    with pytest.raises(KeyboardInterrupt):
        with _guard.guarded("x"):
            signal.raise_signal(signal.SIGINT)
