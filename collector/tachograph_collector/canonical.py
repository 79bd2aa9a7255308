"""From a client's bytes to the canonical bytes that the engine decodes.

Pattern: a restricted copy of the OTLP schema knows scalar values and flat arrays only. A body is parsed with it in
C; when nothing was unknown to it, its own serialisation is the canonical body. Only a body with nested values,
bytes or unknown fields takes the slow path, where nested values become JSON text.

Why: the engine's types are depth-limited and its protobuf reader differs from protobuf's own rules on
odd but valid input (repeated singular fields, several members of a oneof). Canonical bytes decode the same
in both. Each body is parsed alone, because a cut body would swallow its neighbour in a batch.
"""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tachograph_collector import utf8
from tachograph_collector.errors import BadBodyError, TooLargeError
from tachograph_collector.otlp_schemas import FlatRequest, shallow_counts

MAX_REPEATED_BYTES = 256 << 20
"""Most bytes that the resources of a body may take once they stand on every span's row."""
MAX_SPANS = 100_000
"""Most spans, log records or data points in one body: built, an empty span of two bytes takes well over a hundred."""
_COUNT_FIRST_BYTES = 256 << 10  # below it, even a body of empty spans stays small when it is built

_TRACE_ID = attrgetter("trace_id")
_SPAN_ID = attrgetter("span_id")
_NO_TRACE_ID = bytes(16)
_NO_SPAN_ID = bytes(8)


@dataclass(frozen=True, slots=True)
class CanonicalBody:
    """A checked body: what the log keeps."""

    data: bytes
    """Canonical OTLP protobuf with flat values; empty when no span is left."""
    spans: int
    """Or log records, or data points."""
    rejected: int = 0
    """Spans without usable ids, which were dropped."""
    mended: int = 0
    """Strings whose broken UTF-8 was replaced by U+FFFD."""


def canonical(body: bytes) -> CanonicalBody:
    """Check one OTLP trace body and bring it into canonical form.

    Raises:
        BadBodyError: it is no OTLP trace export request.
        TooLargeError: it holds more than :data:`MAX_SPANS` spans.
    """
    try:
        return _canonical(body)
    except DecodeError as error:
        fault = error
    try:
        sound, mended = utf8.mended(body)
        return replace(_canonical(sound), mended=mended)
    except DecodeError:
        raise _refusal(body, fault) from fault


def _canonical(body: bytes) -> CanonicalBody:
    if len(body) > _COUNT_FIRST_BYTES:
        for count in shallow_counts(body):
            refuse_too_many(count)
    request = FlatRequest.FromString(body)
    request.DiscardUnknownFields()
    data: bytes = request.SerializeToString()
    if len(data) != len(body):
        # Nested values, bytes, unknown fields, or an odd encoding: let the full schema read it.
        full = ExportTraceServiceRequest.FromString(body)
        _flatten(full)
        # Once more through the restricted schema: one canonical form, whichever way a body came.
        request = FlatRequest.FromString(full.SerializeToString())
        request.DiscardUnknownFields()
        data = request.SerializeToString()
    return checked(request, data)


def refuse_too_many(count: int, what: str = "spans") -> None:
    """Raise when a body holds more spans, log records or data points than are taken.

    Raises:
        TooLargeError: it does.
    """
    if count > MAX_SPANS:
        raise TooLargeError(
            f"The body holds {count} {what}, over {MAX_SPANS}. Send smaller batches."
        )


def _refusal(body: bytes, error: DecodeError, signal: str = "trace") -> BadBodyError:
    hint = ""
    if body[:1] in (b"{", b"["):
        hint = " It looks like JSON: send it with Content-Type: application/json."
    elif body[:2] == b"\x1f\x8b":
        hint = " It looks gzipped: send it with Content-Encoding: gzip."
    return BadBodyError(f"The body is not an OTLP {signal} export request ({error}).{hint}")


