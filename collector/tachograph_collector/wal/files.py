"""Small durable steps on files: what a power cut must not undo."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Make the names in ``directory`` durable: a file whose name is lost is lost. Blocks on the disk."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(directory: Path) -> None:
    """Make a private directory, durable by name with all its parents. Blocks on the disk.

    Raises:
        OSError: it cannot be made.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for parent in directory.resolve().parents:
        # Whoever made one of them lately may not have synced it; one that we may not open is not ours.
        with contextlib.suppress(OSError):
            sync_directory(parent)


def read_range(fd: int, start: int, end: int) -> bytes:
    """The bytes from ``start`` up to ``end``, fewer when the file ends before.

    By ``pread`` and not by a mapping: a file cut short under a mapping kills the process.
    """
    parts: list[bytes] = []
    while start < end:
        part = os.pread(fd, end - start, start)
        if not part:
            break
        parts.append(part)
        start += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def write_all(fd: int, data: bytes, offset: int) -> None:
    """Write ``data`` at ``offset``, however many calls it takes.

    Raises:
        OSError: the disk refuses.
    """
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
