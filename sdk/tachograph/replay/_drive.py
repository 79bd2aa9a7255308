"""Runs the agent's coroutine on the loop that is running, under its engine."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from tachograph.replay._loop import on_loop
from tachograph.replay._place import PLACE, Place
from tachograph.replay._schedule import Schedule

_SETTLE_TURNS = 50
"""Turns of the loop that cancelled tasks of a diverged replay get for their ends."""


async def drive(
    place: Place, make: Callable[[], Coroutine[Any, Any, Any]], *, whole: bool = True
) -> Any:
    """Await the agent: in this task while recording, in one that can be given up while replaying.

    ``whole``: the run ends with it; else it is a loop inside of a run that goes on.
    """
    loop = asyncio.get_running_loop()
    with on_loop(loop):
        schedule = place.engine.schedule(loop)
        schedule.closed = False
        if place.engine.replaying:
            return await _replayed(place, make, loop, whole=whole)
        loops = place.engine.loops
        loops.append(loop)
        if len(loops) > 1:
            # Which of them goes first is nobody's rule, and threads do not wait for each other.
            place.engine.fall_back("it runs several event loops at once")
        if place.engine.baton is not None:
            schedule.probe()
        token = PLACE.set(place)
        try:
            return await _to_its_end(make, schedule, _forget)
        finally:
            loops.remove(loop)
            PLACE.reset(token)


def _forget(_: object) -> None:
    """The result is kept elsewhere."""


async def _to_its_end(
    make: Callable[[], Coroutine[Any, Any, Any]], schedule: Schedule, ended: Callable[[Any], None]
) -> Any:
    """Await the agent. With its last step, while recording and while replaying, the deliveries end."""
    try:
        result = await make()
    finally:
        schedule.close()
    ended(result)
    return result


async def _replayed(
    place: Place,
    make: Callable[[], Coroutine[Any, Any, Any]],
    loop: asyncio.AbstractEventLoop,
    *,
    whole: bool,
) -> Any:
    engine: Any = place.engine
    if engine.guard is not None:
        engine.guard(loop)
    token = PLACE.set(None)
    try:
        context = contextvars.copy_context()
        context.run(PLACE.set, place)
        ended = loop.create_future()
        # Its first step is not counted: while recording, that is its caller's.
        place.inside = True
        schedule = engine.schedule(loop)
        task = asyncio.Task(
            _to_its_end(make, schedule, engine.keep_result if whole else _forget),
            loop=loop,
            context=context,
        )
        place.inside = False
        if engine.baton is not None:
            schedule.probe()

        def end(error: BaseException | None) -> None:
            if ended.done():
                return
            if error is None:
                ended.set_result(None)
            else:
                ended.set_exception(error)

        def tell(error: BaseException) -> None:
            with suppress(RuntimeError):  # the loop is closed, and another one of the run goes on
                loop.call_soon_threadsafe(end, error)

        engine.on_failure.append(tell)
        task.add_done_callback(lambda _: end(None), context=contextvars.Context())
        await ended
        return task.result()
    finally:
        PLACE.reset(token)
        engine.schedule(loop).closed = True
        engine.failed = engine.failed or whole
        await _clear_away(loop)


async def _clear_away(loop: asyncio.AbstractEventLoop) -> None:
    """The agent's tasks end here: nothing that they would still do is part of the recording."""
    me = asyncio.current_task()
    left: list[asyncio.Task[Any]] = []
    for _ in range(_SETTLE_TURNS):
        left = [task for task in asyncio.all_tasks(loop) if task is not me and not task.done()]
        if not left:
            return
        for task in left:
            task.cancel()
        await asyncio.sleep(0)
    for task in left:
        # One that will not end: whoever closes the loop would wait for it for ever.
        asyncio.tasks._unregister_task(task)
