"""Logs and metrics in OTLP/JSON, brought into the same canonical bytes as in protobuf; see :mod:`.otlp_json`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tachograph_collector.canonical import CanonicalBody, refuse_too_many
from tachograph_collector.canonical_records import LOGS, METRICS, RecordSchema
from tachograph_collector.json_reader import (
    Convert,
    Misfit,
    Table,
    each,
    enumeration,
    fixed64,
    hex_id,
    int32,
    int64,
    message,
    text,
    truth,
    uint32,
)
from tachograph_collector.json_values import _double, any_value
from tachograph_collector.otlp_json import ATTRIBUTES, SCOPE, attributes_of, request_of


def canonical_logs(body: bytes) -> CanonicalBody:
    """Check one OTLP/JSON logs body and bring it into canonical form.

    Raises:
        BadBodyError: it is no logs export request; the message names the place.
        TooLargeError: it holds too many records, objects or arrays.
    """
    return _canonical(body, LOGS, _logs)


def canonical_metrics(body: bytes) -> CanonicalBody:
    """Check one OTLP/JSON metrics body and bring it into canonical form.

    Raises:
        BadBodyError: it is no metrics export request; the message names the place.
        TooLargeError: it holds too many points, objects or arrays.
    """
    return _canonical(body, METRICS, _metrics)


def _canonical(body: bytes, schema: RecordSchema, read: Convert) -> CanonicalBody:
    request, mended = request_of(body, read, schema.flat)
    return replace(schema.checked(request), mended=mended)


def _bounded(convert: Convert, what: str) -> Convert:
    """``each(convert)`` that refuses a list beyond what is taken before it is read."""
    read = each(convert)

    def convert_all(value: Any) -> Any:
        if type(value) is list:
            refuse_too_many(len(value), what)
        return read(value)

    return convert_all


def _double_of(value: Any) -> float:
    found: float = _double(value)["double_value"]
    return found


_SEVERITIES = [
    f"{word}{step}"
    for word in ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
    for step in ("", "2", "3", "4")
]
_RECORD: Table = {
    "timeUnixNano": ("time_unix_nano", fixed64),
    "observedTimeUnixNano": ("observed_time_unix_nano", fixed64),
    "severityNumber": (
        "severity_number",
        enumeration("SEVERITY_NUMBER_", "UNSPECIFIED", *_SEVERITIES),
    ),
    "severityText": ("severity_text", text),
    "body": ("body", any_value),
    "flags": ("flags", uint32),
    "traceId": ("trace_id", hex_id),
    "spanId": ("span_id", hex_id),
    "eventName": ("event_name", text),
} | ATTRIBUTES


def _request(group: str, scope: str, members: Table) -> Convert:
    """Reads ``{resource<group>: [{resource, scope<group>: [{scope, ...members}]}]}``."""
    scopes: Table = {"scope": ("scope", message(SCOPE)), "schemaUrl": ("schema_url", text)}
    resources: Table = {
        "resource": ("resource", message(ATTRIBUTES)),
        f"scope{group}": (scope, each(message(scopes | members))),
        "schemaUrl": ("schema_url", text),
    }
    return message(
        {f"resource{group}": (scope.replace("scope", "resource"), each(message(resources)))}
    )


_logs = _request(
    "Logs", "scope_logs", {"logRecords": ("log_records", _bounded(message(_RECORD), "log records"))}
)

_EXEMPLAR: Table = {
    "filteredAttributes": ("filtered_attributes", attributes_of),
    "timeUnixNano": ("time_unix_nano", fixed64),
    "asDouble": ("as_double", _double_of),
    "asInt": ("as_int", int64),
    "spanId": ("span_id", hex_id),
    "traceId": ("trace_id", hex_id),
}
_POINT: Table = {
    "attributes": ("attributes", attributes_of),
    "startTimeUnixNano": ("start_time_unix_nano", fixed64),
    "timeUnixNano": ("time_unix_nano", fixed64),
    "flags": ("flags", uint32),
}
_EXEMPLARS: Table = {"exemplars": ("exemplars", each(message(_EXEMPLAR)))}
_RANGE: Table = {
    "count": ("count", fixed64),
    "sum": ("sum", _double_of),
    "min": ("min", _double_of),
    "max": ("max", _double_of),
}
_NUMBER: Table = (
    _POINT | _EXEMPLARS | {"asDouble": ("as_double", _double_of), "asInt": ("as_int", int64)}
)
_HISTOGRAM: Table = (
    _POINT
    | _EXEMPLARS
    | _RANGE
    | {
        "bucketCounts": ("bucket_counts", each(fixed64)),
        "explicitBounds": ("explicit_bounds", each(_double_of)),
    }
)
_buckets = message({"offset": ("offset", int32), "bucketCounts": ("bucket_counts", each(fixed64))})
_EXPONENTIAL: Table = (
    _POINT
    | _EXEMPLARS
    | _RANGE
    | {
        "scale": ("scale", int32),
        "zeroCount": ("zero_count", fixed64),
        "zeroThreshold": ("zero_threshold", _double_of),
        "positive": ("positive", _buckets),
        "negative": ("negative", _buckets),
    }
)
_QUANTILE: Table = {"quantile": ("quantile", _double_of), "value": ("value", _double_of)}
_SUMMARY: Table = _POINT | {
    "count": ("count", fixed64),
    "sum": ("sum", _double_of),
    "quantileValues": ("quantile_values", each(message(_QUANTILE))),
}


def _data(point: Table, extra: Table | None = None) -> Convert:
    points: Table = {"dataPoints": ("data_points", _bounded(message(point), "data points"))}
    return message(points | (extra or {}))


_TEMPORALITY: Table = {
    "aggregationTemporality": (
        "aggregation_temporality",
        enumeration("AGGREGATION_TEMPORALITY_", "UNSPECIFIED", "DELTA", "CUMULATIVE"),
    )
}
_KINDS: Table = {
    "gauge": ("gauge", _data(_NUMBER)),
    "sum": ("sum", _data(_NUMBER, _TEMPORALITY | {"isMonotonic": ("is_monotonic", truth)})),
    "histogram": ("histogram", _data(_HISTOGRAM, _TEMPORALITY)),
    "exponentialHistogram": ("exponential_histogram", _data(_EXPONENTIAL, _TEMPORALITY)),
    "summary": ("summary", _data(_SUMMARY)),
}
_read_metric = message(
    {
        "name": ("name", text),
        "description": ("description", text),
        "unit": ("unit", text),
        "metadata": ("metadata", attributes_of),
    }
    | _KINDS
)


def _metric(value: Any) -> Any:
    metric = _read_metric(value)
    if sum(key in _KINDS and value[key] is not None for key in value) > 1:
        raise Misfit("a metric is one of gauge, sum, histogram, exponentialHistogram and summary")
    return metric


_metrics = _request(
    "Metrics", "scope_metrics", {"metrics": ("metrics", _bounded(_metric, "metrics"))}
)
