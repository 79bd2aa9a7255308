"""Code of the agent's values that only the recorder runs (a model's dump, an exception's text) gets a moment.

A loop there would hang an agent that without a recorder would never have run it. So a thread watches, from the first such
call on: it puts an exception into the thread that has been at it for too long, which is how an interpreter can be made to
leave a loop. Who ends a call takes back what has not arrived, so that nothing does in code of the agent's. No lock is held
where it may arrive: it would be left held.

Time is counted in rounds of the watch. A process that is stopped, or cannot run, gets none, and none of its code is ended.
Nor is a thread that only waits, for a lock say: the exception would arrive once it has that lock, and nobody would give
the lock back. What blocks outside of the interpreter could not be left anyway.
"""

from __future__ import annotations

import os
import sys
import time
from _thread import get_ident, get_native_id, start_new_thread
from collections.abc import Callable
from time import sleep
from types import FrameType
from typing import Any, ParamSpec, TypeVar

from tachograph._stacks import frame_of_thread
from tachograph._waits import Mutex

P = ParamSpec("P")
R = TypeVar("R")

LIMIT_CPU_S = 2.0
"""How much of a processor all the code of one payload, or of one exception, may take."""
LIMIT_S = 5.0
"""How long it may go on, waiting between. More, as on a busy machine all takes long."""
_TICK_S = 0.25
_SETTLE_S = 1.0
"""Longer than it takes to put an exception into a thread; the watch may be gone in the midst of it, after a fork."""
_clock: Any = getattr(time, "clock_gettime", None)
"""As it is now: a replay has clocks of its own."""


class TookTooLong(BaseException):
    """Ends code of a value's that has had its moment."""


class _Call:
    """One call that is being watched."""

    __slots__ = ("cpu_s", "frame_id", "had_cpu_s", "is_settled", "native_id", "rounds", "was_ended")

    def __init__(self, frame: FrameType) -> None:
        # Not the frame itself: it would hold this, and with it what the agent gave, until the next collection.
        self.frame_id = id(frame)
        self.native_id = get_native_id()
        self.was_ended = False
        self.is_settled = True
        """False while the watch may be about to put an exception into the thread."""
        self.begin_anew()

    def begin_anew(self) -> None:
        self.rounds = 0
        self.cpu_s: float | None = None
        """What its thread had used when it was last looked at; most calls are over before."""
        self.had_cpu_s = 0.0

    def is_over_time(self) -> bool:
        used_s = _cpu_s(self.native_id)
        if self.cpu_s is None:
            self.cpu_s = self.had_cpu_s = used_s
            return False
        self.rounds += 1
        watched_s = self.rounds * _TICK_S
        only_waits, self.cpu_s = 0 < used_s == self.cpu_s, used_s
        if only_waits:
            return False
        return min(used_s - self.had_cpu_s, watched_s) > LIMIT_CPU_S or watched_s > LIMIT_S


def _cpu_s(native_id: int) -> float:
    """What a thread has used of a processor, in seconds; 0 where the system has no clock for it."""
    try:
        # How Linux names the clock of a thread; by the handle of the thread a wrong one would be a crash.
        return float(_clock((~native_id << 3) | 6))
    except (TypeError, OSError):
        return 0.0


_under_way: dict[int, _Call] = {}
"""By thread."""
_lock = Mutex()
"""Held where a watch begins and where it ends."""
_is_watching = False


def for_a_moment(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call ``function``; a call inside of another one is a part of that.

    Raises:
        TookTooLong: it used up :data:`LIMIT_CPU_S` or :data:`LIMIT_S`.
    """
    thread = get_ident()
    if thread in _under_way:
        return function(*args, **kwargs)
    call = _Call(sys._getframe())
    try:
        try:
            _under_way[thread] = call
            if not _is_watching:
                _begin_to_watch()
            return function(*args, **kwargs)
        finally:
            _leave(thread, call)
    except BaseException:
        # It may have come in the midst of leaving, or Ctrl-C.
        _leave(thread, call)
        raise


def is_in_a_moment() -> bool:
    """Whether this thread is in such a call, which then ends as a whole."""
    return get_ident() in _under_way


def _leave(thread: int, call: _Call) -> None:
    # In this order, as the watch says first what it is about to do, and then looks into the table.
    _under_way.pop(thread, None)
    if call.was_ended:
        waited_s = 0.0
        while not call.is_settled and waited_s < _SETTLE_S:
            sleep(0.001)
            waited_s += 0.001
        _put(thread, None)


def _begin_to_watch() -> None:
    global _is_watching
    with _lock:
        if not _is_watching:
            try:
                start_new_thread(_watch, ())
            except RuntimeError:
                return  # no thread is to be had, as when the interpreter ends: then nobody watches
            _is_watching = True


def _watch() -> None:
    global _is_watching
    while True:
        sleep(_TICK_S)
        with _lock:
            # In this order, as who begins looks without the lock, after it is in the table.
            _is_watching = False
            if not _under_way:
                return
            _is_watching = True
        # A copy, as others come and go.
        for thread, call in _under_way.copy().items():
            if call.is_over_time():
                _end(thread, call)


def _end(thread: int, call: _Call) -> None:
    """Put the exception into the thread, unless it has left the call."""
    call.begin_anew()  # in case the code there goes on in spite of it
    call.is_settled = False
    call.was_ended = True
    if _under_way.get(thread) is call and _runs(thread, call.frame_id):
        _put(thread, TookTooLong)
    call.is_settled = True


def _runs(thread: int, frame_id: int) -> bool:
    """Whether the thread is in this call now. A greenlet may have left it for code of the agent's, to come back later."""
    frame = frame_of_thread(thread)
    while frame is not None:
        if id(frame) == frame_id and frame.f_code is for_a_moment.__code__:
            return True
        frame = frame.f_back
    return False


def _put(thread: int, error: Any) -> None:
    """Have a thread raise ``error`` at its next instruction; None takes back what has not been raised yet."""
    try:
        import ctypes  # slow to import, and hardly ever needed

        put = ctypes.pythonapi.PyThreadState_SetAsyncExc
    except (ImportError, AttributeError):
        return  # an interpreter that was built without: there nothing can be ended
    put(ctypes.c_ulong(thread), None if error is None else ctypes.py_object(error))


def _begin_anew() -> None:
    global _is_watching, _lock
    _lock = Mutex()
    _under_way.clear()
    _is_watching = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
