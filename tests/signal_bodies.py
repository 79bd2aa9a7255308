"""Bodies of logs and metrics for tests."""

from __future__ import annotations

import time
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from otlp import any_value, key_values

TIME_NS = 1_795_000_000_000_000_001


def log_body(
    *bodies: Any,
    trace_id: bytes = b"",
    span_id: bytes = b"",
    event_name: str = "",
    severity: int = 9,
    severity_text: str = "",
    at_ns: int | None = None,
    **attributes: Any,
) -> bytes:
    """A logs request with one record for each of ``bodies``; attributes are given with ``__`` for dots."""
    request = ExportLogsServiceRequest()
    resource_logs = request.resource_logs.add()
    resource_logs.resource.attributes.extend(key_values({"service.name": "shop"}))
    scope_logs = resource_logs.scope_logs.add()
    scope_logs.scope.name = "test"
    start = time.time_ns() if at_ns is None else at_ns
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    for body in bodies:
        record = scope_logs.log_records.add(
            time_unix_nano=start,
            observed_time_unix_nano=start and start + 5,
            severity_number=severity,
            severity_text=severity_text,
            trace_id=trace_id,
            span_id=span_id,
            event_name=event_name,
        )
        if body is not None:
            record.body.CopyFrom(any_value(body))
        record.attributes.extend(key_values(named))
    return request.SerializeToString()


def all_points(unit: str = "s") -> bytes:
    """A metrics request with six data points, of all five kinds."""
    request = ExportMetricsServiceRequest()
    resource_metrics = request.resource_metrics.add()
    resource_metrics.resource.attributes.extend(key_values({"service.name": "shop"}))
    scope_metrics = resource_metrics.scope_metrics.add()
    scope_metrics.scope.name, scope_metrics.scope.version = "test", "1"
    metrics = scope_metrics.metrics
    times = {"start_time_unix_nano": TIME_NS - 10, "time_unix_nano": TIME_NS}
    at = times | {"attributes": key_values({"model": "m", "n": 1})}
    metrics.add(name="gauge", unit=unit).gauge.data_points.add(as_double=0.0, **at)
    sums = metrics.add(name="sum", description="a sum").sum
    sums.aggregation_temporality, sums.is_monotonic = 2, True
    point = sums.data_points.add(as_int=2**60 + 1, **at)
    point.exemplars.add(
        as_int=7,
        time_unix_nano=TIME_NS,
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
        filtered_attributes=key_values({"k": "v"}),
    )
    sums.data_points.add(flags=1, **times)  # no value was recorded
    histogram = metrics.add(name="histogram").histogram
    histogram.aggregation_temporality = 1
    histogram.data_points.add(
        count=3, sum=0.0, min=-1.0, max=1.0, bucket_counts=[1, 2], explicit_bounds=[0.5], **at
    )
    exponential = metrics.add(name="exponential").exponential_histogram
    exponential.aggregation_temporality = 1
    point = exponential.data_points.add(
        count=6, sum=1.5, scale=-2, zero_count=1, zero_threshold=0.25, **at
    )
    point.positive.offset = -3
    point.positive.bucket_counts.extend([1, 2])
    point.negative.bucket_counts.extend([2])
    summary = metrics.add(name="summary").summary.data_points.add(count=2, sum=4.0, **at)
    summary.quantile_values.add(quantile=0.5, value=2.0)
    return request.SerializeToString()
