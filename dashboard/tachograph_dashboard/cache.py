"""Answers kept for a moment, so that ten open tabs cost the store one query.

Streamlit's own data cache copies values through a serialiser on every hit; the rows here are frozen, so
they are shared instead. Callers must not change what they get.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(slots=True)
class _Slot(Generic[Value]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    made_at_s: float = float("-inf")
    value: Value | None = None


class TimedCache(Generic[Value]):
    """At most ``entries`` answers, each used for ``ttl_s`` seconds; safe between threads.

    Threads that ask for the same missing answer wait for one of them to compute it. An exception is
    handed to the caller and not kept.
    """

    def __init__(
        self, ttl_s: float, entries: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ttl_s = ttl_s
        self._entries = entries
        self._clock = clock
        self._slots: OrderedDict[Hashable, _Slot[Value]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """The answer under ``key``; blocks while ``compute`` runs here or in another thread."""
        slot = self._slot(key)
        with slot.lock:
            if self._clock() - slot.made_at_s >= self._ttl_s:
                slot.value = compute()
                slot.made_at_s = self._clock()
            return slot.value  # type: ignore[return-value]  # computed above or by another thread

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._slots.clear()

    def _slot(self, key: Hashable) -> _Slot[Value]:
        with self._lock:
            slot = self._slots.get(key)
            if slot is None:
                slot = self._slots[key] = _Slot()
            self._slots.move_to_end(key)
            while len(self._slots) > self._entries:
                self._slots.popitem(last=False)
            return slot
