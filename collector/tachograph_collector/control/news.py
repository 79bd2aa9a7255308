"""Who waits for news is told at once: long polls of this process, by topic.

Another collector on the same database tells nobody here, so whoever waits also looks again by itself after a while.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

Found = TypeVar("Found")
LOOK_AGAIN_S = 2.0
"""How often a waiting call looks by itself."""


class News:
    """Topics with waiting calls. Belongs to one event loop; :meth:`tell` may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._closed = False

    def tell(self, topic: str) -> None:
        """Wake everyone who waits for ``topic``."""
        # When the loop is gone, so is everyone who waited.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._wake, topic)

    def close(self) -> None:
        """Let every waiting call answer with what there is: the process stops."""
        self._closed = True
        for topic in list(self._waiting):
            self._wake(topic)

    async def until(
        self,
        topic: str,
        look: Callable[[], Awaitable[Found]],
        enough: Callable[[Found], bool],
        wait_s: float,
    ) -> Found:
        """What ``look`` finds, as soon as it is ``enough``; what it found last when ``wait_s`` is over."""
        deadline = self._loop.time() + wait_s
        event = asyncio.Event()
        self._waiting.setdefault(topic, set()).add(event)
        try:
            while True:
                event.clear()
                found = await look()
                left_s = deadline - self._loop.time()
                if enough(found) or left_s <= 0 or self._closed:
                    return found
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), min(left_s, LOOK_AGAIN_S))
        finally:
            self._waiting[topic].discard(event)
            if not self._waiting[topic]:
                del self._waiting[topic]

    def _wake(self, topic: str) -> None:
        for event in self._waiting.get(topic, ()):
            event.set()
