"""The mark up to which the engine holds the log's data for good.

It saves work and nothing hangs on it: without one, the engine is asked what it has of everything in the log. So one
that cannot be read is moved aside and made anew.
"""

from __future__ import annotations

import logging
import os
import struct
import zlib
from pathlib import Path

from tachograph_collector.wal.damage import Damage
from tachograph_collector.wal.files import sync_directory, write_all

logger = logging.getLogger(__name__)

_FORMAT = struct.Struct("<8sQQ")  # magic, writer id, sequence
_CRC = struct.Struct("<I")
_MAGIC = b"TACHOCKP"


def load(path: Path, damage: Damage) -> tuple[int, int] | None:
    """(writer id, sequence), or ``None`` when there is no sound checkpoint.

    Raises:
        OSError: the disk cannot read it, or it may not be read.
    """
    for leftover in (path, _fresh(path)):
        if leftover.is_symlink() or (leftover.exists() and not leftover.is_file()):
            damage.file(leftover, "it is no regular file")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    mark = _decode(data)
    if mark is None and not data:
        # What a full disk leaves of other programs' copies; there is nothing to keep.
        logger.warning("%s is empty; the engine will be asked what it has.", path)
        path.unlink()
    elif mark is None:
        damage.file(path, "it is damaged, or of another version")
    return mark


def save(path: Path, writer_id: int, sequence: int) -> None:
    """Replace the checkpoint atomically and durably. Blocks on the disk.

    Raises:
        OSError: the old one is in force.
    """
    body = _FORMAT.pack(_MAGIC, writer_id, sequence)
    fresh = _fresh(path)
    fd = os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, body + _CRC.pack(zlib.crc32(body)), 0)
        os.fsync(fd)
    finally:
        os.close(fd)
    fresh.replace(path)
    sync_directory(path.parent)


def _fresh(path: Path) -> Path:
    return path.with_suffix(".new")


def _decode(data: bytes) -> tuple[int, int] | None:
    if len(data) != _FORMAT.size + _CRC.size:
        return None
    body = data[: _FORMAT.size]
    magic, writer_id, sequence = _FORMAT.unpack(body)
    if magic != _MAGIC or _CRC.unpack(data[_FORMAT.size :])[0] != zlib.crc32(body):
        return None
    return int(writer_id), int(sequence)
