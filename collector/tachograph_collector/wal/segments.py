"""The segment files of a log: made, written, read, made again."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tachograph_collector.wal import records
from tachograph_collector.wal.files import read_range, sync_directory, write_all
from tachograph_collector.wal.records import Gap, Layout, Record

SUFFIX = ".segment"
_COPY_BYTES = 4 << 20


@dataclass(slots=True, eq=False)
class Segment:
    """One file of the log, and how far it holds sound records."""

    path: Path
    layout: Layout
    last_sequence: int
    """One less than its first while it holds none."""
    end_offset: int
    """Where the next record would go."""

    @property
    def first_sequence(self) -> int:
        """What the file's header says; also its name."""
        return self.layout.first_sequence


def create(
    directory: Path, writer_id: int, first_sequence: int, size_bytes: int
) -> tuple[Segment, int]:
    """Make a preallocated segment, durable by name; returns it and an open descriptor.

    Preallocation finds a full disk here, where nothing is lost, and keeps ``fdatasync`` from having to
    write the file's size.

    Raises:
        FileExistsError: there is such a file; it is left alone.
        OSError: no room, or the directory cannot be written.
    """
    layout = Layout(writer_id, first_sequence, secrets.randbits(32))
    path = directory / f"{first_sequence:020d}{SUFFIX}"
    fd = _create(path, records.file_header(layout), size_bytes)
    return Segment(path, layout, first_sequence - 1, records.FILE_HEADER_BYTES), fd


def restore(segment: Segment, fd: int, end_offset: int | None = None) -> int:
    """Make a file again that was removed while it was open; returns the descriptor of the new one.

    ``end_offset`` is how far it was written, when that is further than the segment says.

    Raises:
        OSError: it cannot be written; the old descriptor is left open.
    """
    size_bytes = os.fstat(fd).st_size
    fresh = _create(segment.path, read_range(fd, 0, segment.layout.start_offset), size_bytes)
    try:
        written = segment.end_offset if end_offset is None else end_offset
        for start in range(segment.layout.start_offset, written, _COPY_BYTES):
            end = min(start + _COPY_BYTES, written)
            write_all(fresh, read_range(fd, start, end), start)
        os.fdatasync(fresh)
    except OSError:
        os.close(fresh)
        segment.path.unlink(missing_ok=True)
        raise
    os.close(fd)
    return fresh


def _create(path: Path, header: bytes, size_bytes: int) -> int:
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, size_bytes)
        write_all(fd, header, 0)
        os.fsync(fd)
        sync_directory(path.parent)
    except OSError:
        os.close(fd)
        path.unlink(missing_ok=True)
        raise
    return fd


def read(
    segment: Segment, fd: int, start: int, end: int
) -> Iterator[tuple[Record | tuple[Gap, bytes], int]]:
    """What stands between two offsets: records, and gaps with their bytes, each with where the next begins.

    A file that ends too early has a gap there, without bytes.
    """
    data = read_range(fd, start, end)
    at = start
    for what, next_at in records.walk(segment.layout, data, 0):
        if isinstance(what, Record):
            at = start + next_at
            yield what, at
        elif next_at < len(data):
            at = start + next_at
            yield (Gap(start + what.start, at), data[what.start : what.end]), at
    if at < end:
        yield (Gap(at, end), data[at - start :]), end
