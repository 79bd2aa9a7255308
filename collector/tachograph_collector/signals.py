"""The three OTLP signals: what their requests and answers look like, and what is done with each.

Traces are stored. Log records and metric data points are not yet: they are counted, and their sender is told in a
partial success, which a client may log once but does not send again. An error would be logged and retried for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tachograph_collector.canonical import CanonicalBody
from tachograph_collector.errors import BadBodyError
from tachograph_collector.otlp_json import parsed

TRACES = "traces"
"""The signal that is stored."""
_POINTS = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")


@dataclass(frozen=True, slots=True)
class Unstored:
    """A signal that is taken and counted, and not stored."""

    name: str
    service: str
    """The full name of its gRPC service."""
    request: Any
    response: Any
    rejected: str
    """The field of the partial success that says how many were dropped."""
    count: Callable[[Any], int]
    """Records in a protobuf request."""
    count_json: Callable[[Any], int]
    """Records in a JSON request."""

    def answer(self, records: int) -> Any:
        """The response that rejects ``records``."""
        response = self.response()
        if records:
            setattr(response.partial_success, self.rejected, records)
            response.partial_success.error_message = (
                f"{self.name} are not stored yet: {records} were dropped. Turn off their exporter."
            )
        return response

    def records(self, body: bytes, form: str) -> int:
        """How many records a body holds.

        Raises:
            BodyError: it is no export request of this signal.
        """
        try:
            if form == "json":
                return self.count_json(parsed(body)[0])
            return self.count(self.request.FromString(body))
        except DecodeError as error:
            raise BadBodyError(
                f"The body is not an OTLP {self.name} export request ({error})."
            ) from error
        except (TypeError, AttributeError) as error:
            raise BadBodyError(
                f"The JSON body is not an OTLP {self.name} export request."
            ) from error


def _logs(request: Any) -> int:
    return sum(
        len(scope.log_records)
        for resource in request.resource_logs
        for scope in resource.scope_logs
    )


def _metrics(request: Any) -> int:
    return sum(
        len(getattr(metric, metric.WhichOneof("data")).data_points)
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.WhichOneof("data")
    )


def _items(owner: Any, key: str) -> Iterable[Any]:
    items: list[Any] = owner.get(key) or []
    return items


def _logs_json(request: Any) -> int:
    return sum(
        len(scope.get("logRecords") or [])
        for resource in _items(request, "resourceLogs")
        for scope in _items(resource, "scopeLogs")
    )


def _metrics_json(request: Any) -> int:
    return sum(
        len((metric.get(kind) or {}).get("dataPoints") or [])
        for resource in _items(request, "resourceMetrics")
        for scope in _items(resource, "scopeMetrics")
        for metric in _items(scope, "metrics")
        for kind in _POINTS
    )


LOGS = Unstored(
    "logs",
    "opentelemetry.proto.collector.logs.v1.LogsService",
    logs_service_pb2.ExportLogsServiceRequest,
    logs_service_pb2.ExportLogsServiceResponse,
    "rejected_log_records",
    _logs,
    _logs_json,
)
METRICS = Unstored(
    "metrics",
    "opentelemetry.proto.collector.metrics.v1.MetricsService",
    metrics_service_pb2.ExportMetricsServiceRequest,
    metrics_service_pb2.ExportMetricsServiceResponse,
    "rejected_data_points",
    _metrics,
    _metrics_json,
)
UNSTORED = (LOGS, METRICS)


_ALL_IS_WELL = ExportTraceServiceResponse()


def trace_answer(body: CanonicalBody) -> ExportTraceServiceResponse:
    """The response to traces that are on disk, with what was dropped or changed. Not to be changed."""
    if not body.rejected and not body.mended:
        return _ALL_IS_WELL
    response = ExportTraceServiceResponse()
    said = []
    if body.rejected:
        response.partial_success.rejected_spans = body.rejected
        said.append(
            f"{body.rejected} spans have no usable trace id (16 bytes) or span id (8 bytes)."
        )
    if body.mended:
        said.append(
            f"{body.mended} strings were not valid UTF-8; what is broken in them became U+FFFD."
        )
    if said:
        response.partial_success.error_message = " ".join(said)
    return response
