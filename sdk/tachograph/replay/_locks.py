"""Where threads wait for each other: locks, queues, the ends of threads, and the clocks that waiting goes by.

Everything in ``threading``, ``queue`` and ``concurrent.futures`` that waits does so on ``_thread.lock``, ``_thread.RLock`` or
``SimpleQueue``. They are C types; while a run passes a baton, their methods are replaced in the types' dictionaries, for
threads that hold one. All other threads get to the real method after one look into a dictionary, the main one with what it
took noted; when no run passes a baton nothing is replaced.
"""

from __future__ import annotations

import _queue
import _thread
import concurrent.futures._base as futures
import concurrent.futures.thread as pools
import functools
import queue
import sys
import threading
import time
from _thread import get_ident
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

from tachograph._waits import Mutex
from tachograph.replay._divergence import Diverged
from tachograph.replay._place import PLACE, exactly_here
from tachograph.replay._sources import in_type, is_library

if TYPE_CHECKING:
    from tachograph.replay._member import Member

LOCK = type(_thread.allocate_lock())
ACQUIRE: Callable[..., bool] = LOCK.acquire
"""The real ones, for us."""
ACQUIRE_R: Callable[..., bool] = _thread.RLock.acquire

members: dict[int, Member] = {}
"""Threads that take part in a run's turns, by their identifiers."""

_PASSING_ON = frozenset(
    (
        *("threading", "queue", "contextlib", "concurrent.futures._base", __name__),
        *("concurrent.futures.thread", "tachograph.replay._baton"),
    )
)
"""Modules that wait on behalf of whoever called them."""
_MACHINERY = frozenset((("threading", "start"), ("concurrent.futures.thread", "submit")))
"""What they wait for in there comes at once, from threads that take no turns yet."""
_THEIRS = frozenset(
    id(getattr(module, name, None))
    for module, name in (
        (threading, "_active_limbo_lock"),
        (threading, "_shutdown_locks_lock"),
        (pools, "_global_shutdown_lock"),
    )
) - {id(None)}
"""Locks of theirs that threads take when they end, in no turn; nobody holds them for long."""
_LOOK_S = 0.05
"""How often a replay that waits for the end of a thread looks whether it has failed meanwhile."""
_guard = Mutex()
_users = 0
_undo: list[Callable[[], None]] = []


def why_not() -> str:
    """Why threads cannot be made to take turns in this interpreter; empty when they can."""
    if sys.implementation.name != "cpython" or LOCK.__module__ != "_thread":
        return "its threads are not those of CPython"
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return "its interpreter runs without a global lock"
    return ""


def install() -> None:
    """A run passes a baton. Counted."""
    global _users
    with _guard:
        _users += 1
        if _users == 1:
            _replace_locks()
            _replace_queue()
            _replace_clocks()
            _replace_join()
            _replace_results()


def uninstall() -> None:
    """It does no more."""
    global _users
    with _guard:
        _users -= 1
        while _undo and not _users:
            _undo.pop()()


def forget() -> None:
    """No run passes a baton: a forked child has none of its parent's."""
    global _guard, _users
    # Whoever held it is not here to let it go.
    _guard, _users = Mutex(), 0
    members.clear()
    while _undo:
        _undo.pop()()


def _holder() -> Member | None:
    """This thread, when it holds a baton and its waiting is part of it."""
    me = members.get(get_ident())
    return me if me is not None and me.holds and not me.raw else None


def _for_the_agent() -> bool:
    """Whether code of the agent waits here, and no library on its own account."""
    place = PLACE.get()
    if place is None or place.inside:
        return False
    frame: Any = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name not in _PASSING_ON:
            return not is_library(name)
        if (name, frame.f_code.co_name) in _MACHINERY:
            return False
        frame = frame.f_back
    return False


