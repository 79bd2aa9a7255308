"""The format of a segment file.

``file header | record | record | ... | zeros``, little endian. The file header stands twice, in two sectors, so that
one damaged sector does not cost the file. A record is ``header | project | body``; header and payload have a
checksum each: a damaged payload is stepped over by the length in its sound header, and behind a damaged header the
next sound one is searched for.

The checksum of a record's header starts from the file's salt. Bodies come from outside, and without the salt one
could carry the bytes of a sound record, to be taken for a neighbour's when the search passes over it.

Files of format 1 (one file header, one checksum a record, no salt) are read up to their first damage.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

FILE_MAGIC = b"TACHOLOG"
FILE_VERSION = 2
FILE_HEADER_BYTES = 1024
"""Where the first record of a new file begins."""
_SECTOR_BYTES = 512
_FILE_START = struct.Struct("<8sI")  # magic, version
_FILE_HEADER = struct.Struct("<8sIIQQ")  # magic, version, salt, writer id, first sequence number
_FILE_HEADER_1 = struct.Struct("<8sIQQ")  # magic, version, writer id, first sequence number
_CRC = struct.Struct("<I")

_MAGIC = b"\xc0\x7a\xf1\x9e"
_HEAD = struct.Struct("<4sI")  # magic, crc of the facts
# kind, zero, crc of the payload, sequence, received ns, spans, project bytes, body bytes
_FACTS = struct.Struct("<BBIQQIHI")
RECORD_HEADER_BYTES = _HEAD.size + _FACTS.size

_MAGIC_1 = 0x7AC0
_HEAD_1 = struct.Struct("<HI")  # magic, crc of the rest
_FACTS_1 = struct.Struct("<QQIHI")  # sequence, received ns, spans, project bytes, body bytes


@dataclass(frozen=True, slots=True)
class Record:
    """One body in the log."""

    sequence: int
    """Counts up by one over the life of the log; gaps are bodies whose write failed."""
    received_ns: int
    """When it was appended, ns since the epoch; strictly increasing."""
    spans: int
    """How much the body holds, for the size of batches: spans, log records or data points."""
    project: str
    body: bytes
    kind: int = 0
    """What the body is, 0 to 255, for the reader of the log to know; 0 is a body of spans."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file's header says of it."""

    writer_id: int
    first_sequence: int
    salt: int = 0
    """32 bits."""
    version: int = FILE_VERSION

    @property
    def start_offset(self) -> int:
        """Where the first record begins."""
        return FILE_HEADER_BYTES if self.version > 1 else _FILE_HEADER_1.size + _CRC.size


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes from ``start`` up to ``end`` that hold no sound record."""

    start: int
    end: int


class NotASegmentError(ValueError):
    """The file does not begin like a segment."""


class LaterFormatError(ValueError):
    """The file is sound, and of a format that this version does not know."""


def file_header(layout: Layout) -> bytes:
    """The first :data:`FILE_HEADER_BYTES` of a segment file, in the newest format."""
    head = _FILE_HEADER.pack(
        FILE_MAGIC, FILE_VERSION, layout.salt, layout.writer_id, layout.first_sequence
    )
    sector = (head + _CRC.pack(zlib.crc32(head))).ljust(_SECTOR_BYTES, b"\0")
    return sector * (FILE_HEADER_BYTES // _SECTOR_BYTES)


def read_file_header(data: bytes) -> tuple[Layout, Gap | None]:
    """What the header says, and the copy of it that is damaged, if one is.

    Raises:
        NotASegmentError: no copy is sound.
        LaterFormatError: a later version wrote it.
    """
    first, second = _layout(data, 0), _layout(data, _SECTOR_BYTES)
    layout = first or second
    if layout is None:
        _refuse(data)
        raise NotASegmentError("the file header is damaged")
    if first is None:
        return layout, Gap(0, _SECTOR_BYTES)
    if second is None and layout.version > 1:
        return layout, Gap(_SECTOR_BYTES, FILE_HEADER_BYTES)
    return layout, None


def _refuse(data: bytes) -> None:
    """A later header may look different behind its version, so only the beginning is looked at."""
    if len(data) < _FILE_START.size:
        return
    magic, version = _FILE_START.unpack_from(data)
    if magic == FILE_MAGIC and FILE_VERSION < version < FILE_VERSION + 100:
        raise LaterFormatError(
            f"the file has format {version}, this version reads up to {FILE_VERSION}"
        )


def _layout(data: bytes, at: int) -> Layout | None:
    if len(data) < at + _FILE_START.size:
        return None
    magic, version = _FILE_START.unpack_from(data, at)
    form = _FILE_HEADER_1 if version == 1 else _FILE_HEADER
    end = at + form.size
    if magic != FILE_MAGIC or version > FILE_VERSION or len(data) < end + _CRC.size:
        return None
    if _CRC.unpack_from(data, end)[0] != zlib.crc32(data[at:end]):
        return None
    if version == 1:
        _, _, writer_id, first = form.unpack_from(data, at)
        return Layout(writer_id, first, 0, 1)
    _, _, salt, writer_id, first = form.unpack_from(data, at)
    return Layout(writer_id, first, salt, version)


def encode(record: Record, salt: int) -> list[bytes]:
    """The record as pieces, to be written one after the other."""
    project = record.project.encode()
    facts = _FACTS.pack(
        record.kind,
        0,
        zlib.crc32(record.body, zlib.crc32(project)),
        record.sequence,
        record.received_ns,
        record.spans,
        len(project),
        len(record.body),
    )
    return [_HEAD.pack(_MAGIC, zlib.crc32(facts, salt)) + facts + project, record.body]


def encoded_bytes(project: str, body: bytes) -> int:
    """How many bytes the record will take in the file."""
    return RECORD_HEADER_BYTES + len(project.encode()) + len(body)


def walk(layout: Layout, data: bytes, at: int) -> Iterator[tuple[Record | Gap, int]]:
    """What stands in ``data`` from ``at`` on: sound records and gaps, each with where the next thing begins.

    Zeros up to the end are nothing; a gap that reaches the end may be a torn record.
    """
    view = memoryview(data)
    while at < len(data):
        found = _decode_1(view, at) if layout.version == 1 else _decode(layout.salt, view, at)
        if found is None:
            next_at = -1 if layout.version == 1 else _search(layout.salt, data, at + 1)
            if next_at < 0:
                end = len(data.rstrip(b"\0")) if data[-1] == 0 else len(data)
                if end > at:
                    yield Gap(at, end), end
                return
            yield Gap(at, next_at), next_at
            at = next_at
            continue
        what, at = found
        yield what, at


def _decode(salt: int, data: memoryview, at: int) -> tuple[Record | Gap, int] | None:
    """The record at ``at``, or a gap where only its header is sound; ``None`` when not even that."""
    start = at + RECORD_HEADER_BYTES
    if start > len(data):
        return None
    magic, crc = _HEAD.unpack_from(data, at)
    if magic != _MAGIC or crc != zlib.crc32(data[at + _HEAD.size : start], salt):
        return None
    kind, _, payload_crc, sequence, received_ns, spans, project_bytes, body_bytes = (
        _FACTS.unpack_from(data, at + _HEAD.size)
    )
    body_at = start + project_bytes
    end = body_at + body_bytes
    if end > len(data):
        return None
    if zlib.crc32(data[start:end]) != payload_crc:
        return Gap(at, end), end
    project = bytes(data[start:body_at]).decode()
    body = bytes(data[body_at:end])
    return Record(sequence, received_ns, spans, project, body, kind), end


def _search(salt: int, data: bytes, at: int) -> int:
    """Where the next sound record header from ``at`` on begins; -1 when there is none."""
    view = memoryview(data)
    while (at := data.find(_MAGIC, at)) >= 0:
        if _decode(salt, view, at) is not None:
            return at
        at += 1
    return -1


def _decode_1(data: memoryview, at: int) -> tuple[Record, int] | None:
    start = at + _HEAD_1.size + _FACTS_1.size
    if start > len(data):
        return None
    magic, crc = _HEAD_1.unpack_from(data, at)
    if magic != _MAGIC_1:
        return None
    sequence, received_ns, spans, project_bytes, body_bytes = _FACTS_1.unpack_from(
        data, at + _HEAD_1.size
    )
    body_at = start + project_bytes
    end = body_at + body_bytes
    if end > len(data) or zlib.crc32(data[at + _HEAD_1.size : end]) != crc:
        return None
    project = bytes(data[start:body_at]).decode()
    return Record(sequence, received_ns, spans, project, bytes(data[body_at:end])), end
