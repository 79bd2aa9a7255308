"""Tasks beside the agent's own: effects and streams happen in them."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

from tachograph.replay._loop import is_eager


def task_within(
    coro: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop, within: contextvars.Context
) -> asyncio.Task[Any]:
    """A task that is none of the agent's, of the kind that the program makes; never started eagerly by asyncio."""
    if loop.get_task_factory() is None or is_eager(loop):
        return asyncio.Task(coro, loop=loop, context=within)
    # In a copy: a kind that starts at once enters the task's own, which can be entered once at a time.
    return within.copy().run(loop.create_task, coro, context=within)


def task_and_step(
    coro: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop, within: contextvars.Context
) -> tuple[asyncio.Task[Any], Callable[[], object]]:
    """A task that is not scheduled, and its first step. The loop's methods are shadowed already."""
    shadow = loop.__dict__["call_soon"]
    steps: list[Callable[[], object]] = []

    def taken(callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        if steps or context is not within:  # of a finalizer that runs meanwhile
            return shadow(callback, *args, context=context)
        steps.append(callback)
        return None

    loop.__dict__["call_soon"] = taken
    try:
        task = task_within(coro, loop, within)
    finally:
        loop.__dict__["call_soon"] = shadow
    # The program's own kind of task may have been scheduled in another way.
    return task, steps[0] if steps else _nothing


def _nothing() -> None:
    pass
