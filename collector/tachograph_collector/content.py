"""Undoing ``Content-Encoding``, never producing more than is allowed."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Protocol

from tachograph_collector.errors import BadBodyError, TooLargeError, UnsupportedError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_STEP_BYTES = 1 << 20
_SHORTEST_PREFIX_BYTES = 8  # to zstd less is none
_FEED_BYTES = 1 << 16  # what follows a member is copied at its end
_MOST_MEMBERS = 10_000  # an empty one takes 9 bytes, and time
# A frame may ask its reader for a window of any size; this one is what every level up to 19 needs.
_ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 23}
_FAULTS = (zlib.error, zstd.ZstdError, EOFError)


class _Inflater(Protocol):
    """One member or frame being decompressed."""

    eof: bool

    def inflate(self, data: bytes) -> bytes:
        """At most :data:`_STEP_BYTES` more; ``data`` is new input."""

    def rest(self) -> bytes:
        """Input behind the end of the member."""

    def starving(self) -> bool:
        """Whether it cannot go on without more input."""


class _Zlib:
    def __init__(self, wbits: int) -> None:
        self._object = zlib.decompressobj(wbits)
        self.eof = False

    def inflate(self, data: bytes) -> bytes:
        out = self._object.decompress(self._object.unconsumed_tail + data, _STEP_BYTES)
        self.eof = self._object.eof
        return out

    def rest(self) -> bytes:
        return self._object.unused_data

    def starving(self) -> bool:
        return not self.eof and not self._object.unconsumed_tail


class _Zstd:
    def __init__(self, prefix: bytes = b"") -> None:
        before = zstd.ZstdDict(prefix, is_raw=True).as_prefix if prefix else None
        self._object = zstd.ZstdDecompressor(before, options=_ZSTD_OPTIONS)
        self.eof = False

    def inflate(self, data: bytes) -> bytes:
        out: bytes = self._object.decompress(data, _STEP_BYTES)
        self.eof = self._object.eof
        return out

    def rest(self) -> bytes:
        rest: bytes = self._object.unused_data
        return rest

    def starving(self) -> bool:
        starving: bool = self._object.needs_input
        return not self.eof and starving


_INFLATERS: dict[str, Callable[[], _Inflater]] = {
    "gzip": lambda: _Zlib(16 + zlib.MAX_WBITS),
    "deflate": lambda: _Zlib(zlib.MAX_WBITS),
    "zstd": _Zstd,
}


def encoding_of(header: bytes) -> str:
    """The one content coding that a header names: ``identity``, ``gzip``, ``deflate`` or ``zstd``.

    Raises:
        UnsupportedError: it names another, or several one after the other.
    """
    name = header.decode("latin-1").strip().lower().removeprefix("x-")
    if name in {"", "identity"}:
        return "identity"
    if name in _INFLATERS:
        return name
    what = "Several content encodings" if "," in name else f"Content-Encoding {name[:80]!r}"
    raise UnsupportedError(f"{what}: not understood; send gzip, deflate, zstd, or none.")


def inflated(
    raw: bytes,
    encoding: str,
    most_bytes: int,
    claim: Callable[[int], None],
    prefix: bytes = b"",
    *,
    most_members: int = _MOST_MEMBERS,
) -> bytes:
    """A body without its encoding, which is not ``identity``; ``claim`` is told of memory before more is used.

    May be followed by further members (gzip) or frames (zstd), ``most_members`` in all, as their formats allow.
    ``prefix`` is the raw dictionary that a zstd body of one frame was compressed with.

    Raises:
        BadBodyError: it is not sound.
        TooLargeError: it is over ``most_bytes`` when decompressed.
    """
    parts: list[bytes] = []
    size = at = 0
    if prefix and (encoding != "zstd" or len(prefix) < _SHORTEST_PREFIX_BYTES):
        raise BadBodyError("Only zstd can be compressed against other bodies, of 8 bytes or more.")
    try:
        for _ in range(most_members):
            inflater = _Zstd(prefix) if prefix else _INFLATERS[encoding]()
            while not inflater.eof:
                data = raw[at : at + _FEED_BYTES] if inflater.starving() else b""
                at += len(data)
                part = inflater.inflate(data)
                size += len(part)
                if size > most_bytes:
                    raise too_large(most_bytes)
                claim(len(part))
                parts.append(part)
                if not part and not data and inflater.starving():
                    raise BadBodyError(f"The {encoding} body is cut short.")
            at -= len(inflater.rest())
            if at == len(raw):
                return b"".join(parts)
            if encoding == "deflate" or prefix:
                # A prefix is for one frame, and each would load it anew.
                raise BadBodyError(f"Something follows the {encoding} body.")
        raise BadBodyError(f"The {encoding} body is in more than {most_members} pieces.")
    except _FAULTS as error:
        raise BadBodyError(f"The body is not sound {encoding}: {error}.") from error


def too_large(most_bytes: int) -> TooLargeError:
    """The refusal of a body over the limit."""
    return TooLargeError(
        f"The body is over {most_bytes} bytes, as sent or decompressed. Send smaller batches, or raise "
        "TACHO_MAX_BODY_BYTES on the collector."
    )
