"""Agent code in threads: each has a place of its own in the run, named by what it runs."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

from tachograph import _threads
from tachograph.replay._drive import drive
from tachograph.replay._loop import why_not
from tachograph.replay._place import PLACE, Place, exactly_here, here, label_of

_undo: list[Callable[[], None]] = []


def at_submit(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, to be run in another thread at a place under this one."""
    place = here()
    if place is None:
        outer = PLACE.get()
        if outer is None:
            return function
        there = outer
    else:
        there = Place(place.engine, place.node.child(label_of(function)))

    @functools.wraps(function)
    def placed(*args: Any, **kwargs: Any) -> Any:
        token = PLACE.set(there)
        try:
            return function(*args, **kwargs)
        finally:
            PLACE.reset(token)

    return placed


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

    asyncio.Runner.run = run_inside  # type: ignore[method-assign]  # the patch itself
    _undo.append(lambda: setattr(asyncio.Runner, "run", run))
    _undo.append(lambda: setattr(_threads, "at_submit", None))
    _pin_stdlib()


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

    for name, pinned, real in (
        ("as_completed", ordered, as_completed),
        ("wait_for", waiting, wait_for),
    ):
        for module in (asyncio, asyncio.tasks):
            setattr(module, name, pinned)
            _undo.append(functools.partial(setattr, module, name, real))
