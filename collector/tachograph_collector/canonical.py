"""From a client's bytes to the canonical bytes that the engine decodes.

Pattern: a restricted copy of the OTLP schema, built here, knows scalar values and flat arrays only. A body
is parsed with it in C; when nothing was unknown to it, its own serialisation is the canonical body. Only a
body with nested values, bytes or unknown fields takes the slow path, where nested values become JSON text.

Why: the engine's types are depth-limited and its protobuf reader differs from protobuf's own rules on
odd but valid input (repeated singular fields, several members of a oneof). Canonical bytes decode the same
in both. Each body is parsed alone, because a cut body would swallow its neighbour in a batch.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tachograph_collector.errors import BadBodyError

_FIELD = descriptor_pb2.FieldDescriptorProto
_STRING, _BYTES, _BOOL = _FIELD.TYPE_STRING, _FIELD.TYPE_BYTES, _FIELD.TYPE_BOOL
_INT64, _DOUBLE, _UINT32 = _FIELD.TYPE_INT64, _FIELD.TYPE_DOUBLE, _FIELD.TYPE_UINT32
_FIXED32, _FIXED64, _INT32 = _FIELD.TYPE_FIXED32, _FIELD.TYPE_FIXED64, _FIELD.TYPE_INT32

# name: [(field, number, type)]; a type in text is a message, with a star when repeated.
_MESSAGES: dict[str, list[tuple[str, int, Any]]] = {
    "Request": [("resource_spans", 1, "ResourceSpans*")],
    "ResourceSpans": [
        ("resource", 1, "Resource"),
        ("scope_spans", 2, "ScopeSpans*"),
        ("schema_url", 3, _STRING),
    ],
    "Resource": [("attributes", 1, "KeyValue*"), ("dropped_attributes_count", 2, _UINT32)],
    "ScopeSpans": [("scope", 1, "Scope"), ("spans", 2, "Span*"), ("schema_url", 3, _STRING)],
    "Scope": [
        ("name", 1, _STRING),
        ("version", 2, _STRING),
        ("attributes", 3, "KeyValue*"),
        ("dropped_attributes_count", 4, _UINT32),
    ],
    "KeyValue": [("key", 1, _STRING), ("value", 2, "Value")],
    "Value": [
        ("string_value", 1, _STRING),
        ("bool_value", 2, _BOOL),
        ("int_value", 3, _INT64),
        ("double_value", 4, _DOUBLE),
        ("array_value", 5, "FlatArray"),
    ],
    "FlatArray": [("values", 1, "Scalar*")],
    "Scalar": [
        ("string_value", 1, _STRING),
        ("bool_value", 2, _BOOL),
        ("int_value", 3, _INT64),
        ("double_value", 4, _DOUBLE),
    ],
    "Event": [
        ("time_unix_nano", 1, _FIXED64),
        ("name", 2, _STRING),
        ("attributes", 3, "KeyValue*"),
        ("dropped_attributes_count", 4, _UINT32),
    ],
    "Link": [
        ("trace_id", 1, _BYTES),
        ("span_id", 2, _BYTES),
        ("trace_state", 3, _STRING),
        ("attributes", 4, "KeyValue*"),
        ("dropped_attributes_count", 5, _UINT32),
        ("flags", 6, _FIXED32),
    ],
    "Status": [("message", 2, _STRING), ("code", 3, _INT32)],
    "Span": [
        ("trace_id", 1, _BYTES),
        ("span_id", 2, _BYTES),
        ("trace_state", 3, _STRING),
        ("parent_span_id", 4, _BYTES),
        ("name", 5, _STRING),
        ("kind", 6, _INT32),
        ("start_time_unix_nano", 7, _FIXED64),
        ("end_time_unix_nano", 8, _FIXED64),
        ("attributes", 9, "KeyValue*"),
        ("dropped_attributes_count", 10, _UINT32),
        ("events", 11, "Event*"),
        ("dropped_events_count", 12, _UINT32),
        ("links", 13, "Link*"),
        ("dropped_links_count", 14, _UINT32),
        ("status", 15, "Status"),
        ("flags", 16, _FIXED32),
    ],
}
# Members of a oneof: presence matters, an empty string is a value.
_ONEOF = {"Value", "Scalar"}


def _flat_request() -> Any:
    """The message class of the restricted schema."""
    file = descriptor_pb2.FileDescriptorProto(
        name="tachograph_flat_otlp.proto", package="tachograph.flat", syntax="proto3"
    )
    for name, members in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if name in _ONEOF:
            message.oneof_decl.add(name="value")
        for field_name, number, kind in members:
            added = message.field.add(name=field_name, number=number, label=_FIELD.LABEL_OPTIONAL)
            if name in _ONEOF:
                added.oneof_index = 0
            if not isinstance(kind, str):
                added.type = kind
                continue
            added.type = _FIELD.TYPE_MESSAGE
            added.type_name = f".tachograph.flat.{kind.rstrip('*')}"
            if kind.endswith("*"):
                added.label = _FIELD.LABEL_REPEATED
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tachograph.flat.Request"))


_Flat = _flat_request()
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
    rejected: int = 0
    """Spans without usable ids, which were dropped."""


def canonical(body: bytes) -> CanonicalBody:
    """Check one OTLP trace body and bring it into canonical form.

    Raises:
        BadBodyError: it is no OTLP trace export request.
    """
    try:
        request = _Flat.FromString(body)
    except DecodeError as error:
        raise _refusal(body, error) from error
    request.DiscardUnknownFields()
    if request.ByteSize() != len(body):
        # Nested values, bytes, unknown fields, or an odd encoding: let the full schema read it.
        try:
            full = ExportTraceServiceRequest.FromString(body)
        except DecodeError as error:
            raise _refusal(body, error) from error
        full.DiscardUnknownFields()
        _flatten(full)
        request = full
    spans, rejected = _check_ids(request)
    return CanonicalBody(request.SerializeToString() if spans else b"", spans, rejected)


def _refusal(body: bytes, error: DecodeError) -> BadBodyError:
    hint = ""
    if body[:1] in (b"{", b"["):
        hint = " It looks like JSON: send it with Content-Type: application/json."
    elif body[:2] == b"\x1f\x8b":
        hint = " It looks gzipped: send it with Content-Encoding: gzip."
    return BadBodyError(f"The body is not an OTLP trace export request ({error}).{hint}")


def _check_ids(request: Any) -> tuple[int, int]:
    """Drop spans whose ids cannot identify them; returns how many were kept and dropped."""
    kept = rejected = 0
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            spans = scope_spans.spans
            count = len(spans)
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
    return kept, rejected


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
            # The engine does not read the scope's attributes; nested ones must not reach it.
            del scope_spans.scope.attributes[:]
            for span in scope_spans.spans:
                _flatten_attributes(span.attributes)
                for event in span.events:
                    _flatten_attributes(event.attributes)
                for link in span.links:
                    _flatten_attributes(link.attributes)


def _flatten_attributes(attributes: Any) -> None:
    for attribute in attributes:
        value = attribute.value
        which = value.WhichOneof("value")
        if which in {"kvlist_value", "bytes_value"} or (
            which == "array_value" and not _is_flat_array(value)
        ):
            value.string_value = json.dumps(plain_value(value), ensure_ascii=False)
        elif which == "string_value_strindex":
            # An index into a table that only profiles carry: without it there is no text.
            value.string_value = ""
        if attribute.key_strindex:
            attribute.key_strindex = 0


_NOT_SCALAR = {"array_value", "kvlist_value", "bytes_value", "string_value_strindex"}


def _is_flat_array(value: AnyValue) -> bool:
    return not any(item.WhichOneof("value") in _NOT_SCALAR for item in value.array_value.values)


def plain_value(value: AnyValue) -> Any:
    """An OTLP value as plain Python data; bytes become base64 text. protobuf bounds the depth."""
    which = value.WhichOneof("value")
    if which == "kvlist_value":
        return {item.key: plain_value(item.value) for item in value.kvlist_value.values}
    if which == "array_value":
        return [plain_value(item) for item in value.array_value.values]
    if which == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    if which is None or which == "string_value_strindex":
        return None
    return getattr(value, which)
