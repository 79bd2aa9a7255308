"""The three OTLP signals: how their bodies are read and what is answered once they are on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tachograph_collector import canonical_records
from tachograph_collector.canonical import CanonicalBody, canonical
from tachograph_collector.otlp_json import canonical_json
from tachograph_collector.otlp_json_records import canonical_logs, canonical_metrics
from tachograph_schemas import names

Read = Callable[[bytes], CanonicalBody]
"""Brings a body into canonical form, or raises ``BodyError``."""


@dataclass(frozen=True, slots=True)
class SignalFace:
    """One signal as clients see it."""

    name: names.Signal
    service: str
    """The full name of its gRPC service."""
    response: Any
    read_protobuf: Read
    read_json: Read
    rejected_field: str = ""
    """The field of the partial success that says how many were dropped; empty when none ever are."""

    @property
    def path(self) -> str:
        """Where it is sent over HTTP; clients put all sorts of paths before it."""
        return f"/v1/{self.name}"

    def answer(self, body: CanonicalBody) -> Any:
        """The response to a body that is on disk, with what was dropped or changed."""
        response = self.response()
        said = []
        if body.rejected:
            setattr(response.partial_success, self.rejected_field, body.rejected)
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


TRACES = SignalFace(
    "traces",
    "opentelemetry.proto.collector.trace.v1.TraceService",
    ExportTraceServiceResponse,
    canonical,
    canonical_json,
    "rejected_spans",
)
LOGS = SignalFace(
    "logs",
    "opentelemetry.proto.collector.logs.v1.LogsService",
    ExportLogsServiceResponse,
    canonical_records.LOGS.canonical,
    canonical_logs,
)
METRICS = SignalFace(
    "metrics",
    "opentelemetry.proto.collector.metrics.v1.MetricsService",
    ExportMetricsServiceResponse,
    canonical_records.METRICS.canonical,
    canonical_metrics,
)
FACES: dict[names.Signal, SignalFace] = {face.name: face for face in (TRACES, LOGS, METRICS)}
