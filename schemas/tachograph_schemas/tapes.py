"""The form of recordings: lines of a tape, and the portable file ``NAME.tacho``, a zip of JSON, read within bounds.

A line is one JSON object, a tab, and the CRC-32 of the object's text continued from the line before. In a file,
``tape.jsonl`` has the lines and ``blobs/<hash>.json`` each long payload once; an exported file may have the spans of the
run too, in ``spans.jsonl``. A journal, which is what a run writes, has the lines alone: long payloads stand in lines of
their own before the first line that needs them. All of it is data: reading it runs nothing and names nothing to be imported.
"""

from __future__ import annotations

import io
import json
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

TAPE_MEMBER = "tape.jsonl"
SPANS_MEMBER = "spans.jsonl"
"""Requests of OTLP/JSON with the spans of the run; only in files that were exported."""
LIMIT_BYTES = 512 << 20
"""Of everything in a package together, uncompressed."""
MEMBERS_LIMIT = 100_000
VALUES_LIMIT = 8_000_000
"""Commas and brackets in a package. A value takes up to a hundred bytes of memory, however short its text is.
Spans are no part of that: they are read a line at a time, and each line is held to it by itself."""
DEPTH_LIMIT = 500
LINES_LIMIT = 4_000_000
TOGETHER_LIMIT = 100
"""Recordings in one body."""
_BLOB = re.compile(r"^blobs/([0-9a-f]{64})\.json$")
_BLOB_LINE = re.compile(rb'\{"t":"blob","h":"([0-9a-f]{64})","v":')
_DAMAGE = (
    *(ValueError, KeyError, OSError, EOFError, RecursionError, NotImplementedError),
    *(RuntimeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
)
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Equal recordings make equal files."""


class PackageError(ValueError):
    """A file is no recording, is damaged, or is larger than is allowed."""


def frame(text: str | bytes, crc: int) -> tuple[bytes, int]:
    """One line of a tape after a line with ``crc``; and its own. ``text`` is ASCII."""
    content = text.encode("ascii") if isinstance(text, str) else text
    crc = zlib.crc32(content, crc)
    return b"%b\t%08x\n" % (content, crc), crc


def blob_line(name: str, content: bytes) -> bytes:
    """The text of a journal's line with a long payload; other lines refer to it by ``name``."""
    return b'{"t":"blob","h":"%b","v":%b}' % (name.encode("ascii"), content)


def lines_of(data: bytes, *, whole: bool = False) -> Iterator[dict[str, Any]]:
    """The records of a tape. A torn tail ends it quietly unless it has to be ``whole``.

    Raises:
        ValueError: a line in the middle is damaged, or the tail of a whole tape.
    """
    return (parsed(text) for text in _texts_of(data, whole=whole))


def _texts_of(data: bytes, *, whole: bool) -> Iterator[bytes]:
    ends = data.count(b"\n")
    if ends > LINES_LIMIT:
        raise ValueError("it has too many lines")
    crc = 0
    for number, line in enumerate(io.BytesIO(data)):
        if line == b"\n":
            continue
        text, _, said = line.removesuffix(b"\n").rpartition(b"\t")
        crc = zlib.crc32(text, crc)
        if said != b"%08x" % crc:
            if number >= ends - 1 and not whole:
                return
            raise ValueError(f"line {number + 1} of the tape is damaged")
        yield text


def parsed(text: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is none, or nested too deeply to be handled.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
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
    """The package of a journal. What its lines say is not looked at.

    Raises:
        PackageError: the journal is damaged.
    """
    tape, blobs = _split(journal)
    return zipped(tape, {name: content.decode("ascii") for name, content in blobs.items()})


def _split(journal: bytes) -> tuple[bytes, dict[str, bytes]]:
    """The lines of a journal without those of blobs, and the blobs by name; a torn tail is cut off."""
    blobs: dict[str, bytes] = {}
    lines: list[bytes] = []
    crc = 0
    try:
        for text in _texts_of(journal, whole=False):
            blob = _BLOB_LINE.match(text)
            if blob is not None:
                blobs[blob[1].decode("ascii")] = text[blob.end() : -1]
                continue
            line, crc = frame(text, crc)
            lines.append(line)
    except ValueError as error:
        raise PackageError(str(error)) from error
    return b"".join(lines), blobs


_LEVEL = 1
"""Of deflate: packing is most of what a recording costs its process."""


def zipped(tape: bytes, blobs: Mapping[str, str]) -> bytes:
    """The package of a tape without blobs in it, and those blobs by name, which are asked for one by one, in order."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        # Said for each: an archive's own level does not hold for members that are given as ``ZipInfo``.
        archive.writestr(_member(TAPE_MEMBER), tape, compresslevel=_LEVEL)
        for name in sorted(blobs):
            archive.writestr(_member(f"blobs/{name}.json"), blobs[name], compresslevel=_LEVEL)
    return out.getvalue()


def with_spans(package: bytes, spans: bytes) -> bytes:
    """A package with the spans of its run beside the tape."""
    out = io.BytesIO(package)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(_member(SPANS_MEMBER), spans, compresslevel=_LEVEL)
    return out.getvalue()


def without_spans(package: bytes) -> tuple[bytes, bytes]:
    """A package without the spans of its run, and those; empty when it has none.

    Raises:
        PackageError: see :func:`unpack`.
    """
    _, blobs, texts = opened(package)
    spans = texts.get(SPANS_MEMBER, b"")
    if not spans:
        return package, b""
    named = {name: texts[f"blobs/{name}.json"].decode("ascii") for name in blobs}
    return zipped(texts[TAPE_MEMBER], named), spans


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
    """The records and the blobs of a package or of a journal, checked, and its members as they are.

    Raises:
        PackageError: it is neither, is damaged, or unpacks to more than ``limit_bytes``.
    """
    with damage_told():
        texts = dict(Members(data, limit_bytes))
        counted = Values()
        for name, text in texts.items():
            if name != SPANS_MEMBER:
                counted.take(text)
        records = list(records_of(texts[TAPE_MEMBER]))
        blobs = {named(name, text): parsed(text) for name, text in _blobs_of(texts.items())}
    return records, blobs, texts


@contextmanager
def damage_told() -> Iterator[None]:
    """Whatever reading a damaged package raises becomes a :class:`PackageError`."""
    try:
        yield
    except PackageError:
        raise
    except _DAMAGE as error:
        raise PackageError(f"this is no recording, or a damaged one: {error}") from error


def records_of(tape: bytes) -> Iterator[dict[str, Any]]:
    """The records of a whole tape, one at a time; raises as :func:`lines_of`, and where one is no record."""
    return (_as_record(each) for each in lines_of(tape, whole=True))


def _as_record(line: Any) -> dict[str, Any]:
    if not isinstance(line, dict):
        raise PackageError("a line of its tape is no JSON object")
    return line


def is_journal(data: bytes) -> bool:
    """Whether ``data`` is a journal, if it is a recording at all."""
    return data[:1] == b"{"


def _blobs_of(members: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    return ((name, text) for name, text in members if name not in (TAPE_MEMBER, SPANS_MEMBER))


def named(name: str, text: bytes) -> str:
    """The name of the blob that a member is.

    Raises:
        PackageError: it is none, or another one.
    """
    found = _BLOB.match(name)
    if found is None or blob_name(text.decode("ascii")) != found[1]:
        raise PackageError(f"{name[:80]} is not what its name says")
    return found[1]


class Members:
    """The members of a package or of a journal, read within bounds; of a package whenever they are asked for."""

    def __init__(self, data: bytes, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._texts: dict[str, bytes] = {}
        self._archive: zipfile.ZipFile | None = None
        if is_journal(data):
            if len(data) > limit_bytes:
                raise PackageError(f"it has more than {limit_bytes:,} bytes")
            tape, blobs = _split(data)
            blobs = {f"blobs/{name}.json": text for name, text in blobs.items()}
            self._texts = {TAPE_MEMBER: tape, **blobs}
            return
        self._archive = zipfile.ZipFile(io.BytesIO(data))
        if len(self._archive.infolist()) > MEMBERS_LIMIT:
            raise PackageError("it has too many members")

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Each with its name; of two with one name the last is in force."""
        if self._archive is None:
            yield from self._texts.items()
            return
        left = self._limit_bytes
        for info in self._archive.infolist():
            text = self._unpacked(info, left)
            left -= len(text)
            yield info.filename, text

    def read(self, name: str) -> bytes:
        """One of them.

        Raises:
            KeyError: there is none of that name.
            PackageError: it is too large.
        """
        if self._archive is None:
            return self._texts[name]
        return self._unpacked(self._archive.getinfo(name), self._limit_bytes)

    def _unpacked(self, info: zipfile.ZipInfo, left_bytes: int) -> bytes:
        if self._archive is None:
            raise KeyError(info.filename)
        # What a member says of its size is a claim; what comes out is read within the bound.
        with self._archive.open(info) as member:
            text = member.read(left_bytes + 1)
        if len(text) > left_bytes:
            raise PackageError(f"it unpacks to more than {self._limit_bytes:,} bytes")
        return text


class Values:
    """Counts what a package holds, up to its limit."""

    def __init__(self) -> None:
        self._left = VALUES_LIMIT

    def take(self, text: bytes) -> None:
        """One of its members.

        Raises:
            PackageError: they hold too much.
        """
        self._left -= sum(text.count(mark) for mark in (b",", b"[", b"{"))
        if self._left < 0:
            raise PackageError(f"it holds more than {VALUES_LIMIT:,} values")


def span_requests(member: bytes) -> Iterator[Any]:
    """The lines of a package's spans, parsed one at a time.

    Raises:
        PackageError: one is no JSON, or holds too much.
    """
    for line in io.BytesIO(member):
        Values().take(line)
        try:
            yield parsed(line)
        except ValueError as error:
            raise PackageError(f"its spans are damaged: {error}") from error


def joined(recordings: Iterable[bytes]) -> bytes:
    """Several packages or journals as one body: each after its length in four bytes."""
    return b"".join(piece for one in recordings for piece in (len(one).to_bytes(4, "big"), one))


def parted(body: bytes) -> list[bytes]:
    """The recordings of a body that :func:`joined` made.

    Raises:
        PackageError: it is cut, or holds more than :data:`TOGETHER_LIMIT` recordings.
    """
    found: list[bytes] = []
    at = 0
    while at < len(body):
        end = at + 4 + int.from_bytes(body[at : at + 4], "big")
        if end > len(body) or len(found) == TOGETHER_LIMIT:
            raise PackageError("this is no body of recordings, or holds too many")
        found.append(body[at + 4 : end])
        at = end
    return found


def read_file(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The records and blobs of a ``.tacho`` file, or of a journal that was never packed.

    Raises:
        PackageError: see :func:`opened`.
        OSError: it cannot be read.
    """
    if path.stat().st_size > LIMIT_BYTES:
        raise PackageError(f"{path} is larger than {LIMIT_BYTES:,} bytes")
    return unpack(path.read_bytes())
