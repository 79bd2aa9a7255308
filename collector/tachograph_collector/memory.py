"""How many bytes of bodies may be in memory at once: over it, clients are told to come back."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from tachograph_collector.errors import NotNowError


class Memory:
    """A budget of bytes that bodies share; thread-safe."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self.used_bytes = 0
        """Bytes of bodies between their arrival and their answer."""
        self.bodies = 0
        """How many such bodies there are."""

    def loan(self) -> Loan:
        """A body's share, to be used as a context manager that gives it back."""
        return Loan(self)

    def _enter(self) -> None:
        with self._lock:
            self.bodies += 1

    def _leave(self, held: int) -> None:
        with self._lock:
            self.bodies -= 1
            self.used_bytes -= held

    def _claim(self, held: int, more: int) -> None:
        with self._lock:
            # A body that is alone may be as large as bodies may be, whatever this limit is.
            if self.used_bytes + more > self._limit and self.used_bytes > held:
                raise NotNowError("The collector is busy with other bodies.")
            self.used_bytes += more


class Loan:
    """What one body holds of a :class:`Memory`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._held = 0

    def claim(self, more_bytes: int) -> None:
        """Take ``more_bytes`` more.

        Raises:
            NotNowError: other bodies hold too much.
        """
        self._memory._claim(self._held, more_bytes)
        self._held += more_bytes

    def __enter__(self) -> Self:
        self._memory._enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._memory._leave(self._held)
