"""Running one statement and handing out its result piece by piece.

Everything here blocks and belongs into a thread of the pool.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from tachograph_collector.gateway.compression import Encoder
from tachograph_collector.gateway.pool import Reader
from tachograph_collector.gateway.stitch import Stitcher, has_head, stitcher

_SPOOL_MEMORY_BYTES = 8 << 20
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run and how the result is wanted."""

    sql: bytes
    parameters: Mapping[str, str]
    database: str
    format: str
    streams: bool = False
    """Whether the engine can give the result block by block."""


class Result:
    """A running statement: its pieces in order, and what it has read so far.

    Raises (every method): GatewayError as the engine puts it.
    """

    def __init__(self, reader: Reader, plan: Plan, *, writes: bool = False) -> None:
        self._reader = reader
        self._plan = plan
        self._writes = writes
        self._is_started = False
        self._stream: Any = None
        self._whole: memoryview | None = None
        self._started_ns = time.monotonic_ns()
        self._stitcher: Stitcher | None = stitcher(plan.format) if plan.streams else None
        self._read_rows = self._read_bytes = self._result_rows = self._result_bytes = 0

    def next_piece(self) -> bytes:
        """The next bytes of the document, empty at its end. The first call starts the statement."""
        if self._is_started:
            return self._following()
        self._is_started = True
        return self._first()

    def _first(self) -> bytes:
        self._reader.use(self._plan.database)
        if self._stitcher is None:
            self._run_whole()
            return self._following()
        self._stream = self._reader.stream(self._plan.sql, self._plan.format, self._plan.parameters)
        first = self._following()
        if not first and has_head(self._plan.format):
            # The stream of a result without rows has no bytes at all, not even the names of the columns.
            self._run_whole()
            return self._following()
        return first

    def _following(self) -> bytes:
        if self._whole is not None:
            piece = bytes(self._whole[:_PIECE_BYTES])
            self._whole = self._whole[_PIECE_BYTES:]
            return piece
        while self._stream is not None and self._stitcher is not None:
            block = self._reader.fetch(self._stream)
            if block is None:
                self._stream = None
                return self._stitcher.end()
            self._count(block)
            if piece := self._stitcher.block(block.bytes()):
                return piece
        return b""

    @property
    def is_running(self) -> bool:
        """Whether the engine still has more to give."""
        return self._stream is not None

    def close(self) -> None:
        """Stop the statement if it still runs."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(Exception):
                stream.close()

    def summary(self) -> str:
        """The value of ``X-ClickHouse-Summary``: what is known by now, numbers as strings."""
        # An insert reads exactly what it writes, and the engine counts it in one place or the other.
        written_rows = max(self._result_rows, self._read_rows) if self._writes else 0
        written_bytes = max(self._result_bytes, self._read_bytes) if self._writes else 0
        numbers = {
            "read_rows": self._read_rows,
            "read_bytes": self._read_bytes,
            "written_rows": written_rows,
            "written_bytes": written_bytes,
            "total_rows_to_read": self._read_rows,
            "result_rows": self._result_rows,
            "result_bytes": self._result_bytes,
            "elapsed_ns": time.monotonic_ns() - self._started_ns,
        }
        return json.dumps({name: str(number) for name, number in numbers.items()})

    def _run_whole(self) -> None:
        self._stream = None
        result = self._reader.query(self._plan.sql, self._plan.format, self._plan.parameters)
        self._count(result)
        self._whole = memoryview(result.bytes() or b"")

    def _count(self, block: Any) -> None:
        self._result_rows += block.rows_read()
        self._result_bytes += block.bytes_read()
        self._read_rows += block.storage_rows_read()
        self._read_bytes += block.storage_bytes_read()


def spool(result: Result, encoder: Encoder | None) -> IO[bytes]:
    """Run to the end into a file that stays in memory while it is small; the caller closes it.

    Raises:
        GatewayError: as the engine puts it; nothing was sent yet, so it can be answered properly.
    """
    file = tempfile.SpooledTemporaryFile(_SPOOL_MEMORY_BYTES)  # noqa: SIM115 - handed to the caller
    try:
        while (piece := next_encoded(result, encoder)) is not None:
            file.write(piece)
        if encoder is not None:
            file.write(encoder.finish())
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def next_encoded(result: Result, encoder: Encoder | None) -> bytes | None:
    """The next piece, compressed if that is wanted; None at the end, which the encoder has still to write.

    Raises:
        GatewayError: as the engine puts it.
    """
    piece = result.next_piece()
    if not piece:
        return None
    return encoder.encode(piece) if encoder is not None else piece
