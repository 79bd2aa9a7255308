"""The flight recorder's memory: finished spans in files that outlive the process, oldest given up first.

``TACHO_HOME/spool/<pid>-<random>/`` belongs to one process, which holds a lock on its file ``owner`` for as long as
it lives. Appending is a copy into shared memory: no system call but one for each new segment. What cannot be kept
on disk (no room, no home) is kept in memory, within the bounds of the queue.

Every method is called with the recorder's lock held, but for :meth:`Spool.prepare`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import time
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

from tachograph._guard import say_rarely
from tachograph._segment import FINAL, FRAME_BYTES, HEADER_BYTES, Record, Segment
from tachograph._slots import Slots

DIRECTORY, OWNER, ABOUT = "spool", "owner", "about.json"
GONE = "gone-"
"""What a spool's directory is called while it is removed."""
SEGMENT_BYTES = 1 << 20
"""Small, so that a sender that keeps up has the same warm memory written again and again."""
_LATER_BYTES, _SMALL_SEGMENTS = 4 << 20, 8
"""While the collector is away segments pile up: larger ones then, as each takes a file descriptor."""
_LEAST_SEGMENT_BYTES = 64 << 10
_SPARE_SEGMENTS = 2
_RETRY_S = 10.0
"""How long after a failure another segment is asked of the disk."""


class Mark(NamedTuple):
    """How far a batch reaches: in which segment, up to where, and its turn, as segments are used again."""

    segment: Segment
    position: int
    sequence: int


