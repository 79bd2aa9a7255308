"""The log itself: one writer thread, one reader behind it."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tachograph_collector.wal import checkpoint, records, segments
from tachograph_collector.wal.active import Active
from tachograph_collector.wal.damage import Damage
from tachograph_collector.wal.files import make_directory
from tachograph_collector.wal.kept import Kept
from tachograph_collector.wal.records import Record
from tachograph_collector.wal.scan import scan
from tachograph_collector.wal.segments import Segment

logger = logging.getLogger(__name__)

_GROUP_BYTES = 32 << 20  # most bytes of one write and sync: bounds how long the first waiter waits

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
    path: Path | None = None
    offset: int = 0


@dataclass(slots=True)
class _Pending:
    project: str
    body: bytes
    spans: int
    done: Done
    kind: int


class Log:
    """An append-only log of bodies. Append from any thread; read and confirm from one.

    Raises (when opened):
        OSError: the directory cannot be used, or a later version wrote the log.
    """

    def __init__(self, directory: Path, limits: Limits = Limits()) -> None:
        make_directory(directory)
        self._directory = directory
        self._limits = limits
        self._damage = Damage(directory)
        self._checkpoint_path = directory / "checkpoint"
        mark = checkpoint.load(self._checkpoint_path, self._damage)
        found = scan(directory, mark[0] if mark else None, self._damage)
        if mark and found.writer_id not in {None, mark[0]}:
            logger.warning(
                "The checkpoint is of another log; the engine will be asked what it has."
            )
            mark = None
        self.writer_id, self.checkpoint = mark or (found.writer_id or _new_writer_id(), 0)
        self._kept = Kept(found.segments, self._damage)
        self.committed = max(self._kept.newest(), self.checkpoint)
        """The last sequence number that is on disk."""
        self._next = self.committed + 1
        self._last_ns = found.newest_ns
        self._active: Active | None = None
        self._failing = False
        self._queue: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._unstored = self._bytes_behind(self.checkpoint)
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._grown = threading.Condition(self._lock)
        self.closed = False
        """Whether nothing will be appended any more."""
        self._groups: deque[tuple[int, int]] = deque()  # (last sequence, received ns) per commit
        if mark is None:
            # So that the log has one name from its first start on; a full disk is no reason not to start.
            with contextlib.suppress(OSError):
                checkpoint.save(self._checkpoint_path, self.writer_id, 0)
        self._thread = threading.Thread(target=self._write_forever, name="log-writer", daemon=True)
        self._thread.start()

    # --- what there is to say of it ---

    @property
    def damaged(self) -> list[Path]:
        """Where the unreadable content was put that was found since the log was opened."""
        return list(self._damage.kept)

    @property
    def damages(self) -> int:
        """Damaged places and lost files found since the log was opened."""
        return self._damage.count

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

    # --- writing ---

    def append(self, project: str, body: bytes, spans: int, done: Done, kind: int = 0) -> None:
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
        self._queue.put(_Pending(project, body, spans, done, kind))

    def check_room(self) -> None:
        """Refuse early when the disk is nearly full.

        Raises:
            LogFullError: less than the reserve is free.
        """
        stats = os.statvfs(self._directory)
        if stats.f_bavail * stats.f_frsize < self._limits.min_free_bytes:
            raise LogFullError("the disk is nearly full")

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
            if not self._failing:
                logger.error("The log cannot be written; clients are told to wait: %s", fault)
            error = fault
            # After a failed write or sync the file's state is unknown: never append to it again.
            self._seal()
        if self._failing and error is None:
            logger.info("The log can be written again.")
        self._failing = error is not None
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
        size = total = 0
        active = self._active
        for item in group:
            need = records.encoded_bytes(item.project, item.body)
            if active is None or not active.has_room(size + need):
                self._write(pieces)
                total += size
                pieces, size = [], 0
                active = self._roll(need)
            self._last_ns = max(time.time_ns(), self._last_ns + 1)
            record = Record(
                self._next, self._last_ns, item.spans, item.project, item.body, item.kind
            )
            pieces += records.encode(record, active.segment.layout.salt)
            size += need
            self._next += 1
        self._write(pieces)
        return total + size

    def _write(self, pieces: list[bytes]) -> None:
        if not pieces or self._active is None:
            return
        end = self._active.write(pieces)
        self._kept.grown(self._active.segment, end, self._next - 1)

    def _roll(self, need: int) -> Active:
        """Start a new segment that has room for ``need`` bytes."""
        self._seal()
        if not self._directory.is_dir():
            make_directory(self._directory)
        self.check_room()
        size = max(self._limits.segment_bytes, records.FILE_HEADER_BYTES + need)
        while True:
            try:
                active = Active(self._directory, self.writer_id, self._next, size)
            except FileExistsError:
                # Left by a failed write or put there: whatever it is, it is not ours to overwrite.
                self._next += 1
                continue
            self._active = active
            self._kept.activate(active)
            return active

    def _seal(self) -> None:
        active = self._active
        if active is not None:
            active.close(is_wanted=active.segment.last_sequence > self.checkpoint)
            self._active = None
            self._kept.sealed()

    # --- reading ---

    def start(self) -> Position:
        """Where a reader begins: behind the checkpoint."""
        return Position(self.checkpoint)

    def wait(self, after: int, timeout_s: float) -> bool:
        """Wait until something beyond sequence ``after`` is on disk; False on timeout or close."""
        with self._grown:
            self._grown.wait_for(lambda: self.committed > after or self.closed, timeout_s)
            return self.committed > after

    def unread_bytes(self, position: Position) -> int:
        """About how many bytes on disk are behind ``position``."""
        return sum(
            end - (position.offset if position.path == segment.path else 0)
            for segment, end in self._kept.behind(position.sequence)
        )

    def read(
        self, position: Position, max_bytes: int, max_spans: int
    ) -> tuple[list[Record], Position]:
        """Committed records behind ``position``, at least one when there is any, and the new position.

        What cannot be read is reported and passed over. Blocks on the disk.

        Raises:
            OSError: the disk or the process is in trouble; the same call may succeed later.
        """
        with self._lock:
            committed = self.committed
        out: list[Record] = []
        size = spans = 0
        for segment, end in self._kept.behind(position.sequence):
            for record, next_at in self._records(segment, position, end):
                if record.sequence > committed:
                    return out, position
                if record.sequence > position.sequence:
                    full = size + len(record.body) > max_bytes or spans + record.spans > max_spans
                    if out and full:
                        return out, position
                    out.append(record)
                    size += len(record.body)
                    spans += record.spans
                sequence = max(record.sequence, position.sequence)
                position = Position(sequence, segment.path, next_at)
        # Behind the last record may be others that cannot be read: they are not waited for.
        return out, Position(max(committed, position.sequence), position.path, position.offset)

    def _records(
        self, segment: Segment, position: Position, end: int
    ) -> Iterator[tuple[Record, int]]:
        start = position.offset if position.path == segment.path else segment.layout.start_offset
        fd = self._kept.open(segment, self.checkpoint)
        if fd < 0:
            return
        try:
            for what, next_at in segments.read(segment, fd, start, end):
                if isinstance(what, Record):
                    yield what, next_at
                else:
                    self._damage.gap(segment.path, *what)
        finally:
            os.close(fd)

    # --- what is stored for good ---

    @property
    def kept_after(self) -> int:
        """The sequence number behind which the log still holds records, stored or not."""
        first = self._kept.first_kept()
        return self.committed if first is None else first - 1

    def rewind(self) -> None:
        """Take the checkpoint back to the oldest record that is kept: the engine lost what it had.

        Only before anything is read. The mark on disk stays until :meth:`confirm` replaces it: after a crash on
        the way the engine is found wanting again.
        """
        kept_after = self.kept_after
        with self._lock:
            self.checkpoint = min(self.checkpoint, kept_after)
            self._unstored = self._bytes_behind(self.checkpoint)

    def confirm(self, sequence: int) -> None:
        """Everything up to ``sequence`` is stored for good: mark it, and delete old files.

        Raises:
            OSError: the mark cannot be written; nothing was deleted.
        """
        if sequence <= self.checkpoint:
            return
        checkpoint.save(self._checkpoint_path, self.writer_id, sequence)
        with self._lock:
            self.checkpoint = sequence
            self._unstored = self._bytes_behind(sequence)
            while self._groups and self._groups[0][0] <= sequence:
                self._groups.popleft()
        self._kept.remove_stored(sequence, self._limits.keep_s)

    def _bytes_behind(self, sequence: int) -> int:
        return sum(end_offset for _, end_offset in self._kept.behind(sequence))


def _new_writer_id() -> int:
    return secrets.randbits(63) | 1
