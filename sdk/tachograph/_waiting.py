"""How long a run has waited for people, several at once counted once."""

from __future__ import annotations

import time

from tachograph._waits import Mutex


class Waiting:
    """The clock of one run. For any thread."""

    __slots__ = ("_lock", "_open", "_since_s", "_waited_s")

    def __init__(self) -> None:
        self._lock = Mutex()
        self._open = 0
        self._since_s = 0.0
        self._waited_s = 0.0

    @property
    def waited_s(self) -> float:
        """Seconds until now."""
        with self._lock:
            running_s = time.monotonic() - self._since_s if self._open else 0.0
            return self._waited_s + running_s

    def after_fork(self) -> None:
        """In the child: whoever held the lock may not be there to let it go."""
        self._lock = Mutex()

    def __enter__(self) -> None:
        with self._lock:
            if not self._open:
                self._since_s = time.monotonic()
            self._open += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._open -= 1
            if not self._open:
                self._waited_s += time.monotonic() - self._since_s
