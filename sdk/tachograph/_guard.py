"""The one guard around the SDK's internals: a fault of the recorder never becomes a fault of the agent.

Logged, once a minute at most for each place; raised under pytest, so that our faults are loud in tests.
"""

from __future__ import annotations

import contextlib
import logging
import opcode
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from types import FrameType, TracebackType

from tachograph._moment import TookTooLong, for_a_moment, is_in_a_moment
from tachograph._waits import Mutex

LOGGER = logging.getLogger("tachograph")
QUIET_S = 60.0
"""How long the same complaint is held back after it was logged."""

_CHAIN_LIMIT = 8
_RAISING = ("RAISE", "RERAISE")
_LOOKING = ("RESUME", "JUMP")

_last_said_s: dict[str, float] = {}
_held_back: dict[str, int] = {}
_lock = Mutex()
unsaid: deque[tuple[int, str, tuple[object, ...]]] = deque()
"""Complaints that came up under the recorder's lock: said when it is given back. A handler of ``logging`` is code of others,
which may want a lock that somebody has who waits for the recorder's."""


def _has_none() -> bool:
    return False


has_lock: Callable[[], bool] = _has_none
"""Whether this thread has the lock of the recorder in use."""


def say_rarely(key: str, message: str, *args: object, level: int = logging.WARNING) -> bool:
    """Log ``message`` unless ``key`` was logged in the last minute; tells whether it is logged.

    Complaints held back are counted, and the count is added to the next one that is logged. Under the recorder's lock it
    waits until :func:`say_unsaid`.
    """
    now_s = time.monotonic()
    with _lock:
        last_s = _last_said_s.get(key)
        if last_s is not None and now_s - last_s < QUIET_S:
            _held_back[key] = _held_back.get(key, 0) + 1
            return False
        _last_said_s[key] = now_s
        held = _held_back.pop(key, 0)
    if held:
        message = f"{message} ({held} more like this in the last minutes)"
    unsaid.append((level, message, args))
    say_unsaid()
    return True


def say_unsaid() -> None:
    """Log what came up under the recorder's lock, unless this thread still has it."""
    while unsaid and not has_lock():
        try:
            level, message, args = unsaid.popleft()
        except IndexError:
            return  # another thread says it
        LOGGER.log(level, message, *args)


def under_pytest() -> bool:
    """Whether a test is running, so that faults of the SDK should be raised."""
    return "PYTEST_CURRENT_TEST" in os.environ


class guarded:  # noqa: N801 - read as a keyword: `with guarded("what"):`
    """Keep faults of the block away from the agent: ``with guarded("capturing the input"): ...``.

    What arrived from outside (a Ctrl-C while the block ran) goes on to the agent: see
    :func:`pass_on`.
    """

    __slots__ = ("what",)

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        return error is not None and contain(self.what, error)


def contain(what: str, error: BaseException) -> bool:
    """Log a fault inside the SDK; False when it must be raised (under pytest). See :func:`pass_on`."""
    pass_on(error)
    if under_pytest():
        return False
    # Near the recursion limit, or at the end of the interpreter, even logging may fail.
    with contextlib.suppress(Exception):
        say_rarely(
            f"guard:{what}",
            "tachograph failed while %s and recorded less; the agent is not affected: %s: %s",
            what,
            type(error).__name__,
            _message_of(error),
        )
    return True


def _message_of(error: BaseException) -> str:
    try:
        return for_a_moment(str, error)[:500]
    except BaseException as fault:
        pass_on(fault)
        return "(its message could not be read)"


def pass_on(error: BaseException) -> None:
    """Raise what was put into running code from outside, and return when ``error`` is no such thing.

    A Ctrl-C, or what a signal's handler raises, belongs to the agent, even if it happened to arrive
    while the SDK (or a method of the user's that the SDK called) was running. An exception that the
    called code raised by itself does not: the agent without a recorder would never have seen it. The two
    differ in where they start: in a handler of a signal, or at an instruction that raises nothing by
    itself. Causes and contexts are looked at as well, as code that is interrupted may raise something
    else; then the interruption itself is raised.
    """
    if getattr(type(error), "ends_replay", False) or (
        type(error) is TookTooLong and is_in_a_moment()
    ):
        raise error
    seen = 0
    link: BaseException | None = error
    while link is not None and seen < _CHAIN_LIMIT:
        by_itself = issubclass(type(link), (Exception, TookTooLong))
        if not by_itself and _interrupted(link):
            # What the agent is handling at this moment has reached it already.
            if link is error or not _handled_further_out(link):
                raise link
            return
        link, seen = link.__cause__ or link.__context__, seen + 1


def _handled_further_out(error: BaseException) -> bool:
    trace = error.__traceback__
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if trace is not None and frame is trace.tb_frame:
            return True
        frame = frame.f_back
    return False


def _interrupted(error: BaseException) -> bool:
    trace = error.__traceback__
    if trace is None:
        return False
    handlers = _handler_codes()
    while True:
        if trace.tb_frame.f_code in handlers:
            return True
        if trace.tb_next is None:
            break
        trace = trace.tb_next
    code = trace.tb_frame.f_code.co_code
    name = opcode.opname[code[trace.tb_lasti]] if 0 <= trace.tb_lasti < len(code) else ""
    if issubclass(type(error), KeyboardInterrupt):
        return not name.startswith(_RAISING)
    # An exception set for this thread from another one arrives where the interpreter looks for signals.
    return name.startswith(_LOOKING)


def _handler_codes() -> set[object]:
    handlers = (signal.getsignal(number) for number in signal.valid_signals())
    functions = (getattr(handler, "__func__", handler) for handler in handlers)
    return {getattr(function, "__code__", None) for function in functions} - {None}


def _renew_lock() -> None:
    global _lock
    _lock = Mutex()
    unsaid.clear()  # the parent says it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
