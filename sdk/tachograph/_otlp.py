"""Spans as OTLP bytes, written directly: what protobuf objects would make, at a tenth of their cost.

Field numbers are those of ``opentelemetry/proto/trace/v1/trace.proto``. A span that is still open and the
same span finished share their beginning, as protobuf messages add up when their bytes are joined.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext

_CACHED_BYTES = 1_024
_CACHE_LIMIT = 1_024
_INT64 = range(-(1 << 63), 1 << 63)
_DOUBLE = struct.Struct("<d").pack
_WRITTEN = 4_096
_VARINTS = tuple(
    bytes((number,)) if number < 0x80 else bytes((number & 0x7F | 0x80, number >> 7))
    for number in range(_WRITTEN)
)
"""Most lengths, written beforehand."""
_DEPTH_LIMIT = 16
SPAN_TAG = 0x12
"""Of a span in a ScopeSpans."""
TEXT_TAG = b"\x0a"
"""Of a text in an AnyValue."""
_PARENT_TAG = b"\x22"
_HAS_REMOTE, _IS_REMOTE = 0x100, 0x200

_keys: dict[str, bytes] = {}
_groups: dict[tuple[tuple[str, Any], ...], bytes] = {}
_heads: dict[tuple[str, int], bytes] = {}


class Json:
    """A captured payload: JSON text, as the UTF-8 it is sent as."""

    __slots__ = ("utf8",)

    def __init__(self, utf8: bytes) -> None:
        self.utf8 = utf8

    def __str__(self) -> str:
        return self.utf8.decode()


class EventLike(Protocol):
    """What an event is written from; ``timestamp`` in nanoseconds since the epoch."""

    @property
    def name(self) -> str: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def attributes(self) -> Any: ...


def varint(number: int) -> bytes:
    """A non-negative number below 2**64."""
    if number < _WRITTEN:
        return _VARINTS[number]
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(tag: int, content: bytes) -> bytes:
    """A length-delimited field; ``tag`` is its number shifted by three, plus two."""
    return b"".join((varint(tag), varint(len(content)), content))


def utf8(text: str) -> bytes:
    """``text`` in UTF-8; lone surrogates, which protobuf refuses, become question marks."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _key(key: str) -> bytes:
    """The key of a KeyValue and the tag of its value."""
    found = _keys.get(key)
    if found is None:
        if len(_keys) >= _CACHE_LIMIT:
            _keys.clear()
        found = _keys[key] = field(0x0A, utf8(key)) + b"\x12"
    return found


def text_attribute(key: str, content: bytes) -> bytes:
    """An attribute of a span whose value is text in UTF-8."""
    name, size = _keys.get(key) or _key(key), len(content)
    value = size + 3
    whole = len(name) + value + 2
    if size >= 0x80 and whole < _WRITTEN:
        # All three lengths take two bytes, as those of most payloads do.
        varints = _VARINTS
        return b"".join(
            (b"\x4a", varints[whole], name, varints[value], b"\x0a", varints[size], content)
        )
    length = varint(size)
    value = 1 + len(length) + size
    value_length = varint(value)
    whole = len(name) + len(value_length) + value
    return b"".join((b"\x4a", varint(whole), name, value_length, b"\x0a", length, content))


def attribute(key: str, value: Any) -> bytes:
    """An attribute of a span."""
    if type(value) is str:
        return text_attribute(key, utf8(value))
    if type(value) is Json:
        return text_attribute(key, value.utf8)
    return field(0x4A, key_value(key, value))


def attributes(found: Mapping[str, Any]) -> bytes:
    """Attributes of a span. The same short texts come again and again: together they are written once."""
    payload = b""
    known = tuple(found.items())
    if known and type(known[-1][1]) is Json:
        payload = text_attribute(known[-1][0], known[-1][1].utf8)
        known = known[:-1]
    try:
        return _groups[known] + payload
    except (KeyError, TypeError):
        pass  # not met before, or not hashable
    written = b"".join([attribute(key, value) for key, value in known])
    # Only texts: of numbers, 1 and True would be the same.
    if len(written) <= _CACHED_BYTES and all(type(value) is str for _, value in known):
        if len(_groups) >= _CACHE_LIMIT:
            # Starting over is cheaper than knowing which ones are old.
            _groups.clear()
        _groups[known] = written
    return written + payload


def key_value(key: str, value: Any) -> bytes:
    """A KeyValue without tag and length."""
    content = any_value(value)
    return b"".join((_key(key), varint(len(content)), content))


def any_value(value: Any, depth: int = 0) -> bytes:
    """An AnyValue without tag and length; what OTLP has no form for is written as its text."""
    if isinstance(value, str):
        return field(0x0A, utf8(str.__getitem__(value, slice(None))))
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        number = int.__int__(value)
        if number not in _INT64:
            return field(0x0A, b"(large integer)")
        return b"\x18" + varint(number & 0xFFFF_FFFF_FFFF_FFFF)
    if isinstance(value, float):
        return b"\x21" + _DOUBLE(value)
    if isinstance(value, bytes):
        return field(0x3A, bytes.__getitem__(value, slice(None)))
    if depth < _DEPTH_LIMIT:
        if isinstance(value, Mapping):
            pairs = (
                b"".join((_key(str(key)), varint(len(inner)), inner))
                for key, inner in ((k, any_value(v, depth + 1)) for k, v in value.items())
            )
            return field(0x32, b"".join(field(0x0A, pair) for pair in pairs))
        if isinstance(value, (list, tuple)):
            return field(0x2A, b"".join(field(0x0A, any_value(i, depth + 1)) for i in value))
    return b""


