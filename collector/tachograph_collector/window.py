"""Which bodies were acknowledged lately: a body that comes again is answered, not stored again.

Exporters send identical bytes again when an answer was lost on the way. Storing them twice would change nothing that
can be seen (a span is kept once by its ids) but costs the log and the engine twice. Used on the event loop only.

Scope: best effort and in memory. After a restart, or beyond its limits, a repeated body is stored again.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable


class Verdict:
    """What became of a body, for all who wait to hear it. Waiting longer or giving up changes nothing."""

    __slots__ = ("_waiting", "error", "settled")

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []
        self.settled = False
        self.error: OSError | None = None
        """Why the body is not on disk; ``None`` when it is, or when nothing is settled yet."""

    def settle(self, error: OSError | None) -> None:
        """Say it, once."""
        self.settled, self.error = True, error
        for waiter in self._waiting:
            _wake(waiter)

    async def within(self, patience_s: float) -> bool:
        """Wait for it at most ``patience_s`` seconds; whether it is settled."""
        if self.settled:
            return True
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiting.append(waiter)
        timer = loop.call_later(patience_s, _wake, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiting.remove(waiter)
        return self.settled


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def fingerprint(project: str, body: bytes) -> bytes:
    """16 bytes that stand for a canonical body of a project."""
    digest = hashlib.sha256(project.encode() + b"\0")
    digest.update(body)
    return digest.digest()[:16]


class Window:
    """Bodies being written, and bodies on disk for at most ``keep_s`` seconds.

    Of the latter at most ``most`` are remembered, some 150 bytes each.
    """

    def __init__(
        self,
        keep_s: float = 600,
        most: int = 65_536,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keep_s = keep_s
        self._most = most
        self._clock = clock
        self._writing: dict[bytes, Verdict] = {}
        # Until when, in the order of ending. A plain dict is slow at losing its first items one by one.
        self._durable: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        """How many durable bodies are remembered."""
        return len(self._durable)

    def find(self, body: bytes) -> Verdict | None:
        """The verdict on this body, settled or to be awaited; ``None`` when it is new."""
        writing = self._writing.get(body)
        if writing is not None:
            return writing
        if self._durable.get(body, 0.0) <= self._clock():
            return None
        verdict = Verdict()
        verdict.settle(None)
        return verdict

    def age_s(self, body: bytes) -> float:
        """For how many seconds this body has been on disk; 0 when that is not known."""
        until = self._durable.get(body)
        return 0.0 if until is None else self._keep_s - (until - self._clock())

    def open(self, body: bytes) -> Verdict:
        """Announce a body that is about to be written; :meth:`settle` must follow."""
        verdict = self._writing[body] = Verdict()
        return verdict

    def settle(self, body: bytes, error: OSError | None) -> None:
        """Say what became of an announced body. Only a durable one is remembered."""
        verdict = self._writing.pop(body)
        now = self._clock()
        if error is None:
            self._durable.pop(body, None)
            self._durable[body] = now + self._keep_s
        self._forget(now)
        verdict.settle(error)

    def _forget(self, now: float) -> None:
        while self._durable:
            oldest = next(iter(self._durable))
            if self._durable[oldest] > now and len(self._durable) <= self._most:
                return
            self._durable.popitem(last=False)
