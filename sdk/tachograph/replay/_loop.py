"""Shadows a running loop's scheduling methods while a run is on it: stock asyncio and uvloop.

Instance attributes in front of the class's methods; every call whose context is not an agent's goes straight on. They
are taken off when the last run on the loop has ended.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tachograph.replay._aside import baton_of
from tachograph.replay._flight import Flight
from tachograph.replay._place import PLACE, Node, Place, exactly_here, label_of

if TYPE_CHECKING:
    from tachograph.replay._engine import Engine

_users: dict[int, int] = {}
_NAMES = (
    "call_soon",
    "call_soon_threadsafe",
    "call_at",
    "call_later",
    "time",
    "create_task",
    "run_in_executor",
)

_EAGER = getattr(asyncio, "eager_task_factory", None)
"""From Python 3.12 on: tasks make their first step where they are created."""
_STARTS_EAGERLY = "its event loop starts tasks of another kind than asyncio's eagerly"
_BETWEEN = frozenset(("asyncio", "concurrent", "threading", "tachograph"))


class RunTask(asyncio.Task[Any]):
    """A task whose hash is its place in the run, so that sets of tasks have the same order each time."""

    place_hash: int | None = None

    def __hash__(self) -> int:
        found = self.place_hash
        return super().__hash__() if found is None else found

    __eq__ = object.__eq__


class Timer(asyncio.Handle):
    """The handle of a timer of the agent. uvloop has no use for asyncio's own."""

    def __init__(self, when_s: float, loop: asyncio.AbstractEventLoop, context: Any) -> None:
        super().__init__(lambda: None, (), loop, context)
        self._when_s = when_s

    def when(self) -> float:
        """The time of the loop at which it is due, seconds."""
        return self._when_s


