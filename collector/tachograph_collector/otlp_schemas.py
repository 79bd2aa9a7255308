"""Copies of the OTLP schemas, made at start: restricted ones, shallow ones, and ones without text.

Pattern: one parser in C, several schemas for the same bytes. What a schema does not declare is unknown to it and
can be discarded or measured, and that happens in C too: no Python looks at a span.

* :data:`FlatRequest` knows scalar values and flat arrays only. A body that loses nothing in it is flat.
* :func:`shallow_counts` stops at the spans, so that they can be counted before they are built.
* :data:`BYTES_REQUESTS` are the whole schemas with bytes in place of text, for bodies that hold broken UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from tachograph_schemas.names import Signal

_Members = list[tuple[str, int, Any]]

_FIELD = descriptor_pb2.FieldDescriptorProto
_STRING, _BYTES, _BOOL = _FIELD.TYPE_STRING, _FIELD.TYPE_BYTES, _FIELD.TYPE_BOOL
_INT64, _DOUBLE, _UINT32 = _FIELD.TYPE_INT64, _FIELD.TYPE_DOUBLE, _FIELD.TYPE_UINT32
_FIXED32, _FIXED64, _INT32 = _FIELD.TYPE_FIXED32, _FIELD.TYPE_FIXED64, _FIELD.TYPE_INT32

_MANY_BYTES = "bytes*"

# name: [(field, number, type)]; a type in text is a message, with a star when repeated.
_FLAT: dict[str, _Members] = {
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
# Each stops one level further down; what it stops at is bytes, which cost nothing to build.
_SHALLOW: tuple[dict[str, _Members], ...] = (
    {"Request": [("resource_spans", 1, _MANY_BYTES)]},
    {
        "Request": [("resource_spans", 1, "ResourceSpans*")],
        "ResourceSpans": [("scope_spans", 2, _MANY_BYTES)],
    },
    {
        "Request": [("resource_spans", 1, "ResourceSpans*")],
        "ResourceSpans": [("scope_spans", 2, "ScopeSpans*")],
        "ScopeSpans": [("spans", 2, _MANY_BYTES)],
    },
)
# Members of a oneof: presence matters, an empty string is a value.
_ONEOF = {"Value", "Scalar"}


def _request_of(package: str, messages: dict[str, _Members]) -> Any:
    """The class of ``Request`` in a schema given as a table."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    for name, members in messages.items():
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
            if kind.endswith("*"):
                added.label = _FIELD.LABEL_REPEATED
            if kind == _MANY_BYTES:
                added.type = _BYTES
                continue
            added.type = _FIELD.TYPE_MESSAGE
            added.type_name = f".{package}.{kind.rstrip('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Request"))


_SERVICES: dict[Signal, tuple[Any, Any, str]] = {
    "traces": (trace_pb2, trace_service_pb2, "ExportTraceServiceRequest"),
    "logs": (logs_pb2, logs_service_pb2, "ExportLogsServiceRequest"),
    "metrics": (metrics_pb2, metrics_service_pb2, "ExportMetricsServiceRequest"),
}


def _bytes_twins() -> tuple[dict[Signal, Any], frozenset[str]]:
    """OTLP's own schemas with bytes for text, and the full names of the fields that were text."""
    pool = descriptor_pool.DescriptorPool()
    text: set[str] = set()
    data = [module for records, service, _ in _SERVICES.values() for module in (records, service)]
    for module in (common_pb2, resource_pb2, *data):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        _turn_into_bytes(file.message_type, file.package, text)
        pool.Add(file)
    twins = {
        signal: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{service.DESCRIPTOR.package}.{request}")
        )
        for signal, (_, service, request) in _SERVICES.items()
    }
    return twins, frozenset(text)


def _turn_into_bytes(messages: Iterable[Any], scope: str, text: set[str]) -> None:
    for message in messages:
        name = f"{scope}.{message.name}"
        for field in message.field:
            if field.type == _STRING:
                field.type = _BYTES
                text.add(f"{name}.{field.name}")
        _turn_into_bytes(message.nested_type, name, text)


FlatRequest = _request_of("tachograph.flat", _FLAT)
"""The trace export request, its attribute values scalars or arrays of scalars."""
_TO_RESOURCES, _TO_SCOPES, _TO_SPANS = (
    _request_of(f"tachograph.shallow{level}", messages) for level, messages in enumerate(_SHALLOW)
)
BYTES_REQUESTS, TEXT_FIELDS = _bytes_twins()
"""The whole export request of each signal with bytes for text, and which fields are text by right."""

_SCOPE_SPANS = attrgetter("scope_spans")
_SPANS = attrgetter("spans")


def shallow_counts(body: bytes) -> Iterator[int]:
    """How many resources, then scopes, then spans a body holds, each before the next is built.

    Raises:
        DecodeError: the body is cut or garbled above the spans.
    """
    yield len(_TO_RESOURCES.FromString(body).resource_spans)
    yield sum(map(len, map(_SCOPE_SPANS, _TO_SCOPES.FromString(body).resource_spans)))
    yield sum(
        sum(map(len, map(_SPANS, resource_spans.scope_spans)))
        for resource_spans in _TO_SPANS.FromString(body).resource_spans
    )
