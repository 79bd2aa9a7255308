"""One file of the spool: records one after another in memory that is shared with the file.

Layout: a header of 64 bytes (magic, version; as 64-bit numbers how far records are committed, how far they
were shipped, and the file's place among the others), then records of length, CRC-32, kind and content.

A record is copied behind the committed ones and then the committed length is stored, in one store. A process
killed between the two leaves a record that does not count. The kernel owns the memory: it outlives the process,
without a system call. Power loss may leave pages of different ages; the checksum finds those.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MAGIC = b"TACHOSP1"
HEADER_BYTES = 64
_COMMITTED, _SHIPPED, _SEQUENCE = 2, 3, 4
"""Places in the header, counted in words of eight bytes."""
_FRAME = struct.Struct("<III")
_ZEROS = bytes(64 << 10)
"""Written again and again: one piece of the whole length costs ten times as much, for memory of its own."""
FRAME_BYTES = _FRAME.size

FINAL, FOREIGN = 1, 2
"""Bits of a record's kind: the span has ended; its scope stands before it (two bytes of length first)."""


class Record(NamedTuple):
    """A span as it stands in the spool."""

    kind: int
    content: bytes

    @property
    def final(self) -> bool:
        """Whether the span has ended; else this is how it stood while it was open."""
        return bool(self.kind & FINAL)


def allocate(path: Path, size_bytes: int, warm_bytes: int) -> mmap.mmap:
    """A new file, readable by its owner alone, and its memory.

    ``warm_bytes`` at its start are written with zeros: a page that a write made costs a fifth of one that its
    first use in shared memory makes.

    Raises:
        OSError: there is no room for it, or it cannot be made; then there is no file either.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            # Without the blocks a full disk would show as SIGBUS in the agent's own thread.
            os.posix_fallocate(descriptor, 0, size_bytes)
        else:
            os.ftruncate(descriptor, size_bytes)
        for start in range(0, min(warm_bytes, size_bytes), len(_ZEROS)):
            # The file is as long as it was asked to be, whatever the last of them would add.
            os.pwrite(descriptor, _ZEROS[: size_bytes - start], start)
        return mmap.mmap(descriptor, size_bytes)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def claim(path: Path) -> int | None:
    """The lock of a file whose owner is gone, as a descriptor to close; None when it lives or the file is none."""
    try:
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        lock = os.open(path, flags)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_nlink:
            return lock
    except OSError:
        pass  # its owner lives
    os.close(lock)
    return None


class Segment:
    """A file open for writing and reading, by its owner. Not thread-safe: the caller holds a lock."""

    def __init__(self, path: Path, size_bytes: int, sequence: int) -> None:
        """Create the file.

        Raises:
            OSError: there is no room for it, or it cannot be made.
        """
        self.path = path
        self._map = allocate(path, size_bytes, size_bytes)
        self.size_bytes = size_bytes
        self._map[: len(MAGIC)] = MAGIC
        self._words = memoryview(self._map)[:HEADER_BYTES].cast("Q")
        self.reset(sequence)

    def reset(self, sequence: int) -> None:
        """Empty it for use again."""
        self._words[_COMMITTED] = 0
        self._words[_SHIPPED] = 0
        self._words[_SEQUENCE] = sequence
        self.sequence = sequence
        self.end = self.read_to = self.shipped_to = HEADER_BYTES
        self.finals = self.finals_taken = 0

    def append(self, kind: int, content: bytes) -> bool:
        """Append a record; False when there is no room for it."""
        start, size_bytes = self.end, len(content)
        body = start + FRAME_BYTES
        end = body + size_bytes
        if end > self.size_bytes:
            return False
        _FRAME.pack_into(self._map, start, size_bytes, zlib.crc32(content), kind)
        self._map[body:end] = content
        self._words[_COMMITTED] = end
        self.end = end
        if kind & FINAL:
            self.finals += 1
        return True

    def take(self) -> Record | None:
        """The next record not taken yet."""
        at = self.read_to
        if at >= self.end:
            return None
        size_bytes, _, kind = _FRAME.unpack_from(self._map, at)
        self.read_to = at + FRAME_BYTES + size_bytes
        if kind & FINAL:
            self.finals_taken += 1
        return Record(kind, self._map[at + FRAME_BYTES : self.read_to])

    def ship(self, position: int) -> None:
        """Note that records before ``position`` were dealt with."""
        self._words[_SHIPPED] = self.shipped_to = max(position, self.shipped_to)

    def close(self, *, remove: bool) -> None:
        """Let go of the memory."""
        self._words.release()
        self._map.close()
        if remove:
            self.path.unlink(missing_ok=True)


class Left(NamedTuple):
    """What a process that is gone left in one file."""

    sequence: int
    shipped_to: int
    committed_to: int
    data: bytes

    def records(self) -> Iterator[tuple[int, Record]]:
        """Each unshipped record and where it ends; stops at the first that is damaged."""
        at, data = self.shipped_to, self.data
        while at + FRAME_BYTES <= self.committed_to:
            size_bytes, checksum, kind = _FRAME.unpack_from(data, at)
            end = at + FRAME_BYTES + size_bytes
            content = data[at + FRAME_BYTES : end]
            if end > self.committed_to or zlib.crc32(content) != checksum:
                return
            yield end, Record(kind, content)
            at = end


def read_left(path: Path) -> Left | None:
    """Read a file of a process that is gone; None when it is none of ours or empty.

    Raises:
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
        return None
    words = struct.unpack_from("=8Q", data)
    committed = min(words[_COMMITTED], len(data))
    shipped = max(words[_SHIPPED], HEADER_BYTES)
    return Left(words[_SEQUENCE], shipped, committed, data) if committed > shipped else None


def note_shipped(path: Path, position: int) -> None:
    """Note in a file of a process that is gone that records before ``position`` were sent."""
    with path.open("r+b") as file:
        file.seek(_SHIPPED * 8)
        file.write(struct.pack("=Q", position))