@contextmanager
def on_loop(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Runs on ``loop`` are scheduled by their engines while the block runs. Nests."""
    key = id(loop)
    if not _users.get(key):
        _shadow(loop)
    _users[key] = _users.get(key, 0) + 1
    try:
        yield
    finally:
        _users[key] -= 1
        if not _users[key]:
            del _users[key]
            for name in _NAMES:
                loop.__dict__.pop(name, None)


def _place_of(context: contextvars.Context | None) -> Place | None:
    place = PLACE.get() if context is None else context.get(PLACE)
    if place is None or place.inside or place.engine.over or not place.engine.exact:
        return None
    return place


def why_not(loop: asyncio.AbstractEventLoop) -> str:
    """Why the schedule of a run on ``loop`` cannot be recorded; empty when it can."""
    kind = type(loop)
    if kind.__module__.partition(".")[0] not in {"asyncio", "uvloop"}:
        return f"its event loop is a {kind.__module__}.{kind.__qualname__}"
    if hasattr(loop, "_nest_patched"):
        return "its event loop is nested by nest_asyncio"
    if id(loop) not in _users and not loop.__dict__.keys().isdisjoint(_NAMES):
        return "something else has changed the methods of its event loop"
    factory = loop.get_task_factory()
    if "eager" in getattr(factory, "__qualname__", "") and not is_eager(loop):
        return _STARTS_EAGERLY
    return ""


def is_eager(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether tasks on the loop are asyncio's own eager ones."""
    factory: Any = loop.get_task_factory()
    # While runs are recorded, asyncio's factory is wrapped.
    return _EAGER is not None and getattr(factory, "__wrapped__", factory) is _EAGER


def kind_of_tasks() -> dict[str, str]:
    """For the first record of a run: that tasks are eager where it begins, if they are."""
    loop = asyncio._get_running_loop()
    return {"tasks": "eager"} if loop is not None and is_eager(loop) else {}


def _has_begun(coro: Any) -> bool:
    return bool(getattr(coro, "cr_suspended", False)) or getattr(coro, "cr_frame", coro) is None


def why_not_here() -> str:
    """Why the schedule of the task that is running cannot be recorded; empty when it can."""
    try:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    # A guest on asyncio's loop, as trio can be one, has no task of asyncio.
    return "it does not run on asyncio" if task is None else why_not(loop)


def is_driven(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether runs on the loop are scheduled by their engines."""
    return id(loop) in _users


def _shadow(loop: asyncio.AbstractEventLoop) -> None:
    cls = type(loop)
    real = {name: getattr(cls, name).__get__(loop) for name in _NAMES}
    loop.__dict__.update(_scheduling(loop, real) | _timing(loop, real) | _spawning(loop, real))


def _scheduling(
    loop: asyncio.AbstractEventLoop, real: dict[str, Callable[..., Any]]
) -> dict[str, Callable[..., Any]]:
    def call_soon(callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.Handle:
        place = _place_of(context)
        if place is None:
            handle: asyncio.Handle = real["call_soon"](callback, *args, context=context)
            return handle
        return place.engine.schedule(loop).soon(callback, args, context)

    def call_soon_threadsafe(
        callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        place = _place_of(context)
        if place is None or asyncio._get_running_loop() is not loop:
            if place is not None:
                place.engine.leaked(_line_of_the_program())
            handle: asyncio.Handle = real["call_soon_threadsafe"](callback, *args, context=context)
            return handle
        # From the loop's own thread: asyncio closes dropped async generators in this way.
        return place.engine.schedule(loop).soon(callback, args, context)

    return {"call_soon": call_soon, "call_soon_threadsafe": call_soon_threadsafe}


def _line_of_the_program() -> str:
    """Where a thread of the agent wakes the loop, which is at no recorded moment."""
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame = frame.f_back
    if frame is None:
        return "a thread"
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"


def _timing(
    loop: asyncio.AbstractEventLoop, real: dict[str, Callable[..., Any]]
) -> dict[str, Callable[..., Any]]:
    def call_at(
        when: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        place = _place_of(context)
        if place is None:
            handle: asyncio.Handle = real["call_at"](when, callback, *args, context=context)
            return handle
        return _set_timer(place, loop, real["call_at"], when, callback, args, context)

    def call_later(
        delay: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        place = _place_of(context)
        if place is None:
            handle: asyncio.Handle = real["call_later"](delay, callback, *args, context=context)
            return handle
        when = time() + delay
        return _set_timer(place, loop, real["call_at"], when, callback, args, context)

    def time() -> float:
        # Most often it is the loop itself that asks.
        if PLACE.get() is None or (place := exactly_here()) is None:
            now_s: float = real["time"]()
            return now_s
        # Constant within an activation: asyncio's own timeouts compare it with their deadlines.
        schedule = place.engine.schedule(loop)
        if schedule.now_s is None:
            schedule.now_s = place.engine.loop_time(real["time"])
        return schedule.now_s

    return {"call_at": call_at, "call_later": call_later, "time": time}


def _set_timer(
    place: Place,
    loop: asyncio.AbstractEventLoop,
    call_at: Callable[..., asyncio.Handle],
    when_s: float,
    callback: Callable[..., Any],
    args: tuple[Any, ...],
    context: contextvars.Context | None,
) -> asyncio.Handle:
    context = context if context is not None else contextvars.copy_context()
    engine, schedule = place.engine, place.engine.schedule(loop)
    handle = Timer(when_s, loop, context)
    flight = Flight(engine.timer(place.node))
    flight.dead = handle.cancelled
    flight.fire = lambda: schedule.soon(callback, args, context)
    flight.outcome = ("ok", None)
    if not engine.replaying:
        outside = contextvars.Context()
        call_at(
            when_s - engine.loop_offset_s,
            lambda: None if handle.cancelled() else schedule.arrive_from_loop(flight),
            context=outside,
        )
    elif flight.index is not None:
        flight.live = True
        outside = contextvars.Context()
        flight.relaunch = lambda: call_at(
            when_s - engine.loop_offset_s, schedule.arrive, flight, context=outside
        )
        schedule.await_turn(flight)
    return handle


def _spawning(
    loop: asyncio.AbstractEventLoop, real: dict[str, Callable[..., Any]]
) -> dict[str, Callable[..., Any]]:
    def create_task(
        coro: Coroutine[Any, Any, Any], *, name: Any = None, context: Any = None, **more: Any
    ) -> asyncio.Task[Any]:
        place = exactly_here()
        made = None
        if place is not None:
            schedule = place.engine.schedule(loop)
            made = schedule.child_context(label_of(coro), context)
        if place is None or made is None:
            options = more if context is None else {**more, "context": context}
            task: asyncio.Task[Any] = real["create_task"](coro, name=name, **options)
            return task
        schedule.making += 1
        try:
            return _agents_own(loop, real, place.engine, coro, name, *made, more)
        finally:
            schedule.making -= 1

    def run_in_executor(executor: Any, function: Callable[..., Any], *args: Any) -> Any:
        place = exactly_here()
        if place is None:
            return real["run_in_executor"](executor, function, *args)
        return in_thread(place, loop, real["run_in_executor"], executor, function, args)

    return {"create_task": create_task, "run_in_executor": run_in_executor}


def _agents_own(
    loop: asyncio.AbstractEventLoop,
    real: dict[str, Callable[..., Any]],
    engine: Engine,
    coro: Coroutine[Any, Any, Any],
    name: Any,
    context: Any,
    node: Node,
    more: dict[str, Any],
) -> asyncio.Task[Any]:
    eager = is_eager(loop)
    if more or not (eager or loop.get_task_factory() is None):
        # The program's own kind of task; its sets of tasks are not in a fixed order.
        theirs: asyncio.Task[Any] = real["create_task"](coro, name=name, context=context, **more)
        if _has_begun(coro) and not engine.replaying:
            engine.fall_back(_STARTS_EAGERLY)
        return theirs
    ours = RunTask.__new__(RunTask)
    # Before its first step, which may put it into sets.
    ours.place_hash = node.stable_hash
    options = {"eager_start": True} if eager else {}
    ours.__init__(coro, loop=loop, name=name, context=context, **options)  # type: ignore[misc]  # see above
    return ours


def in_thread(
    place: Place,
    loop: asyncio.AbstractEventLoop,
    run_in_executor: Callable[..., Any],
    executor: Any,
    function: Callable[..., Any],
    args: tuple[Any, ...],
) -> asyncio.Future[Any]:
    """Run agent code in a thread, in record and in replay; its end is an outcome like others."""
    engine = place.engine
    flight = Flight(engine.thread(place.node))
    node = place.node.child(label_of(function))
    baton = baton_of(engine)
    if baton is not None:
        baton.announce(node.text, pooled=False)

    def body() -> Any:
        token = PLACE.set(Place(engine, node))
        try:
            if baton is None:
                return function(*args)
            return baton.run(node.text, lambda: function(*args), pooled=False)
        finally:
            PLACE.reset(token)

    return _given(place, loop, flight, lambda: run_in_executor(executor, body))


def wrapped(
    place: Place,
    loop: asyncio.AbstractEventLoop,
    wrap_future: Callable[..., asyncio.Future[Any]],
    future: concurrent.futures.Future[Any],
) -> asyncio.Future[Any]:
    """``asyncio.wrap_future`` on a loop of the run: that it is done is an outcome like others."""
    flight = Flight(place.engine.thread(place.node))
    given = _given(place, loop, flight, lambda: wrap_future(future, loop=loop))
    given.add_done_callback(lambda _: future.cancel() if given.cancelled() else None)
    return given


def _given(
    place: Place,
    loop: asyncio.AbstractEventLoop,
    flight: Flight,
    start: Callable[[], asyncio.Future[Any]],
) -> asyncio.Future[Any]:
    """A future of the agent's for one that is outside of it, which ``start`` makes; it is told by ``flight``."""
    engine, schedule = place.engine, place.engine.schedule(loop)
    flight.live = True
    flight.outcome = ("ok", None)
    flight.ready = not engine.replaying
    given = loop.create_future()
    outside = contextvars.copy_context()
    outside.run(PLACE.set, Place(engine, place.node, inside=True))
    done = outside.run(start)

    flight.fire = lambda: _hand_over(done, given)
    flight.dead = given.cancelled
    if engine.replaying:
        flight.relaunch = lambda: schedule.arrive(flight)
        schedule.await_turn(flight)

    def ended(_: object) -> None:
        if engine.replaying:
            flight.ready = True
            schedule.probe()
        else:
            schedule.arrive_from_loop(flight)

    done.add_done_callback(ended, context=outside)
    return given


def _hand_over(done: asyncio.Future[Any], given: asyncio.Future[Any]) -> None:
    if given.done():
        return
    error = None if done.cancelled() else done.exception()
    if done.cancelled():
        given.cancel()
    elif error is not None:
        given.set_exception(error)
    else:
        given.set_result(done.result())
