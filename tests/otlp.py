"""OTLP bodies for tests: built by hand, with every id and time under control."""

from __future__ import annotations

import time
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

NS = 10**9


def any_value(value: Any) -> AnyValue:
    """A Python value as an OTLP one; nested lists and dicts stay nested."""
    if value is None:
        return AnyValue()
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))
    if isinstance(value, dict):
        return AnyValue(kvlist_value=KeyValueList(values=key_values(value)))
    return AnyValue(string_value=value)


def key_values(values: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


class Trace:
    """Collects spans of one trace and gives them as a request."""

    def __init__(
        self, trace: int = 1, service: str = "shop", scope: str = "test", **resource: Any
    ) -> None:
        self.trace_id = trace.to_bytes(16, "big")
        self.start_ns = time.time_ns() - 60 * NS
        self.request = ExportTraceServiceRequest()
        resource_spans = self.request.resource_spans.add()
        named = {key.replace("__", "."): value for key, value in resource.items()}
        resource_spans.resource.attributes.extend(key_values({"service.name": service} | named))
        self._scope_spans = resource_spans.scope_spans.add()
        self._scope_spans.scope.name = scope

    @property
    def id(self) -> str:
        return self.trace_id.hex()

    def span(
        self,
        number: int,
        name: str = "work",
        parent: int | None = None,
        *,
        at_ms: float = 0,
        ms: float | None = 10,
        error: str | None = None,
        events: list[tuple[str, dict[str, Any]]] = (),
        **attributes: Any,
    ) -> Trace:
        """Add a span; attributes are given with ``__`` for dots. ``ms=None`` leaves it open."""
        start = self.start_ns + int(at_ms * 1e6)
        span = self._scope_spans.spans.add(
            trace_id=self.trace_id,
            span_id=number.to_bytes(8, "big"),
            parent_span_id=parent.to_bytes(8, "big") if parent else b"",
            name=name,
            kind=1,
            start_time_unix_nano=start,
            end_time_unix_nano=0 if ms is None else start + int(ms * 1e6),
        )
        named = {key.replace("__", "."): value for key, value in attributes.items()}
        span.attributes.extend(key_values(named))
        if error is not None:
            span.status.code = 2
            span.status.message = error
        for event_name, event_attributes in events:
            event = span.events.add(name=event_name, time_unix_nano=start)
            event.attributes.extend(key_values(event_attributes))
        return self

    def body(self) -> bytes:
        return self.request.SerializeToString()


def span_id(number: int) -> str:
    return number.to_bytes(8, "big").hex()


def plain_body(trace: int, spans: int) -> bytes:
    """A body of ``spans`` tool spans under one root, as a load."""
    made = Trace(trace).span(1, "root", ms=spans)
    for number in range(2, spans + 1):
        made.span(
            number,
            "execute_tool search",
            1,
            at_ms=number,
            gen_ai__operation__name="execute_tool",
            gen_ai__tool__name="search",
        )
    return made.body()
