"""The segment files of a log directory: made, listed, scanned, removed."""

from __future__ import annotations

import contextlib
import mmap
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tachograph_collector.wal import records
from tachograph_collector.wal.records import Record

SUFFIX = ".segment"


@dataclass(slots=True)
class Segment:
    """One file of the log, and how far it holds sound records."""

    path: Path
    first_sequence: int
    last_sequence: int
    """``first_sequence - 1`` while it holds none."""
    end_offset: int
    """Where the next record would go."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found in a log directory."""

    segments: list[Segment]
    damaged: list[Path]
    """Files with unreadable content before their end; they are kept for a person to look at."""


def sync_directory(directory: Path) -> None:
    """Make the names in ``directory`` durable: a file whose name is lost is lost."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def create(
    directory: Path, writer_id: int, first_sequence: int, size_bytes: int
) -> tuple[Path, int]:
    """Make a preallocated segment, durable by name; returns its path and an open descriptor.

    Preallocation finds a full disk here, where nothing is lost, and keeps ``fdatasync`` from having to
    write the file's size.

    Raises:
        OSError: no room, or the directory cannot be written.
    """
    path = directory / f"{first_sequence:020d}{SUFFIX}"
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, size_bytes)
        os.pwrite(fd, records.file_header(writer_id, first_sequence), 0)
        os.fsync(fd)
        sync_directory(directory)
    except OSError:
        os.close(fd)
        path.unlink(missing_ok=True)
        raise
    return path, fd


@contextlib.contextmanager
def mapped(path: Path) -> Iterator[memoryview]:
    """The file's bytes, read through the page cache."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            yield memoryview(b"")
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as map_, memoryview(map_) as view:
            yield view


def scan(directory: Path, writer_id: int | None) -> Scan:
    """Find every segment and how far its records are sound.

    The last segment may end in a torn record: that is what a crash leaves, and it was not acknowledged.
    Content after the last sound record of an earlier segment is damage, reported as such.
    """
    segments: list[Segment] = []
    damaged: list[Path] = []
    paths = sorted(directory.glob(f"*{SUFFIX}"))
    for path in paths:
        with mapped(path) as data:
            first = _first_sequence(data, writer_id)
            if first is None:
                damaged.append(_set_aside(path))
                continue
            last, end = first - 1, records.FILE_HEADER_BYTES
            for record, next_at in records.decode_all(data, end):
                last, end = record.sequence, next_at
            if path != paths[-1] and any(data[end : end + 64]):
                damaged.append(path)
        segments.append(Segment(path, first, last, end))
    return Scan(segments, damaged)


def _first_sequence(data: memoryview, writer_id: int | None) -> int | None:
    """The segment's first sequence number, or ``None`` when it is not a segment of this log."""
    try:
        owner, first = records.read_file_header(bytes(data[: records.FILE_HEADER_BYTES]))
    except records.NotASegmentError:
        return None
    return first if writer_id in {None, owner} else None


def _set_aside(path: Path) -> Path:
    """Rename a file that cannot be read, so that no new segment takes its name and overwrites it."""
    aside = path.with_suffix(f".{time.time_ns()}.damaged")
    path.rename(aside)
    return aside


def read(segment: Segment, offset: int) -> Iterator[tuple[Record, int]]:
    """The records of a segment from ``offset`` on, each with where the next one begins."""
    with mapped(segment.path) as data:
        yield from records.decode_all(data, offset)
