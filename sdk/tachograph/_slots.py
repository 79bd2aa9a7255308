"""The table of open spans in the spool: what was running when the process died.

Each open span has a slot for as long as it is open: its bytes, then their number in one store, then 0 when it
ends. A span that a killed process left in it is reported as interrupted by whoever recovers the spool.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from tachograph._segment import Record, allocate

FILE_NAME = "open"
_POOLS = ((4 << 10, 192), (80 << 10, 12))
"""Bytes of a slot and how many there are: most spans are small, some carry a payload at its limit."""
_SLOTS_BYTES = sum(size * count for size, count in _POOLS)
_LARGE_FROM = _POOLS[0][0] * _POOLS[0][1]
_WARM_BYTES = 128 << 10
_WORD = 8
_SIZE_BYTES = _SLOTS_BYTES + _WORD
"""Behind the slots stands when the process was last seen alive, in nanoseconds since 1970."""
_KIND_BIT = 32
"""The word before a span holds its length and, from this bit on, its kind."""


class Slots:
    """The table, for its owner. :meth:`put` may be called by any thread, the rest with a lock held."""

    def __init__(self, folder: Path) -> None:
        """Create the file.

        Raises:
            OSError: there is no room for it, or it cannot be made.
        """
        self._map = allocate(folder / FILE_NAME, _SIZE_BYTES, _WARM_BYTES)
        self._words = memoryview(self._map).cast("Q")
        # The last freed is used first: its page is in memory.
        self._pools = tuple(
            (size - _WORD, [start for start, at_size in _starts() if at_size == size][::-1])
            for size, _ in _POOLS
        )
        """What a slot has room for, and the free ones."""

    def put(self, kind: int, content: bytes) -> int:
        """Keep an open span; its slot, or -1 when there is none left that is large enough."""
        size = len(content)
        for room, free in self._pools:
            if size <= room:
                try:
                    # Asked and taken in one step: there may be other threads.
                    slot = free.pop()
                except IndexError:
                    continue
                start = slot + _WORD
                self._map[start : start + size] = content
                self._words[slot // _WORD] = size | kind << _KIND_BIT
                return slot
        return -1

    def replace(self, slot: int, kind: int, content: bytes) -> int:
        """Keep a later state of the span in ``slot``; its slot from now on."""
        size = len(content)
        if size <= self._pools[slot >= _LARGE_FROM][0]:
            # Emptied first: killed in between, the span is missing rather than a mixture.
            self._words[slot // _WORD] = 0
            start = slot + _WORD
            self._map[start : start + size] = content
            self._words[slot // _WORD] = size | kind << _KIND_BIT
            return slot
        moved = self.put(kind, content)
        if moved < 0:
            return slot
        self.free(slot)
        return moved

    def free(self, slot: int) -> None:
        """The span has ended."""
        self._words[slot // _WORD] = 0
        self._pools[slot >= _LARGE_FROM][1].append(slot)

    def move(self, folder: Path) -> None:
        """Go on in a new file, as the one before was removed.

        Raises:
            OSError: as when it is made.
        """
        moved = allocate(folder / FILE_NAME, _SIZE_BYTES, _WARM_BYTES)
        moved[:] = self._map[:]
        # Not closed: another thread may be writing there at this moment.
        self._map, self._words = moved, memoryview(moved).cast("Q")

    def alive(self, now_ns: int) -> None:
        """Note that the process lives: without it a call that hung for an hour would seem to have died at once."""
        self._words[_SLOTS_BYTES // _WORD] = now_ns

    def close(self) -> None:
        """Let go of the memory."""
        self._words.release()
        self._map.close()


def _starts() -> Iterator[tuple[int, int]]:
    at = 0
    for size, count in _POOLS:
        for _ in range(count):
            yield at, size
            at += size


def read_open(folder: Path) -> list[Record]:
    """The spans that a process that is gone left open, as their slots hold them."""
    try:
        data = (folder / FILE_NAME).read_bytes()
    except FileNotFoundError:
        return []
    found = []
    for start, size in _starts():
        if start + _WORD > len(data):
            break
        (word,) = struct.unpack_from("=Q", data, start)
        kind, length = word >> _KIND_BIT, word & (1 << _KIND_BIT) - 1
        if 0 < length <= size - _WORD:
            found.append(Record(kind, data[start + _WORD : start + _WORD + length]))
    return found


def read_alive_ns(folder: Path) -> int:
    """When a process that is gone was last seen alive, since 1970; 0 if it was not noted."""
    try:
        data = (folder / FILE_NAME).read_bytes()[_SLOTS_BYTES:_SIZE_BYTES]
    except FileNotFoundError:
        return 0
    return int.from_bytes(data, sys.byteorder)
