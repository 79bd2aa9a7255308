"""Agent code in threads: each has a place of its own in the run, named by what it runs."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import sys
from collections.abc import Callable
from contextlib import nullcontext
from types import CodeType
from typing import Any

from tachograph import _on_import, _threads
from tachograph._guard import guarded
from tachograph.replay import _anyio
from tachograph.replay._aside import Aside, baton_of
from tachograph.replay._divergence import Diverged
from tachograph.replay._drive import drive
from tachograph.replay._loop import is_driven, why_not, wrapped
from tachograph.replay._place import PLACE, Place, exactly_here, here, label_of

_SERVING = "run_forever"
_UVLOOP, _KEY = "uvloop", "replay"
_undo: list[Callable[[], None]] = []


def at_submit(function: Callable[..., Any], *, pooled: bool = False) -> Callable[..., Any]:
    """``function``, to be run in another thread at a place under this one.

    ``pooled``: by a pool, which tells a future when it is done.
    """
    place, baton = here(), None
    if place is not None and _serves(function):
        there = place
    elif place is None:
        outer = PLACE.get()
        if outer is None:
            return function
        there = outer
    else:
        there = Place(place.engine, place.node.child(label_of(function)))
        baton = baton_of(place.engine)
        if baton is not None:
            baton.announce(there.node.text, pooled=pooled)

    @functools.wraps(function)
    def placed(*args: Any, **kwargs: Any) -> Any:
        token = PLACE.set(there)
        try:
            if baton is None:
                return function(*args, **kwargs)
            work = functools.partial(function, *args, **kwargs)
            return baton.run(there.node.text, work, pooled=pooled)
        except Diverged:
            if pooled or baton is None:
                raise
            return None  # said already; a thread has nobody to tell
        finally:
            PLACE.reset(token)

    return placed


def _serves(function: Callable[..., Any]) -> bool:
    """Whether a thread's work is to run an event loop for whoever needs it, as libraries start one once in a process.

    It is at work in no turn, and at no place of its own: a run that comes later finds it running.
    """
    thread = getattr(function, "__self__", None)
    work = getattr(thread, "_target", None) or function
    code = getattr(work, "__code__", None)
    name = getattr(work, "__name__", "")
    return name == _SERVING or (isinstance(code, CodeType) and _SERVING in code.co_names)


def install() -> None:
    """Threads and loops that a run starts belong to its recording. Idempotent."""
    if _undo:
        return
    _threads.at_submit = at_submit
    run = asyncio.Runner.run

    @functools.wraps(run)
    def run_inside(self: asyncio.Runner, coro: Any, *, context: Any = None) -> Any:
        place = exactly_here()
        if place is None or not asyncio.iscoroutine(coro):
            return run(self, coro, context=context)
        why = why_not(self.get_loop())
        if why and not place.engine.replaying:
            place.engine.fall_back(why)
            return run(self, coro, context=context)
        # The loop itself is no agent: only what it runs is.
        token = PLACE.set(None)
        try:
            return run(self, drive(place, lambda: coro, whole=False), context=context)
        finally:
            PLACE.reset(token)
            if place.engine.baton is not None:
                place.engine.baton.take_up()

    close = asyncio.Runner.close

    @functools.wraps(close)
    def close_inside(self: asyncio.Runner) -> None:
        place = exactly_here()
        if place is not None and getattr(self, "_loop", None) is not None:
            with guarded("closing an event loop of a run"):  # whatever loop that is
                _stop_workers_beside(place, self.get_loop())
        close(self)

    _on_own_loops(asyncio.BaseEventLoop)
    _on_loops_of_uvloop()
    asyncio.Runner.close = close_inside  # type: ignore[method-assign]  # as below
    _undo.append(lambda: setattr(asyncio.Runner, "close", close))
    asyncio.Runner.run = run_inside  # type: ignore[method-assign]  # the patch itself
    _undo.append(lambda: setattr(asyncio.Runner, "run", run))
    _undo.append(lambda: setattr(_threads, "at_submit", None))
    _pin_stdlib()
    _anyio.install(_undo)


def _on_own_loops(cls: Any) -> None:
    """What a run in plain code has a loop do, with ``run_until_complete``: as ``run_sync`` of frameworks does."""
    create_task, run_until_complete = cls.create_task, cls.run_until_complete

    @functools.wraps(create_task)
    def create_driven(self: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
        place = exactly_here()
        if place is None or self.is_running() or not _is_agents(coro):
            return create_task(self, coro, **options)
        why = why_not(self)
        if why and not place.engine.replaying:
            place.engine.fall_back(why)
            return create_task(self, coro, **options)
        token = PLACE.set(None)
        try:
            return create_task(self, drive(place, lambda: coro, whole=False), **options)
        finally:
            PLACE.reset(token)

    @functools.wraps(run_until_complete)
    def complete(self: asyncio.AbstractEventLoop, future: Any) -> Any:
        place = exactly_here()
        if place is None or self.is_running() or self.is_closed():
            return run_until_complete(self, future)
        baton = place.engine.baton if _is_agents(future) else None
        future = asyncio.ensure_future(future, loop=self)
        # As with a runner: the loop's own clock is not the agent's, or what effects wait for would never be due.
        token = PLACE.set(None)
        try:
            return run_until_complete(self, future)
        finally:
            PLACE.reset(token)
            if baton is not None:
                baton.take_up()

    for name, ours in (("create_task", create_driven), ("run_until_complete", complete)):
        before = vars(cls).get(name)
        setattr(cls, name, ours)
        _undo.append(
            functools.partial(setattr, cls, name, before)
            if before is not None
            else functools.partial(delattr, cls, name)  # it was inherited
        )


def _on_loops_of_uvloop() -> None:
    """The same for uvloop, once the program has imported it."""

    def forget() -> None:
        _on_import.forget(_UVLOOP, _KEY)

    _undo.append(forget)
    _on_import.call_after(_UVLOOP, _KEY, lambda: _on_own_loops(sys.modules[_UVLOOP].Loop))


def _is_agents(work: Any) -> bool:
    """Whether it is a coroutine, or a task that drives one, and none with which a loop is cleared away."""
    if isinstance(work, asyncio.Task):
        return getattr(work.get_coro(), "cr_code", None) is drive.__code__
    return asyncio.iscoroutine(work) and getattr(work, "cr_code", None) not in _CLEARING


def _stop_workers_beside(place: Place, loop: asyncio.AbstractEventLoop) -> None:
    """Closing a loop waits for its threads, in one more: that one is no agent, and they may need turns to end."""
    real = loop.shutdown_default_executor
    loop.__dict__["shutdown_default_executor"] = functools.partial(_shut_down, place, loop, real)


async def _shut_down(
    place: Place, loop: asyncio.AbstractEventLoop, real: Callable[..., Any], *args: Any
) -> None:
    has_workers = getattr(loop, "_default_executor", None) is not None
    with _threads.not_carried(), Aside(place.engine, "ended") if has_workers else nullcontext():
        await real(*args)


_CLEARING = frozenset(
    (
        _shut_down.__code__,
        asyncio.BaseEventLoop.shutdown_asyncgens.__code__,
        asyncio.BaseEventLoop.shutdown_default_executor.__code__,
    )
)
"""Coroutines with which a loop is cleared away: no agents."""


def uninstall() -> None:
    """Take the patches off again."""
    while _undo:
        _undo.pop()()


def _pin_stdlib() -> None:
    """The places where asyncio's own order depends on addresses, or on the version of Python."""
    as_completed, wait_for = asyncio.as_completed, asyncio.wait_for

    @functools.wraps(as_completed)
    def ordered(fs: Any, *, timeout: float | None = None) -> Any:
        if exactly_here() is not None:
            # asyncio makes a set of them: coroutines would become tasks in the order of their addresses.
            fs = [asyncio.ensure_future(each) for each in dict.fromkeys(fs)]
        return as_completed(fs, timeout=timeout)

    @functools.wraps(wait_for)
    async def waiting(fut: Any, timeout: float | None) -> Any:  # noqa: ASYNC109 - its signature
        if exactly_here() is None or (timeout is not None and timeout <= 0):
            return await wait_for(fut, timeout)
        # Python 3.11 makes a helper task here, later versions do not.
        if timeout is None:
            return await fut
        async with asyncio.timeout(timeout):
            return await fut

    pins: list[tuple[str, Any, Any]] = [
        ("wrap_future", _told_in_turn(asyncio.wrap_future), asyncio.wrap_future),
        ("as_completed", ordered, as_completed),
        ("wait_for", waiting, wait_for),
    ]
    eager: Any = getattr(asyncio, "eager_task_factory", None)
    if eager is not None:
        pins.append(("eager_task_factory", _not_eager(eager), eager))
    for name, pinned, real in pins:
        for module in (asyncio, sys.modules[real.__module__]):
            setattr(module, name, pinned)
            _undo.append(functools.partial(setattr, module, name, real))


def _told_in_turn(wrap_future: Callable[..., Any]) -> Callable[..., Any]:
    """A coroutine that waits for the future of a thread hears of its end as of other outcomes."""

    @functools.wraps(wrap_future)
    def wrap(future: Any, *, loop: asyncio.AbstractEventLoop | None = None) -> Any:
        place, running = exactly_here(), asyncio._get_running_loop()
        is_told = isinstance(future, concurrent.futures.Future) and loop in (None, running)
        if place is None or running is None or not (is_told and is_driven(running)):
            return wrap_future(future, loop=loop)
        return wrapped(place, running, wrap_future, future)

    return wrap


def _not_eager(eager: Any) -> Any:
    """Libraries (LangGraph) start single tasks eagerly from Python 3.12 on, and not before: here all start alike."""

    @functools.wraps(eager)
    def start(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
        if exactly_here() is None:
            return eager(loop, coro, **options)
        options.pop("eager_start", None)
        return loop.create_task(coro, **options)

    return start
