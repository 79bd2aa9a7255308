"""One outcome on its way to the agent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Flight:
    """One outcome under way to the agent."""

    __slots__ = (
        "cancel",
        "dead",
        "fire",
        "future",
        "index",
        "landed",
        "live",
        "outcome",
        "ready",
        "relaunch",
    )

    def __init__(self, index: int | None) -> None:
        self.index = index
        self.landed = False
        """Whether it reached the agent. An outcome may be there before its turn comes."""
        self.future: asyncio.Future[None] | None = None
        self.outcome: tuple[str, Any] | None = None
        self.cancel: Callable[[], object] = lambda: None
        self.fire: Callable[[], object] | None = None
        """What to do on delivery instead of resolving ``future``: a timer's callback."""
        self.dead: Callable[[], bool] = lambda: False
        """Whether nobody waits any more."""
        self.relaunch: Callable[[], object] = lambda: None
        """What brings it while live, when it was waited for on a recording that has ended."""
        self.ready = True
        """False while a replayed thread is still running."""
        self.live = False
        """Comes out of a thread that runs while replaying, not from the tape."""

    def land(self) -> None:
        """Reach the agent."""
        self.landed = True
        if self.fire is not None:
            self.fire()
        elif self.future is not None and not self.future.done():
            self.future.set_result(None)
