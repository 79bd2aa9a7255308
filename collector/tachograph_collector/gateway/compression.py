"""Content codings in both directions: gzip, deflate, zstd and lz4, and br where the library is there.

lz4 and zstd come with ``clickhouse-connect``. A stream stays one frame, flushed with every block, so that
a client sees rows as they come.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any, Protocol

from tachograph_collector.gateway.errors import (
    BAD_ARGUMENTS,
    QUERY_IS_TOO_LARGE,
    UNKNOWN_COMPRESSION_METHOD,
    GatewayError,
)

_PIECE_BYTES = 64 << 10


class Encoder(Protocol):
    """Compresses one body piece by piece."""

    def encode(self, data: bytes) -> bytes:
        """The compressed form of everything given so far that was not returned yet."""

    def finish(self) -> bytes:
        """The end of the body."""


class _ZlibEncoder:
    def __init__(self, window_bits: int) -> None:
        # Level 1: over loopback the processor is scarcer than the wire.
        self._object = zlib.compressobj(1, zlib.DEFLATED, window_bits)

    def encode(self, data: bytes) -> bytes:
        return self._object.compress(data) + self._object.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._object.flush(zlib.Z_FINISH)


class _ZstdEncoder:
    def __init__(self, module: Any) -> None:
        self._object = module.ZstdCompressor(level=1)
        self._flush_block = self._object.FLUSH_BLOCK

    def encode(self, data: bytes) -> bytes:
        return bytes(self._object.compress(data, mode=self._flush_block))

    def finish(self) -> bytes:
        return bytes(self._object.flush())


class _Lz4Encoder:
    def __init__(self, module: Any) -> None:
        self._object = module.LZ4FrameCompressor(auto_flush=True)
        self._head = self._object.begin()

    def encode(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        return bytes(head + self._object.compress(data))

    def finish(self) -> bytes:
        head, self._head = self._head, b""
        return bytes(head + self._object.flush())


class _BrotliEncoder:
    def __init__(self, module: Any) -> None:
        self._object = module.Compressor(quality=1)

    def encode(self, data: bytes) -> bytes:
        return bytes(self._object.process(data) + self._object.flush())

    def finish(self) -> bytes:
        return bytes(self._object.finish())


def _module(*names: str) -> Any:
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


_zstd = _module("compression.zstd", "backports.zstd")
_lz4 = _module("lz4.frame")
_brotli = _module("brotli")

# In the order of preference when a client takes several.
_ENCODERS: dict[str, Callable[[], Encoder]] = {
    **({"lz4": lambda: _Lz4Encoder(_lz4)} if _lz4 else {}),
    **({"zstd": lambda: _ZstdEncoder(_zstd)} if _zstd else {}),
    "gzip": lambda: _ZlibEncoder(31),
    "deflate": lambda: _ZlibEncoder(15),
    **({"br": lambda: _BrotliEncoder(_brotli)} if _brotli else {}),
}

_DECODERS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(31),
    "deflate": lambda: zlib.decompressobj(15),
    **({"zstd": _zstd.ZstdDecompressor} if _zstd else {}),
    **({"lz4": _lz4.LZ4FrameDecompressor} if _lz4 else {}),
}


def choose(accept_encoding: str) -> str | None:
    """The coding to answer with for this ``Accept-Encoding``, or None for plain bytes."""
    accepted = set()
    for item in accept_encoding.split(","):
        name, _, quality = item.partition(";")
        if quality.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}:
            accepted.add(name.strip().lower())
    return next((coding for coding in _ENCODERS if coding in accepted), None)


def encoder(coding: str) -> Encoder:
    """A compressor for one body; ``coding`` is one that :func:`choose` gave."""
    return _ENCODERS[coding]()


def inflate(body: bytes, coding: str, limit_bytes: int) -> bytes:
    """The body as it was before ``Content-Encoding``, never more than ``limit_bytes`` of it in memory.

    Raises:
        GatewayError: an unknown coding, damaged data, or more than the limit.
    """
    if coding in {"", "identity"}:
        return body
    if coding == "br" and _brotli is not None:
        return _inflate_brotli(body, limit_bytes)
    if coding not in _DECODERS:
        raise GatewayError(UNKNOWN_COMPRESSION_METHOD, f"Unknown Content-Encoding {coding!r}.")
    plain = bytearray()
    while body:
        decoder = _DECODERS[coding]()
        try:
            body = _inflate_frame(decoder, body, plain, limit_bytes)
        except GatewayError:
            raise
        except Exception as error:
            raise GatewayError(BAD_ARGUMENTS, f"The {coding} body is damaged: {error}") from error
    return bytes(plain)


def _inflate_frame(decoder: Any, body: bytes, plain: bytearray, limit_bytes: int) -> bytes:
    """Inflate one frame into ``plain`` and return what follows it."""
    data = body
    while True:
        plain += decoder.decompress(data, _PIECE_BYTES)
        if len(plain) > limit_bytes:
            raise GatewayError(QUERY_IS_TOO_LARGE, f"The body is over {limit_bytes} bytes.")
        if decoder.eof:
            return bytes(decoder.unused_data or b"")
        if isinstance(getattr(decoder, "unconsumed_tail", None), bytes):
            data = decoder.unconsumed_tail
            waiting = bool(data)
        else:
            data, waiting = b"", not decoder.needs_input
        if not waiting:
            raise GatewayError(BAD_ARGUMENTS, "The compressed body is cut short.")


def _inflate_brotli(body: bytes, limit_bytes: int) -> bytes:
    decoder = _brotli.Decompressor()
    plain = bytearray()
    try:
        for start in range(0, len(body), 1024):
            plain += decoder.process(body[start : start + 1024])
            if len(plain) > limit_bytes:
                raise GatewayError(QUERY_IS_TOO_LARGE, f"The body is over {limit_bytes} bytes.")
    except _brotli.error as error:
        raise GatewayError(BAD_ARGUMENTS, f"The br body is damaged: {error}") from error
    return bytes(plain)
