"""Making one document out of blocks that the engine formatted one by one.

The engine's stream formats each block as if it were the whole result. For formats without head and foot
the blocks simply follow one another; for those with a head it is taken off all blocks but the first; Arrow
is written anew around its record batches. Every other format must be made whole by the engine.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from typing import Any, Protocol


class Stitcher(Protocol):
    """Joins the blocks of one result."""

    def block(self, data: bytes) -> bytes:
        """What to send for this block."""

    def end(self) -> bytes:
        """What to send after the last one."""


class _Plain:
    def block(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""


class _Headed:
    """Keeps the head of the first block and drops it from the others, where it has the same bytes."""

    def __init__(self, head_length: Callable[[bytes], int]) -> None:
        self._measure = head_length
        self._head: bytes | None = None

    def block(self, data: bytes) -> bytes:
        if self._head is None:
            self._head = data[: self._measure(data)]
            return data
        return data.removeprefix(self._head)

    def end(self) -> bytes:
        return b""


class _Arrow:
    """Reads each block as an Arrow document and writes its batches into one that goes on."""

    def __init__(self, *, file: bool) -> None:
        self._file = file
        self._sink = _Forward()
        self._writer: Any = None

    def block(self, data: bytes) -> bytes:
        # Imported where it is needed: it is slow to load, and typed only in part.
        arrow: Any = importlib.import_module("pyarrow.ipc")
        open_reader, new_writer = (
            (arrow.open_file, arrow.new_file)
            if self._file
            else (arrow.open_stream, arrow.new_stream)
        )
        with open_reader(data) as reader:
            if self._writer is None:
                self._writer = new_writer(self._sink, reader.schema)
            for batch in _batches(reader):
                self._writer.write_batch(batch)
        return self._sink.take()

    def end(self) -> bytes:
        if self._writer is None:
            return b""
        self._writer.close()
        return self._sink.take()


class _Forward(io.BytesIO):
    """A sink that hands on what was written and still knows its position: Arrow's foot holds offsets."""

    def __init__(self) -> None:
        super().__init__()
        self._sent = 0

    def tell(self) -> int:
        return self._sent + super().tell()

    def take(self) -> bytes:
        """What was written since the last call."""
        data = self.getvalue()
        self._sent += len(data)
        self.seek(0)
        self.truncate()
        return data


def _batches(reader: Any) -> Any:
    if hasattr(reader, "num_record_batches"):
        return (reader.get_batch(index) for index in range(reader.num_record_batches))
    return reader


def _lines(count: int) -> Callable[[bytes], int]:
    def measure(data: bytes) -> int:
        end = 0
        for _ in range(count):
            end = data.index(b"\n", end) + 1
        return end

    return measure


def _csv_lines(count: int) -> Callable[[bytes], int]:
    """Like ``_lines``, for names that may hold a line break between double quotes."""

    def measure(data: bytes) -> int:
        end = 0
        for _ in range(count):
            end = data.index(b"\n", end) + 1
            while data.count(b'"', 0, end) % 2:
                end = data.index(b"\n", end) + 1
        return end

    return measure


def _binary_head(*, types: bool) -> Callable[[bytes], int]:
    def measure(data: bytes) -> int:
        columns, at = _varint(data, 0)
        for _ in range(columns * (2 if types else 1)):
            length, at = _varint(data, at)
            at += length
        return at

    return measure


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


_PLAIN = [
    "native",
    "tabseparated",
    "tsv",
    "tabseparatedraw",
    "tsvraw",
    "csv",
    "rowbinary",
    "jsoneachrow",
    "jsoncompacteachrow",
    "jsonstringseachrow",
    "jsoncompactstringseachrow",
    "jsonlines",
    "ndjson",
    "lineasstring",
    "rawblob",
    "tskv",
    "msgpack",
    "null",
]
_HEADED: dict[str, Callable[[bytes], int]] = {
    "csvwithnames": _csv_lines(1),
    "csvwithnamesandtypes": _csv_lines(2),
    "rowbinarywithnames": _binary_head(types=False),
    "rowbinarywithnamesandtypes": _binary_head(types=True),
    **{
        f"{name}withnames{types}": _lines(2 if types else 1)
        for name in ("tabseparated", "tsv", "tabseparatedraw", "tsvraw", "jsoncompacteachrow")
        for types in ("", "andtypes")
    },
}


def stitcher(format: str) -> Stitcher | None:
    """What joins blocks of ``format``, or None when the engine must make the document whole."""
    name = format.lower()
    if name in _PLAIN:
        return _Plain()
    if name in _HEADED:
        return _Headed(_HEADED[name])
    if name in {"arrow", "arrowstream"}:
        return _Arrow(file=name == "arrow")
    return None


def has_head(format: str) -> bool:
    """Whether a result without rows still has bytes in this format."""
    return format.lower() not in _PLAIN
