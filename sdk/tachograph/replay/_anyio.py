"""Functions that anyio runs in its worker threads, as pydantic-ai does with plain tools: like those of ``asyncio.to_thread``."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable
from typing import Any

from tachograph import _on_import
from tachograph.replay._loop import in_thread, is_driven
from tachograph.replay._place import exactly_here

_MODULE, _KEY = "anyio._backends._asyncio", "recording for replay"
_NAME = "run_sync_in_worker_thread"


def install(undo: list[Callable[[], None]]) -> None:
    """Put it in place once anyio is imported."""

    def put() -> None:
        backend = sys.modules[_MODULE].AsyncIOBackend
        real = vars(backend)[_NAME]
        setattr(backend, _NAME, classmethod(_told_in_turn(real.__func__)))
        undo.append(lambda: setattr(backend, _NAME, real))

    def forget() -> None:
        _on_import.forget(_MODULE, _KEY)

    undo.append(forget)
    _on_import.call_after(_MODULE, _KEY, put)


def _told_in_turn(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    async def run(
        cls: Any,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        abandon_on_cancel: bool = False,
        limiter: Any = None,
    ) -> Any:
        place, loop = exactly_here(), asyncio.get_running_loop()
        # Threads that take turns are told of by those.
        if place is None or place.engine.baton is not None or not is_driven(loop):
            return await real(cls, func, args, abandon_on_cancel, limiter)

        def start(_: None, body: Callable[[], Any]) -> asyncio.Task[Any]:
            task = loop.create_task(real(cls, body, (), abandon_on_cancel, limiter))
            # Of an abandoned one nobody asks what it came to.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            return task

        with cls.create_cancel_scope(shield=not abandon_on_cancel):
            return await in_thread(place, loop, start, None, func, args)

    return run