def in_machinery(frame: FrameType | None) -> bool:
    """Whether a thread is being started there, which takes a while on a busy machine."""
    while frame is not None and frame.f_globals.get("__name__") in _PASSING_ON:
        if (frame.f_globals["__name__"], frame.f_code.co_name) in _MACHINERY:
            return True
        frame = frame.f_back
    return False


def _replace_locks() -> None:
    lock = _acquiring(ACQUIRE, LOCK.locked, LOCK.release)
    for name in ("acquire", "acquire_lock", "__enter__"):
        in_type(LOCK, name, lock, _undo)
    again = _acquiring(ACQUIRE_R, _is_taken, _thread.RLock.release)
    for name in ("acquire", "__enter__"):
        in_type(_thread.RLock, name, again, _undo)
    real: Callable[..., None] = _thread.RLock._acquire_restore  # type: ignore[attr-defined]  # what Condition uses

    def restore(self: Any, state: Any) -> None:
        if _holder() is None:
            real(self, state)
            return
        count, _ = state
        for _ in range(count):
            again(self)

    in_type(_thread.RLock, "_acquire_restore", restore, _undo)
    wait = threading.Condition.wait

    @functools.wraps(wait)
    def wait_anew(self: Any, timeout: float | None = None) -> bool:
        if _holder() is not None and type(self._lock) is _thread.RLock:
            # One that was made before has the methods of its lock from then.
            lock: Any = self._lock
            self.acquire, self._acquire_restore = lock.acquire, lock._acquire_restore
        return wait(self, timeout)

    _put(threading.Condition, "wait", wait_anew)


def _is_taken(lock: Any) -> bool:
    """Whether another thread has an RLock. Asked by threads that wait for it, or by the watch."""
    if lock._is_owned() or not ACQUIRE_R(lock, False):
        return True
    lock.release()
    return False


def _acquiring(
    real: Callable[..., bool], taken: Callable[[Any], bool], release: Callable[[Any], None]
) -> Callable[..., bool]:
    main = threading.main_thread().ident

    def acquire(self: Any, blocking: bool = True, timeout: float = -1) -> bool:
        ident = get_ident()
        me = members.get(ident)
        if me is None and ident != main:
            return real(self, blocking, timeout)  # handlers of signals run in the main thread alone
        came_of_it: list[bool] = []

        def attempt(blocking: bool = False, timeout: float = -1) -> bool:
            # In one call of C, so that it is known: a Ctrl-C comes while it waits, or when this is done.
            came_of_it.extend(map(real, (self,), (blocking,), (timeout,)))
            return came_of_it[-1]

        try:
            if me is None or not me.holds or me.raw or not blocking or timeout == 0:
                return attempt(blocking, timeout)
            if attempt():
                return True
            if id(self) in _THEIRS or not _for_the_agent():
                return attempt(True, timeout)
            waits_s = None if timeout < 0 else timeout
            got = me.baton.until(me, attempt, lambda: not taken(self), waits_s)
            return attempt(True, timeout) if got is None else got
        except BaseException:
            # As with a lock of C, whose block is not entered: nobody else would give it back.
            if came_of_it and came_of_it[-1]:
                release(self)
            raise

    return acquire


def _replace_queue() -> None:
    real: Callable[..., Any] = _queue.SimpleQueue.get

    def get(self: Any, block: bool = True, timeout: float | None = None) -> Any:
        me = _holder()
        if me is None or not block or timeout == 0 or not _for_the_agent():
            return real(self, block, timeout)
        found: list[Any] = []

        def attempt() -> bool:
            try:
                found.append(real(self, False))
            except _queue.Empty:
                return False
            return True

        got = attempt() or me.baton.until(me, attempt, lambda: not self.empty(), timeout)
        if got is None:
            return real(self, True, timeout)
        if not got:
            raise _queue.Empty
        return found[0]

    in_type(_queue.SimpleQueue, "get", get, _undo)


