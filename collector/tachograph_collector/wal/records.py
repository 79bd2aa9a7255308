"""The format of a segment file.

``file header | record | record | ... | zeros``, little endian. A record is ``header | project | body``; its
checksum covers everything after itself, so a torn or overwritten record is never mistaken for a sound one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

FILE_MAGIC = b"TACHOLOG"
FILE_VERSION = 1
_FILE_HEADER = struct.Struct("<8sIQQ")  # magic, version, writer id, first sequence number
_FILE_CRC = struct.Struct("<I")
FILE_HEADER_BYTES = _FILE_HEADER.size + _FILE_CRC.size

_RECORD_MAGIC = 0x7AC0
_RECORD_HEAD = struct.Struct("<HI")  # magic, crc of the rest
_RECORD_BODY = struct.Struct("<QQIHI")  # sequence, received ns, spans, project bytes, body bytes
RECORD_HEADER_BYTES = _RECORD_HEAD.size + _RECORD_BODY.size


@dataclass(frozen=True, slots=True)
class Record:
    """One body in the log."""

    sequence: int
    """Counts up by one over the life of the log; gaps are bodies whose write failed."""
    received_ns: int
    """When it was appended, ns since the epoch; strictly increasing."""
    spans: int
    project: str
    body: bytes


class NotASegmentError(ValueError):
    """The file does not begin like a segment, or a later version wrote it."""


def file_header(writer_id: int, first_sequence: int) -> bytes:
    """The first bytes of a segment file."""
    head = _FILE_HEADER.pack(FILE_MAGIC, FILE_VERSION, writer_id, first_sequence)
    return head + _FILE_CRC.pack(zlib.crc32(head))


def read_file_header(data: bytes) -> tuple[int, int]:
    """Writer id and first sequence number.

    Raises:
        NotASegmentError: the header is torn, foreign, or of a later version.
    """
    if len(data) < FILE_HEADER_BYTES:
        raise NotASegmentError("the file is too short")
    head = data[: _FILE_HEADER.size]
    magic, version, writer_id, first_sequence = _FILE_HEADER.unpack(head)
    (crc,) = _FILE_CRC.unpack(data[_FILE_HEADER.size : FILE_HEADER_BYTES])
    if magic != FILE_MAGIC or crc != zlib.crc32(head):
        raise NotASegmentError("the file header is damaged")
    if version != FILE_VERSION:
        raise NotASegmentError(f"the file has format {version}, this version reads {FILE_VERSION}")
    return int(writer_id), int(first_sequence)


def encode(record: Record) -> list[bytes]:
    """The record as pieces, to be written one after the other."""
    project = record.project.encode()
    rest = (
        _RECORD_BODY.pack(
            record.sequence, record.received_ns, record.spans, len(project), len(record.body)
        )
        + project
    )
    crc = zlib.crc32(record.body, zlib.crc32(rest))
    return [_RECORD_HEAD.pack(_RECORD_MAGIC, crc) + rest, record.body]


def encoded_bytes(project: str, body: bytes) -> int:
    """How many bytes the record will take in the file."""
    return RECORD_HEADER_BYTES + len(project.encode()) + len(body)


def decode(data: memoryview, offset: int) -> tuple[Record, int] | None:
    """The record at ``offset`` and where the next one begins; ``None`` where no sound record is."""
    end = offset + RECORD_HEADER_BYTES
    if end > len(data):
        return None
    magic, crc = _RECORD_HEAD.unpack_from(data, offset)
    if magic != _RECORD_MAGIC:
        return None
    rest_at = offset + _RECORD_HEAD.size
    sequence, received_ns, spans, project_bytes, body_bytes = _RECORD_BODY.unpack_from(
        data, rest_at
    )
    body_at = end + project_bytes
    next_at = body_at + body_bytes
    if next_at > len(data) or zlib.crc32(data[rest_at:next_at]) != crc:
        return None
    project = bytes(data[end:body_at]).decode()
    return Record(sequence, received_ns, spans, project, bytes(data[body_at:next_at])), next_at


def decode_all(data: memoryview, offset: int) -> Iterator[tuple[Record, int]]:
    """The sound records from ``offset`` on, each with where the next one begins."""
    while found := decode(data, offset):
        yield found
        offset = found[1]
