"""The form of recordings: lines of a tape, and the portable file ``NAME.tacho``, a zip of JSON, read within bounds.

A line is one JSON object, a tab, and the CRC-32 of the object's text continued from the line before. In a file,
``tape.jsonl`` has the lines and ``blobs/<hash>.json`` each long payload once. All of it is data: reading it runs
nothing and names nothing to be imported.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

TAPE_MEMBER = "tape.jsonl"
LIMIT_BYTES = 512 << 20
"""Of everything in a package together, uncompressed."""
MEMBERS_LIMIT = 100_000
VALUES_LIMIT = 8_000_000
"""Commas and brackets in a package. A value takes up to a hundred bytes of memory, however short its text is."""
DEPTH_LIMIT = 500
LINES_LIMIT = 4_000_000
_BLOB = re.compile(r"^blobs/([0-9a-f]{64})\.json$")
_DAMAGE = (
    *(ValueError, KeyError, OSError, EOFError, RecursionError, NotImplementedError),
    *(RuntimeError, zipfile.BadZipFile, zlib.error),
)
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Equal recordings make equal files."""


class PackageError(ValueError):
    """A file is no recording, is damaged, or is larger than is allowed."""


def frame(text: str, crc: int) -> tuple[bytes, int]:
    """One line of a tape after a line with ``crc``; and its own."""
    content = text.encode("ascii")
    crc = zlib.crc32(content, crc)
    return b"%b\t%08x\n" % (content, crc), crc


def lines_of(data: bytes, *, whole: bool = False) -> Iterator[dict[str, Any]]:
    """The records of a tape. A torn tail ends it quietly unless it has to be ``whole``.

    Raises:
        ValueError: a line in the middle is damaged, or the tail of a whole tape.
    """
    if data.count(b"\n") > LINES_LIMIT:
        raise ValueError("it has too many lines")
    crc, lines = 0, data.split(b"\n")
    for number, line in enumerate(lines):
        if not line:
            continue
        text, _, said = line.rpartition(b"\t")
        crc = zlib.crc32(text, crc)
        if said != b"%08x" % crc:
            if number >= len(lines) - 2 and not whole:
                return
            raise ValueError(f"line {number + 1} of the tape is damaged")
        yield parsed(text)


def parsed(text: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is none, or nested too deeply to be handled.
    """
    value = json.loads(text)
    if text.count(b"[") + text.count(b"{") > DEPTH_LIMIT and _is_too_deep(value):
        raise ValueError(f"it is nested more than {DEPTH_LIMIT} deep")
    return value


def _is_too_deep(value: Any) -> bool:
    level, depth = [value] if isinstance(value, (dict, list)) else [], 0
    while level:
        depth += 1
        if depth > DEPTH_LIMIT:
            return True
        inner = (each.values() if isinstance(each, dict) else each for each in level)
        level = [item for items in inner for item in items if isinstance(item, (dict, list))]
    return False


def blob_name(text: str) -> str:
    """The name of a blob: 64 hexadecimal digits of its content."""
    return blake2b(text.encode("ascii"), digest_size=32).hexdigest()


def pack(journal: bytes) -> bytes:
    """The package of a journal.

    Raises:
        PackageError: the journal is damaged.
    """
    try:
        records = list(lines_of(journal))
    except ValueError as error:
        raise PackageError(str(error)) from error
    blobs: dict[str, str] = {}
    lines: list[bytes] = []
    crc = 0
    for record in records:
        text = json.dumps(record["v"] if record["t"] == "blob" else record, separators=(",", ":"))
        if record["t"] == "blob":
            blobs[record["h"]] = text
            continue
        line, crc = frame(text, crc)
        lines.append(line)
    return zipped(b"".join(lines), blobs)


_LEVEL = 1
"""Of deflate: packing is most of what a recording costs its process."""


def zipped(tape: bytes, blobs: dict[str, str]) -> bytes:
    """The package of a tape without blobs in it, and those blobs by name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        # Said for each: an archive's own level does not hold for members that are given as ``ZipInfo``.
        archive.writestr(_member(TAPE_MEMBER), tape, compresslevel=_LEVEL)
        for name in sorted(blobs):
            archive.writestr(_member(f"blobs/{name}.json"), blobs[name], compresslevel=_LEVEL)
    return out.getvalue()


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    return info


def unpack(
    data: bytes, limit_bytes: int = LIMIT_BYTES
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The records and the blobs of a package; see :func:`opened`."""
    records, blobs, _ = opened(data, limit_bytes)
    return records, blobs


def opened(
    data: bytes, limit_bytes: int = LIMIT_BYTES
) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, bytes]]:
    """The records and the blobs of a package, checked, and its members as they are.

    Raises:
        PackageError: it is no package, is damaged, or unpacks to more than ``limit_bytes``.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            texts = _members(archive, limit_bytes)
        records = list(lines_of(texts[TAPE_MEMBER], whole=True))
        blobs = {_named(name, text): parsed(text) for name, text in _blobs_of(texts)}
    except PackageError:
        raise
    except _DAMAGE as error:
        raise PackageError(f"this is no recording, or a damaged one: {error}") from error
    return records, blobs, texts


def _blobs_of(texts: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    return ((name, text) for name, text in texts.items() if name != TAPE_MEMBER)


def _named(name: str, text: bytes) -> str:
    found = _BLOB.match(name)
    if found is None or blob_name(text.decode("ascii")) != found[1]:
        raise PackageError(f"{name[:80]} is not what its name says")
    return found[1]


def _members(archive: zipfile.ZipFile, limit_bytes: int) -> dict[str, bytes]:
    infos = archive.infolist()
    if len(infos) > MEMBERS_LIMIT:
        raise PackageError("it has too many members")
    left, values_left, out = limit_bytes, VALUES_LIMIT, {}
    for info in infos:
        # What a member says of its size is a claim; what comes out is read within the bound.
        with archive.open(info) as member:
            text = member.read(left + 1)
        left -= len(text)
        if left < 0:
            raise PackageError(f"it unpacks to more than {limit_bytes:,} bytes")
        values_left -= sum(text.count(mark) for mark in (b",", b"[", b"{"))
        if values_left < 0:
            raise PackageError(f"it holds more than {VALUES_LIMIT:,} values")
        out[info.filename] = text
    return out


def read_file(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The records and blobs of a ``.tacho`` file, or of a journal that was never packed.

    Raises:
        PackageError: see :func:`unpack`.
        OSError: it cannot be read.
    """
    if path.stat().st_size > LIMIT_BYTES:
        raise PackageError(f"{path} is larger than {LIMIT_BYTES:,} bytes")
    data = path.read_bytes()
    return unpack(data if data[:2] == b"PK" else pack(data))