def named(name: str, kind: int) -> bytes:
    """The name and the kind of a span; ``kind`` counts from 0, as the API does."""
    found = _heads.get((name, kind))
    if found is None:
        if len(_heads) >= _CACHE_LIMIT:
            _heads.clear()
        found = _heads[name, kind] = field(0x2A, utf8(name)) + b"\x30" + varint(kind + 1)
    return found


def head(
    trace_id: int, span_id: int, parent_id: int, name: str, kind: int, start_time_ns: int
) -> bytes:
    """The fields of a span that are known when it starts. ``kind`` counts from 0, as the API does.

    What spans of a trace have in common stands together, before what each has of its own: that compresses better.
    """
    return b"".join(
        (
            b"\x0a\x10",
            trace_id.to_bytes(16, "big"),
            b"\x22\x08" + parent_id.to_bytes(8, "big") if parent_id else b"",
            b"\x12\x08",
            span_id.to_bytes(8, "big"),
            b"\x39",
            start_time_ns.to_bytes(8, "little"),
            named(name, kind),
        )
    )


def span_id_of(span: bytes) -> int:
    """The id of a span that begins with :func:`head`."""
    at = 30 if span.startswith(_PARENT_TAG, 18) else 20
    return int.from_bytes(span[at : at + 8], "big")


def end_time(time_ns: int) -> bytes:
    """The end of a span, nanoseconds since the epoch."""
    return b"\x41" + time_ns.to_bytes(8, "little")


def event(found: EventLike) -> bytes:
    """An event of a span."""
    pairs = (field(0x1A, key_value(k, v)) for k, v in (found.attributes or {}).items())
    time_ns = (found.timestamp or 0).to_bytes(8, "little")
    return field(0x5A, b"".join((b"\x09", time_ns, field(0x12, utf8(found.name)), *pairs)))


def link(context: SpanContext, attributes: Mapping[str, Any] | None) -> bytes:
    """A link of a span."""
    parts = [
        b"\x0a\x10" + context.trace_id.to_bytes(16, "big"),
        b"\x12\x08" + context.span_id.to_bytes(8, "big"),
        field(0x1A, utf8(context.trace_state.to_header())) if context.trace_state else b"",
    ]
    parts += [field(0x22, key_value(k, v)) for k, v in (attributes or {}).items()]
    return field(0x6A, b"".join(parts) + b"\x35" + _flags(context))


def _flags(parent: SpanContext | None) -> bytes:
    remote = parent is not None and parent.is_remote
    return (_HAS_REMOTE | (_IS_REMOTE if remote else 0)).to_bytes(4, "little")


def status(code: int, message: str) -> bytes:
    """The status of a span: 0 unset, 1 ok, 2 error."""
    said = field(0x12, utf8(message)) if message else b""
    return field(0x7A, said + (b"\x18" + varint(code) if code else b""))


def parentage(parent: SpanContext | None, state: Mapping[str, str] | None) -> bytes:
    """The trace state, and whether the parent is in another process."""
    header = getattr(state, "to_header", None)
    said = field(0x1A, utf8(header())) if state and header is not None else b""
    return said + b"\x85\x01" + _flags(parent)


def readable(span: ReadableSpan, *, is_open: bool = False) -> bytes:
    """A span of the OpenTelemetry SDK. ``is_open``: as it is now, without an end."""
    context = span.get_span_context()
    assert context is not None
    parent = span.parent
    start = head(
        context.trace_id,
        context.span_id,
        parent.span_id if parent is not None else 0,
        span.name,
        span.kind.value,
        span.start_time or 0,
    )
    parts = [start, parentage(parent, context.trace_state)]
    parts.append(attributes(dict(span.attributes or {})))
    parts += [event(found) for found in tuple(span.events)]
    parts += [link(found.context, found.attributes) for found in tuple(span.links)]
    code = span.status.status_code.value
    if code or span.status.description:
        parts.append(status(code, span.status.description or ""))
    if not is_open:
        parts.append(end_time(span.end_time or 0))
    return b"".join(parts)


def resource(found: Resource) -> bytes:
    """The content of a Resource."""
    return b"".join(field(0x0A, key_value(k, v)) for k, v in found.attributes.items())


def scope_of(found: InstrumentationScope | None) -> bytes:
    """The content of an InstrumentationScope: name and version."""
    if found is None:
        return b""
    version = field(0x12, utf8(found.version)[:1_024]) if found.version else b""
    return field(0x0A, utf8(found.name)[:1_024]) + version


def request(resource_content: bytes, spans: Iterable[tuple[bytes, bytes]]) -> bytes:
    """An ExportTraceServiceRequest from pairs of a scope's content and a span, in their order."""
    groups: list[tuple[bytes, list[bytes]]] = []
    for scope_content, span in spans:
        if not groups or groups[-1][0] != scope_content:
            groups.append((scope_content, []))
        groups[-1][1].extend((b"\x12", varint(len(span)), span))
    parts = [field(0x0A, resource_content)]
    for scope_content, pieces in groups:
        scope = field(0x0A, scope_content)
        size = len(scope) + sum(map(len, pieces))
        parts += (b"\x12", varint(size), scope, *pieces)
    total = sum(map(len, parts))
    # Megabytes: put together once, in one piece.
    return b"".join((b"\x0a", varint(total), *parts))