def _put(owner: Any, name: str, value: Any) -> None:
    before = getattr(owner, name)
    setattr(owner, name, value)
    _undo.append(lambda: setattr(owner, name, before))


def _replace_clocks() -> None:
    """Timeouts of queues and futures are measured by a clock whose readings are recorded."""
    real = time.monotonic

    def monotonic() -> float:
        place = exactly_here() if _holder() is not None and _for_the_agent() else None
        if place is None:
            return real()
        return float(place.engine.read(place.node, "~threads.monotonic", real))

    class Clock:
        """What the module needs of ``time``."""

    setattr(Clock, "monotonic", staticmethod(monotonic))  # noqa: B010 - a method made above
    _put(queue, "time", monotonic)
    _put(threading, "_time", monotonic)
    _put(futures, "time", Clock)


def _replace_join() -> None:
    real = threading.Thread.join

    @functools.wraps(real)
    def join(self: threading.Thread, timeout: float | None = None) -> None:
        me = _holder()
        known: Any = self
        if me is None or self is threading.current_thread() or not known._started.is_set():
            real(self, timeout)
        elif _for_the_agent():
            _join_in_turn(me, self, timeout, real)
        else:
            real(self, timeout)

    _put(threading.Thread, "join", join)


def _join_in_turn(
    me: Member, thread: threading.Thread, timeout: float | None, real: Callable[..., None]
) -> None:
    baton = me.baton
    engine = baton.engine
    deadline_s = None if timeout is None else time.monotonic() + timeout
    late = False
    # Which worker of a pool did the last of its work is not fixed, so nor is the one that is waited for.
    is_worker = thread in pools._threads_queues

    def takes_part() -> bool:
        return any(member.thread is thread for member in baton.members)

    def ready() -> bool:
        # On a recording it is enough that it takes no turns any more; a continued run may go live meanwhile.
        if engine.replaying:
            return is_worker or not takes_part()
        return late or not thread.is_alive()

    baton.put_down(me)
    try:
        if not engine.replaying:
            real(thread, timeout)
            late = timeout is not None and thread.is_alive()
    finally:
        said = baton.take(me, "join", ready, deadline_s, timed_out=late)
    if said == "timeout":
        return
    me.raw += 1
    try:
        while engine.replaying and thread.is_alive():
            if is_worker and takes_part():
                return  # its work comes in its turn
            real(thread, _LOOK_S)  # it has ended, or is about to
            engine.stop_if_failed()
        real(thread, timeout)
    finally:
        me.raw -= 1


def _replace_results() -> None:
    """Work of a pool has its turns from when its future says that it runs, until those who wait for it are told."""
    begin, run = futures.Future.__init__, futures.Future.set_running_or_notify_cancel

    @functools.wraps(begin)
    def begin_named(self: Any) -> None:
        begin(self)
        me = _holder()
        if me is not None and me.submits:
            # Before its worker can know of it.
            self.__dict__["_tacho_turns"], me.submits = (me.baton, me.submits), ""

    @functools.wraps(run)
    def run_in_turn(self: Any) -> bool:
        baton, name = self.__dict__.pop("_tacho_turns", (None, ""))
        if baton is None:
            return run(self)
        with suppress(Diverged):  # said in the work itself, where its future gets it
            baton.enter(name)
        goes_on = run(self)
        me = members.get(get_ident())
        if not goes_on and me is not None and me.baton is baton:
            baton.leave(me)
        return goes_on

    _put(futures.Future, "__init__", begin_named)
    _put(futures.Future, "set_running_or_notify_cancel", run_in_turn)
    for name in ("set_result", "set_exception"):
        _put(futures.Future, name, _telling(getattr(futures.Future, name)))


def _telling(real: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(real)
    def tell(self: Any, value: Any) -> None:
        me = members.get(get_ident())
        if me is None or not me.leaving:
            real(self, value)
            return
        try:
            real(self, value)
        finally:
            me.baton.leave(me)

    return tell