def checked(request: Any, data: bytes | None = None) -> CanonicalBody:
    """The canonical body of a :data:`FlatRequest`, without spans whose ids cannot identify them.

    ``data`` is the request's serialisation when it is known already. Changes ``request``.

    Raises:
        TooLargeError: it holds too many spans.
    """
    kept = rejected = 0
    _refuse_repetition(request)
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            spans = scope_spans.spans
            count = len(spans)
            refuse_too_many(kept + count)
            # These loops run in C: there is no Python per span on the way in.
            traces, ids = set(map(_TRACE_ID, spans)), set(map(_SPAN_ID, spans))
            sound = set(map(len, traces)) <= {16} and set(map(len, ids)) <= {8}
            if not sound or _NO_TRACE_ID in traces or _NO_SPAN_ID in ids:
                good = [span for span in spans if _has_ids(span)]
                rejected += count - len(good)
                count = len(good)
                copies = [type(span).FromString(span.SerializeToString()) for span in good]
                del spans[:]
                spans.extend(copies)
            kept += count
    if not kept:
        return CanonicalBody(b"", 0, rejected)
    if data is None or rejected:
        data = request.SerializeToString()
    return CanonicalBody(data, kept, rejected)


def _refuse_repetition(request: Any) -> None:
    """Every span's row carries its resource: large ones on many spans would fill the engine's memory."""
    repeated_bytes = sum(
        resource_spans.resource.ByteSize()
        * sum(len(scope_spans.spans) for scope_spans in resource_spans.scope_spans)
        for resource_spans in request.resource_spans
    )
    if repeated_bytes > MAX_REPEATED_BYTES:
        raise TooLargeError(
            f"The resource's attributes, repeated on every span, take {repeated_bytes >> 20} MiB; at "
            f"most {MAX_REPEATED_BYTES >> 20} are taken. Send smaller batches, or put large values on "
            "one span."
        )


def _has_ids(span: Any) -> bool:
    return (
        len(span.trace_id) == 16
        and len(span.span_id) == 8
        and span.trace_id != _NO_TRACE_ID
        and span.span_id != _NO_SPAN_ID
    )


def _flatten(request: ExportTraceServiceRequest) -> None:
    """Turn every nested or binary attribute value into JSON text, in place."""
    for resource_spans in request.resource_spans:
        _flatten_attributes(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            _flatten_attributes(scope_spans.scope.attributes)
            for span in scope_spans.spans:
                _flatten_attributes(span.attributes)
                for event in span.events:
                    _flatten_attributes(event.attributes)
                for link in span.links:
                    _flatten_attributes(link.attributes)


def _flatten_attributes(attributes: Any) -> None:
    for attribute in attributes:
        _flatten_value(attribute.value)


def _flatten_value(value: AnyValue) -> None:
    which = value.WhichOneof("value")
    if which in {"kvlist_value", "bytes_value"} or (
        which == "array_value" and not _is_flat_array(value)
    ):
        value.string_value = nested_text(plain_value(value))


_NESTED = {"array_value", "kvlist_value", "bytes_value"}


def _is_flat_array(value: AnyValue) -> bool:
    return not any(item.WhichOneof("value") in _NESTED for item in value.array_value.values)


def nested_text(value: Any) -> str:
    """How a nested value is kept: as JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def plain_value(value: AnyValue) -> Any:
    """An OTLP value as plain data that JSON can say; protobuf bounds the depth."""
    which = value.WhichOneof("value")
    if which == "kvlist_value":
        return {item.key: plain_value(item.value) for item in value.kvlist_value.values}
    if which == "array_value":
        return [plain_value(item) for item in value.array_value.values]
    if which == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    if which == "double_value":
        return plain_double(value.double_value)
    if which is None or which == "string_value_strindex":
        # An index into a table that only profiles carry: without the table there is no text.
        return None
    return getattr(value, which)


def plain_double(value: float) -> float | str:
    """A number that JSON can say, or the word that OTLP's JSON has for it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
