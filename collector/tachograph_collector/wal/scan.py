"""What a log directory holds when it is opened, and what a crash or a failing disk left in it.

A kill leaves three things behind, and none was acknowledged: a file without a header, a file without records, and a
torn record with nothing sound behind it. They are removed quietly. Everything else that cannot be read is damage.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from tachograph_collector.wal import records
from tachograph_collector.wal.damage import Damage
from tachograph_collector.wal.files import read_range, sync_directory
from tachograph_collector.wal.records import Gap, Layout, Record
from tachograph_collector.wal.segments import SUFFIX, Segment


class LaterLogError(OSError):
    """A later version wrote the log: this one must not touch it."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The log as it was found."""

    segments: list[Segment]
    """By sequence number; every one holds records."""
    writer_id: int | None
    """Whose log it is; ``None`` when nothing is in it."""
    newest_ns: int
    """When the newest record was received, ns since the epoch."""


@dataclass(frozen=True, slots=True)
class _Found:
    segment: Segment
    gaps: list[tuple[Gap, bytes]]
    """With sound records behind them."""
    tail: list[tuple[Gap, bytes]]
    """With nothing behind them."""
    newest_ns: int

    @property
    def is_empty(self) -> bool:
        return self.segment.last_sequence < self.segment.first_sequence


def scan(directory: Path, writer_id: int | None, damage: Damage) -> Scan:
    """Find every segment and how far its records are sound. Reads all of them: blocks on the disk.

    ``writer_id`` is whose log it should be. When no file is of that writer, it is the log of whoever wrote the
    newest file; files of others are moved aside.

    Raises:
        LaterLogError: a file has a format this version does not know.
        OSError: the directory or a file cannot be read.
    """
    found = [one for path in sorted(directory.glob(f"*{SUFFIX}")) if (one := _look(path, damage))]
    found.sort(key=lambda one: one.segment.first_sequence)
    owners = [one.segment.layout.writer_id for one in found]
    owner = writer_id if writer_id in owners or not owners else owners[-1]
    own: list[_Found] = []
    for one in found:
        if one.segment.layout.writer_id == owner:
            own.append(one)
        else:
            damage.file(one.segment.path, "it is part of another log")
    for index, one in enumerate(own):
        behind = own[index + 1].segment.first_sequence if index + 1 < len(own) else None
        _settle(one, behind, damage)
    segments = [one.segment for one in own if not one.is_empty]
    return Scan(segments, owner, max((one.newest_ns for one in own), default=0))


def _look(path: Path, damage: Damage) -> _Found | None:
    """What is in a file; ``None`` for one that is no part of the log and was removed or moved aside."""
    if not stat.S_ISREG(path.lstat().st_mode):
        damage.file(path, "it is no regular file")
        return None
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        data = read_range(fd, 0, os.fstat(fd).st_size)
    finally:
        os.close(fd)
    try:
        layout, torn_header = records.read_file_header(data[: records.FILE_HEADER_BYTES])
    except records.LaterFormatError as error:
        raise LaterLogError(
            f"{path.name}: {error}. Start the version that wrote it, or move the file away"
        ) from error
    except records.NotASegmentError as error:
        if data.count(0) == len(data):
            _drop(path)
        else:
            damage.file(path, str(error))
        return None
    found = _contents(path, layout, data)
    if found.is_empty and not found.tail:
        _drop(path)
        return None
    if torn_header:
        found.gaps.insert(0, (torn_header, data[torn_header.start : torn_header.end]))
    return found


def _contents(path: Path, layout: Layout, data: bytes) -> _Found:
    last, end, newest_ns = layout.first_sequence - 1, layout.start_offset, 0
    gaps: list[tuple[Gap, bytes]] = []
    tail: list[tuple[Gap, bytes]] = []
    for what, next_at in records.walk(layout, data, layout.start_offset):
        if isinstance(what, Record):
            last, end, newest_ns = what.sequence, next_at, what.received_ns
            gaps, tail = gaps + tail, []
        else:
            tail.append((what, data[what.start : what.end]))
    return _Found(Segment(path, layout, last, end), gaps, tail, newest_ns)


def _settle(one: _Found, first_behind: int | None, damage: Damage) -> None:
    """Report the damage in a file, and cut off what a crash left at its end.

    ``first_behind`` is the first sequence number of the next file: when numbers are missing in between, the
    end of this file was more than a torn record.
    """
    path, end = one.segment.path, one.segment.end_offset
    for gap, data in one.gaps:
        damage.gap(path, gap, data)
    if not one.tail:
        return
    if first_behind is not None and first_behind > one.segment.last_sequence + 1:
        copied = [damage.gap(path, gap, data) for gap, data in one.tail]
        if not all(copied):
            return
    # On a filesystem that cannot be written now, the next start does it.
    with contextlib.suppress(OSError):
        if one.is_empty:
            _drop(path)
        else:
            _cut(path, end)


def _cut(path: Path, end: int) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.ftruncate(fd, end)
        os.fsync(fd)
    finally:
        os.close(fd)


def _drop(path: Path) -> None:
    path.unlink(missing_ok=True)
    sync_directory(path.parent)
