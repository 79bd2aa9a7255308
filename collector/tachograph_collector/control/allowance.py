"""How much a project may add to what is kept for good: whoever has an agent's key could else fill the disk of all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

AT_ONCE_BYTES = 256 << 20
PER_S_BYTES = 16 << 10
"""So 1.4 GB a day."""


class Allowance:
    """Bytes for each project: so many at once, and so many a second after these.

    Safe between threads; in memory, for this collector alone: another one, or this one started anew, begins with all.
    """

    def __init__(
        self,
        at_once_bytes: float = AT_ONCE_BYTES,
        per_s_bytes: float = PER_S_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._at_once_bytes = at_once_bytes
        self._per_s_bytes = per_s_bytes
        self._clock = clock
        self._lock = threading.Lock()
        # What was left, and when; projects are made by who runs the collector, and few.
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, project: str, size_bytes: int) -> float:
        """Take so much if there is as much; 0 then, else after how many seconds there will be."""
        with self._lock:
            now_s = self._clock()
            left, at_s = self._left.get(project, (self._at_once_bytes, now_s))
            left = min(left + (now_s - at_s) * self._per_s_bytes, self._at_once_bytes)
            wait_s = max(size_bytes - left, 0.0) / self._per_s_bytes
            self._left[project] = (left - (0 if wait_s else size_bytes), now_s)
            return wait_s
