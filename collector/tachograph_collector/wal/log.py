"""The log itself: one writer thread, one reader behind it."""

from __future__ import annotations

import logging
import os
import queue
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tachograph_collector.wal import checkpoint, records, segments
from tachograph_collector.wal.records import Record
from tachograph_collector.wal.segments import Segment

logger = logging.getLogger(__name__)

_GROUP_BYTES = 32 << 20  # most bytes of one write and sync: bounds how long the first waiter waits
_IOVECS = 512  # pieces per pwritev, well below the kernel's 1024

Done = Callable[[OSError | None], None]
"""Called once, on the writer's thread, when the record is on disk, or with the reason that it is not."""


class LogFullError(OSError):
    """The log holds as many unstored bytes as it may, or the disk has no room to spare."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large the log may grow."""

    segment_bytes: int = 16 << 20
    max_unstored_bytes: int = 2 << 30
    min_free_bytes: int = 256 << 20
    keep_s: int = 900


@dataclass(frozen=True, slots=True)
class Position:
    """Where a reader stands: everything up to ``sequence`` has been read."""

    sequence: int
    segment_first: int = 0
    offset: int = 0


@dataclass(slots=True)
class _Pending:
    project: str
    body: bytes
    spans: int
    done: Done


class Log:
    """An append-only log of bodies. Append from any thread; read from one.

    Raises (when opened):
        OSError: the directory cannot be used.
    """

    def __init__(self, directory: Path, limits: Limits = Limits()) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._limits = limits
        self._checkpoint_path = directory / "checkpoint"
        mark = checkpoint.load(self._checkpoint_path)
        found = segments.scan(directory, mark[0] if mark else None)
        self.damaged = found.damaged
        """Files with unreadable content, kept for a person to look at."""
        self.writer_id, self.checkpoint = mark or (_writer_id(found.segments), 0)
        self._segments = found.segments
        newest = max((s.last_sequence for s in self._segments), default=0)
        self.committed = max(newest, self.checkpoint)
        """The last sequence number that is on disk."""
        self._next = self.committed + 1
        self._last_ns = 0
        self._fd = -1
        self._end = 0
        self._room = 0
        self._queue: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._unstored = sum(
            s.end_offset for s in self._segments if s.last_sequence > self.checkpoint
        )
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._grown = threading.Condition(self._lock)
        self.closed = False
        """Whether nothing will be appended any more."""
        self._groups: deque[tuple[int, int]] = deque()  # (last sequence, received ns) per commit
        if mark is None:
            checkpoint.save(self._checkpoint_path, self.writer_id, 0)
        self._thread = threading.Thread(target=self._write_forever, name="log-writer", daemon=True)
        self._thread.start()

    # --- writing ---

    def append(self, project: str, body: bytes, spans: int, done: Done) -> None:
        """Queue a record; ``done`` is called when it is durable. Never blocks.

        Raises:
            LogFullError: there is no room; nothing was queued.
        """
        size = records.encoded_bytes(project, body)
        with self._lock:
            if self.closed:
                raise LogFullError("the log is closed")
            if self._unstored + self._waiting_bytes + size > self._limits.max_unstored_bytes:
                raise LogFullError("the log is full: the engine is not keeping up")
            self._waiting_bytes += size
        self._queue.put(_Pending(project, body, spans, done))

    def check_room(self) -> None:
        """Refuse early when the disk is nearly full.

        Raises:
            LogFullError: less than the reserve is free.
        """
        stats = os.statvfs(self._directory)
        if stats.f_bavail * stats.f_frsize < self._limits.min_free_bytes:
            raise LogFullError("the disk is nearly full")

    @property
    def unstored_bytes(self) -> int:
        """Bytes on disk that no checkpoint covers yet, roughly."""
        return self._unstored

    @property
    def oldest_unstored_s(self) -> float:
        """Age in seconds of the oldest record that no checkpoint covers; 0 when all are stored."""
        with self._lock:
            if not self._groups:
                return 0.0
            return max(0.0, (time.time_ns() - self._groups[0][1]) / 1e9)

    def close(self) -> None:
        """Write what is queued and stop. Blocks until the disk has it."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
        self._queue.put(None)
        self._thread.join()
        with self._grown:
            self._grown.notify_all()
        self._seal()

    def _write_forever(self) -> None:
        closing = False
        while not closing:
            group: list[_Pending] = []
            size = 0
            item = self._queue.get()
            while True:
                if item is None:
                    closing = True
                    break
                group.append(item)
                size += len(item.body)
                if size >= _GROUP_BYTES:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            if group:
                self._commit(group)

    def _commit(self, group: list[_Pending]) -> None:
        error: OSError | None = None
        written = 0
        try:
            written = self._write_group(group)
        except OSError as fault:
            logger.error("The log cannot be written: %s", fault)
            error = fault
            # After a failed write or sync the file's state is unknown: never append to it again.
            self._seal()
        size = sum(records.encoded_bytes(item.project, item.body) for item in group)
        with self._grown:
            self._waiting_bytes -= size
            if error is None:
                self._unstored += written
                self.committed = self._next - 1
                self._groups.append((self.committed, self._last_ns))
                self._grown.notify_all()
        for item in group:
            item.done(error)

    def _write_group(self, group: list[_Pending]) -> int:
        """Write and sync a group, over several segments when it must; returns the bytes written."""
        pieces: list[bytes] = []
        size = 0
        total = 0
        for item in group:
            need = records.encoded_bytes(item.project, item.body)
            if self._fd < 0 or self._end + size + need > self._room:
                self._write(pieces)
                total += size
                pieces, size = [], 0
                self._roll(need)
            self._last_ns = max(time.time_ns(), self._last_ns + 1)
            record = Record(self._next, self._last_ns, item.spans, item.project, item.body)
            pieces += records.encode(record)
            size += need
            self._next += 1
        self._write(pieces)
        return total + size

    def _write(self, pieces: list[bytes]) -> None:
        if not pieces:
            return
        for start in range(0, len(pieces), _IOVECS):
            part = pieces[start : start + _IOVECS]
            want = sum(map(len, part))
            if os.pwritev(self._fd, part, self._end) != want:
                raise OSError("short write to the log")
            self._end += want
        os.fdatasync(self._fd)
        with self._lock:
            self._segments[-1].end_offset = self._end
            self._segments[-1].last_sequence = self._next - 1

    def _roll(self, need: int) -> None:
        """Start a new segment that has room for ``need`` bytes."""
        self._seal()
        self.check_room()
        size = max(self._limits.segment_bytes, records.FILE_HEADER_BYTES + need)
        path, self._fd = segments.create(self._directory, self.writer_id, self._next, size)
        self._end, self._room = records.FILE_HEADER_BYTES, size
        with self._lock:
            self._segments.append(Segment(path, self._next, self._next - 1, self._end))

    def _seal(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # --- reading ---

    def start(self) -> Position:
        """Where a reader begins: behind the checkpoint."""
        return Position(self.checkpoint)

    def wait(self, after: int, timeout_s: float) -> bool:
        """Wait until something beyond sequence ``after`` is on disk; False on timeout or close."""
        with self._grown:
            self._grown.wait_for(lambda: self.committed > after or self.closed, timeout_s)
            return self.committed > after

    def read(
        self, position: Position, max_bytes: int, max_spans: int
    ) -> tuple[list[Record], Position]:
        """Committed records behind ``position``, at least one when there is any, and the new position."""
        with self._lock:
            committed = self.committed
            wanted = [s for s in self._segments if s.last_sequence > position.sequence]
        out: list[Record] = []
        size = spans = 0
        for segment in wanted:
            same = segment.first_sequence == position.segment_first
            offset = position.offset if same else records.FILE_HEADER_BYTES
            for record, next_at in segments.read(segment, offset):
                if record.sequence > committed:
                    return out, position
                if record.sequence > position.sequence:
                    full = size + len(record.body) > max_bytes or spans + record.spans > max_spans
                    if out and full:
                        return out, position
                    out.append(record)
                    size += len(record.body)
                    spans += record.spans
                position = Position(
                    max(record.sequence, position.sequence), segment.first_sequence, next_at
                )
        return out, position

    def confirm(self, sequence: int) -> None:
        """Everything up to ``sequence`` is stored for good: mark it, and delete old files."""
        if sequence <= self.checkpoint:
            return
        checkpoint.save(self._checkpoint_path, self.writer_id, sequence)
        with self._lock:
            self.checkpoint = sequence
            stored = [s for s in self._segments[:-1] if s.last_sequence <= sequence]
            self._unstored = sum(s.end_offset for s in self._segments if s.last_sequence > sequence)
            while self._groups and self._groups[0][0] <= sequence:
                self._groups.popleft()
        self._remove_old(stored)

    def _remove_old(self, stored: list[Segment]) -> None:
        limit = time.time() - self._limits.keep_s
        for segment in stored:
            if segment.path in self.damaged or segment.path.stat().st_mtime > limit:
                continue
            with self._lock:
                self._segments.remove(segment)
            segment.path.unlink(missing_ok=True)


def _writer_id(found: list[Segment]) -> int:
    """The id of this log: kept in its segments, made up for an empty directory."""
    for segment in found:
        with segments.mapped(segment.path) as data:
            return records.read_file_header(bytes(data[: records.FILE_HEADER_BYTES]))[0]
    return secrets.randbits(63) | 1
