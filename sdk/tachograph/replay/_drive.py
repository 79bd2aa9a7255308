"""Runs the agent's coroutine on the loop that is running, under its engine."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

from tachograph.replay._loop import on_loop
from tachograph.replay._place import PLACE, Place

_SETTLE_TURNS = 50
"""Turns of the loop that cancelled tasks of a diverged replay get for their ends."""


async def drive(place: Place, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Await the agent: in this task while recording, in one that can be given up while replaying."""
    loop = asyncio.get_running_loop()
    with on_loop(loop):
        if place.engine.replaying:
            return await _replayed(place, make, loop)
        token = PLACE.set(place)
        try:
            return await make()
        finally:
            PLACE.reset(token)


async def _replayed(
    place: Place, make: Callable[[], Coroutine[Any, Any, Any]], loop: asyncio.AbstractEventLoop
) -> Any:
    engine: Any = place.engine
    token = PLACE.set(None)
    try:
        context = contextvars.copy_context()
        context.run(PLACE.set, place)
        ended = loop.create_future()
        # Its first step is not counted: while recording, that is its caller's.
        place.inside = True
        task = asyncio.Task(make(), loop=loop, context=context)
        place.inside = False

        def give_up(error: BaseException) -> None:
            loop.call_soon_threadsafe(lambda: ended.done() or ended.set_exception(error))

        engine.on_failure.append(give_up)
        task.add_done_callback(
            lambda _: ended.done() or ended.set_result(None), context=contextvars.Context()
        )
        await ended
        return task.result()
    finally:
        PLACE.reset(token)
        await _clear_away(loop, engine)


async def _clear_away(loop: asyncio.AbstractEventLoop, engine: Any) -> None:
    """The agent's tasks end here: nothing that they would still do is part of the recording."""
    engine.failed = True
    me = asyncio.current_task()
    for _ in range(_SETTLE_TURNS):
        left = [task for task in asyncio.all_tasks(loop) if task is not me and not task.done()]
        if not left:
            return
        for task in left:
            task.cancel()
        await asyncio.sleep(0)
