"""The mark up to which the engine holds the log's data for good."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from tachograph_collector.wal.segments import sync_directory

_FORMAT = struct.Struct("<8sQQ")  # magic, writer id, sequence
_CRC = struct.Struct("<I")
_MAGIC = b"TACHOCKP"


def load(path: Path) -> tuple[int, int] | None:
    """(writer id, sequence), or ``None`` when there is no sound checkpoint."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(data) != _FORMAT.size + _CRC.size:
        return None
    body = data[: _FORMAT.size]
    magic, writer_id, sequence = _FORMAT.unpack(body)
    if magic != _MAGIC or _CRC.unpack(data[_FORMAT.size :])[0] != zlib.crc32(body):
        return None
    return int(writer_id), int(sequence)


def save(path: Path, writer_id: int, sequence: int) -> None:
    """Replace the checkpoint atomically and durably. Blocks on the disk."""
    body = _FORMAT.pack(_MAGIC, writer_id, sequence)
    fresh = path.with_suffix(".new")
    fd = os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, body + _CRC.pack(zlib.crc32(body)))
        os.fsync(fd)
    finally:
        os.close(fd)
    fresh.replace(path)
    sync_directory(path.parent)