class Spool:
    """Records between the recorder and the sender, in the order in which they came."""

    def __init__(
        self,
        home: Path | None,
        about: dict[str, Any],
        *,
        max_bytes: int,
        memory_records: int,
        memory_bytes: int,
    ) -> None:
        """``about`` is what a later process must know to send what this one leaves. ``home`` None: memory only."""
        self._home = home
        self._about = about
        self._max_bytes = max_bytes
        self._segment_bytes = max(min(SEGMENT_BYTES, max_bytes // 4), _LEAST_SEGMENT_BYTES)
        self._memory_limits = memory_records, memory_bytes
        self._begin()

    def _begin(self) -> None:
        self.folder: Path | None = None
        self.slots: Slots | None = None
        self._owner = -1
        self._segments: deque[Segment] = deque()
        self._free: list[Segment] = []
        self._made = 0
        self._memory: deque[Record] = deque()
        self._memory_bytes = 0
        self._retry_at_s = 0.0
        self.waiting = 0
        """Records not taken yet."""
        self._busy = False
        self._late: deque[Record] = deque()
        """What came while this very thread was at work here: from a signal's handler or a finaliser."""
        self.dropped = self.dropped_finals = 0

    def open(self) -> None:
        """Make the directory, unless it is there or cannot be made; says so once."""
        if self._home is None or self.folder is not None or time.monotonic() < self._retry_at_s:
            return
        self._make_folder(self._home)

    def _make_folder(self, home: Path) -> None:
        parent, name = home / DIRECTORY, f"{os.getpid()}-{secrets.token_hex(4)}"
        # Not under its name before it is locked: it would look like one whose process is gone.
        hidden = parent / f".{name}"
        try:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            parent.mkdir(exist_ok=True, mode=0o700)
            hidden.mkdir(mode=0o700)
            self._owner = os.open(hidden / OWNER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            about = os.open(hidden / ABOUT, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with open(about, "w", encoding="utf-8") as file:  # noqa: PTH123 - of a descriptor
                json.dump(self._about, file)
            if self.slots is None:
                self.slots = Slots(hidden)
            else:
                # A removed one: spans that are open know their places in it.
                self.slots.move(hidden)
            self.folder = hidden.rename(parent / name)
        except OSError as error:
            self._without_disk(error)
            self._release()
            shutil.rmtree(hidden, ignore_errors=True)

    def mend(self) -> None:
        """Make the directory anew if somebody removed it. What waits in it is still in memory, and is sent."""
        folder, home = self.folder, self._home
        if folder is None or home is None or self._busy or folder.exists():
            return
        say_rarely("spool gone", "tachograph: %s was removed; spans go to a new one", folder)
        self._busy = True
        try:
            self._release()
            self.folder = None
            while self._free:
                self._free.pop().close(remove=True)
            self._make_folder(home)
            if self.folder is not None:
                # The one in use has no name any more: what comes now is to be found by others.
                self._extend(0)
        finally:
            self._busy = False
            self._take_in()

    def _without_disk(self, error: OSError) -> None:
        self._retry_at_s = time.monotonic() + _RETRY_S
        say_rarely(
            "spool",
            "tachograph: %s: spans are kept in memory only, and lost if this process is killed (%s)",
            self._home and self._home / DIRECTORY,
            error.strerror or error,
        )

    # --- in ------------------------------------------------------------------------------------------

    def append(self, kind: int, content: bytes) -> None:
        """Keep a record; the oldest ones give way when there is no room."""
        if self._busy:
            # The lock lets the same thread in again: half a record would be written over.
            self._late.append(Record(kind, content))
            return
        self._busy = True
        try:
            self._append(kind, content)
        finally:
            self._busy = False
        if self._late:
            self._take_in()

    def _take_in(self) -> None:
        while self._late:
            self._busy = True
            try:
                # A Ctrl-C between the two has it sent twice, which does no harm; the other way round it would be lost.
                self._append(*self._late[0])
                self._late.popleft()
            finally:
                self._busy = False

    def _append(self, kind: int, content: bytes) -> None:
        segments = self._segments
        # What is in memory already goes first: the order stays.
        if self._memory or not (
            (segments and segments[-1].append(kind, content))
            or (self._extend(len(content)) and segments[-1].append(kind, content))
        ):
            self._remember(Record(kind, content))
        self.waiting += 1

    def _extend(self, size_bytes: int) -> bool:
        """Add an empty segment that takes ``size_bytes``; False when there can be none now."""
        self.open()
        needed = size_bytes + FRAME_BYTES + HEADER_BYTES
        if self.folder is None or needed > self._max_bytes or time.monotonic() < self._retry_at_s:
            return False
        many = len(self._segments) >= _SMALL_SEGMENTS and self._segment_bytes == SEGMENT_BYTES
        size = max(_LATER_BYTES if many else self._segment_bytes, needed)
        self._made += 1
        if self._free and size <= self._free[-1].size_bytes:
            segment = self._free.pop()
            segment.reset(self._made)
            self._segments.append(segment)
            return True
        while self._segments and self.size_bytes + size > self._max_bytes:
            self._drop(self._segments.popleft())
        try:
            self._segments.append(Segment(self._path(self._made), size, self._made))
        except OSError as error:
            self._without_disk(error)
            return False
        return True

    def _path(self, number: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{number:08d}.ring"

    @property
    def size_bytes(self) -> int:
        """What the spool takes on disk, spare segments included."""
        return sum(one.size_bytes for one in (*self._segments, *self._free))

    def _drop(self, segment: Segment) -> None:
        lost = segment.finals - segment.finals_taken
        while segment.take() is not None:
            self.waiting -= 1
            self.dropped += 1
        self.dropped_finals += lost
        segment.close(remove=True)
        say_rarely("queue", "tachograph: the spool is full; the oldest spans are dropped")

    def _remember(self, record: Record) -> None:
        most_records, most_bytes = self._memory_limits
        size = len(record.content)
        while self._memory and (
            len(self._memory) >= most_records or self._memory_bytes + size > most_bytes
        ):
            old = self._memory.popleft()
            self._memory_bytes -= len(old.content)
            self.waiting -= 1
            self.dropped += 1
            self.dropped_finals += old.final
            say_rarely("queue", "tachograph: the queue is full; the oldest spans are dropped")
        self._memory.append(record)
        self._memory_bytes += size

    # --- out -----------------------------------------------------------------------------------------

    def take(self, most: int, most_bytes: int) -> tuple[list[Record], list[Mark]]:
        """The next records, and the marks to give to :meth:`settle` once they were dealt with."""
        if self._busy:
            # A handler waits for a flush, which lets go of the lock, in the midst of its thread's record.
            return [], []
        self._busy = True
        try:
            return self._take(most, most_bytes)
        finally:
            self._busy = False
            self._take_in()

    def _take(self, most: int, most_bytes: int) -> tuple[list[Record], list[Mark]]:
        found: list[Record] = []
        marks: list[Mark] = []
        room = most_bytes
        for segment in self._segments:
            before = len(found)
            while len(found) < most and room > 0 and (record := segment.take()) is not None:
                found.append(record)
                room -= len(record.content)
            if len(found) > before:
                marks.append(Mark(segment, segment.read_to, segment.sequence))
        while self._memory and len(found) < most and room > 0:
            record = self._memory.popleft()
            self._memory_bytes -= len(record.content)
            found.append(record)
            room -= len(record.content)
        # A Ctrl-C may have come between a record and its count.
        self.waiting = max(self.waiting - len(found), 0) if found else 0
        return found, marks

    def settle(self, marks: list[Mark]) -> None:
        """Records up to the marks were delivered or given up: they need not survive any more."""
        for segment, position, sequence in marks:
            if segment in self._segments and segment.sequence == sequence:
                segment.ship(position)
        if self._busy:
            return  # as in `take`: what is written at this moment must stay where it is
        self._busy = True
        try:
            self._recycle_shipped()
        finally:
            self._busy = False
            self._take_in()

    def _recycle_shipped(self) -> None:
        # The last one stays, to be written on; when all of it was sent it starts anew.
        while self._segments and self._segments[0].shipped_to >= self._segments[0].end:
            if len(self._segments) == 1:
                if self._segments[0].end > self._segment_bytes // 2:
                    self._made += 1
                    self._segments[0].reset(self._made)
                return
            self._recycle(self._segments.popleft())

    def _recycle(self, segment: Segment) -> None:
        usual = segment.size_bytes == self._segment_bytes and segment.path.parent == self.folder
        if usual and len(self._free) < _SPARE_SEGMENTS:
            segment.reset(0)
            self._free.append(segment)
        else:
            segment.close(remove=True)

    def prepare(self) -> Segment | None:
        """A segment for :meth:`add`, with its memory ready, when the one in use is half full. Takes no lock."""
        segments = self._segments
        if not segments or self._free or self.folder is None:
            return None
        if segments[-1].end < self._segment_bytes // 2:
            return None
        if self.size_bytes + self._segment_bytes > self._max_bytes:
            return None
        path = self.folder / f"spare-{secrets.token_hex(4)}.ring"
        try:
            return Segment(path, self._segment_bytes, 0)
        except OSError:
            return None  # the next record that needs one meets the same trouble, and says so

    def add(self, spare: Segment) -> None:
        """Take over a segment that :meth:`prepare` made."""
        self._free.append(spare)

    # --- the end -------------------------------------------------------------------------------------

    def close(self, *, keep: bool) -> Path | None:
        """Let go of the files; what comes later is kept nowhere.

        Args:
            keep: Leave them for a later process; else everything was sent and they are removed.

        Returns:
            Where they are, if they are kept.
        """
        for segment in (*self._segments, *self._free):
            segment.close(remove=False)
        if self.slots is not None:
            self.slots.close()
        folder, lost = self.folder, sum(record.final for record in self._memory)
        self._release()
        if folder is not None and not keep:
            remove(folder)
        self._begin()
        self._home = None
        self.dropped_finals = lost
        return folder if keep else None

    @property
    def waiting_finals(self) -> int:
        """Spans that ended and were not taken yet."""
        on_disk = sum(one.finals - one.finals_taken for one in self._segments)
        return on_disk + sum(record.final for record in self._memory)

    def _release(self) -> None:
        if self._owner >= 0:
            os.close(self._owner)
            self._owner = -1

    def after_fork(self) -> None:
        """In the child: the files are the parent's; this process makes its own when it needs them."""
        self._release()
        self._begin()


def remove(folder: Path) -> None:
    """Remove a spool. Under another name first: a process that ends half way must leave no half of a spool."""
    gone = folder.with_name(f"{GONE}{folder.name}")
    with contextlib.suppress(OSError):
        folder = folder.rename(gone)
    shutil.rmtree(folder, ignore_errors=True)


def final_count(records: list[Record]) -> int:
    """How many of them are spans that have ended."""
    return sum(record.kind & FINAL for record in records)
