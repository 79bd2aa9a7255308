"""How large batches grow before they are stored, and how far apart small ones are."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from tachograph_collector.wal import Log
from tachograph_collector.wal.log import Position

_LOOK_EVERY_S = 0.05
_DISTANCE = 8  # a small insert takes at most an eighth of the time


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How large a batch may grow, and how long it may wait to grow."""

    max_spans: int = 100_000
    max_bytes: int = 32 << 20
    linger_s: float = 0.2
    apart_s: float = 1.0
    """Most time between the beginnings of two small inserts."""


class Pace:
    """The engine needs a tenth of a second to plan an insert of whatever size.

    So small ones keep a distance that follows what they cost. The first one after a pause does not wait for it, and
    nobody waits while there is plenty to store.
    """

    def __init__(self, log: Log, limits: BatchLimits, stop: threading.Event) -> None:
        self._log = log
        self._limits = limits
        self._stop = stop
        self._not_before = 0.0

    def wait(self, position: Position) -> None:
        """Let what is behind ``position`` grow for a moment."""
        until = max(time.monotonic() + self._limits.linger_s, self._not_before)
        plenty_bytes = self._limits.max_bytes // 8
        while self._log.unread_bytes(position) < plenty_bytes and not self._log.closed:
            left_s = until - time.monotonic()
            if left_s <= 0 or self._stop.wait(min(left_s, _LOOK_EVERY_S)):
                return

    def stored(self, began: float) -> None:
        """A batch that was begun at this monotonic time is stored."""
        took_s = time.monotonic() - began
        self._not_before = began + min(took_s * _DISTANCE, self._limits.apart_s)
