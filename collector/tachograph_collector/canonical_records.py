"""Logs and metrics in canonical form: what :mod:`.canonical` does for traces, for the other two signals.

The same pattern: a flat body costs one parse in C; nested values, bytes and unknown fields take the slow path through
the full schema, where nested values become JSON text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tachograph_collector import utf8
from tachograph_collector.canonical import (
    _COUNT_FIRST_BYTES,
    MAX_REPEATED_BYTES,
    CanonicalBody,
    _flatten_value,
    _refusal,
    refuse_too_many,
)
from tachograph_collector.errors import TooLargeError
from tachograph_collector.otlp_schemas import shallow_counts
from tachograph_collector.otlp_twins import FlatLogs, FlatMetrics, points_of, shallow_points
from tachograph_schemas.names import Signal

_VALUE = AnyValue.DESCRIPTOR.full_name


@dataclass(frozen=True, slots=True)
class RecordSchema:
    """How a signal other than traces is read."""

    signal: Signal
    what: str
    """Its records, in words for a message."""
    flat: Any
    full: Any
    shallow: Callable[[bytes], Iterator[int]]
    """Counts of records, each before they are built."""
    resources: Callable[[Any], Iterator[tuple[Any, int]]]
    """Each resource of a request with how many records repeat it."""

    def canonical(self, body: bytes) -> CanonicalBody:
        """Check one protobuf body and bring it into canonical form.

        Raises:
            BadBodyError: it is no export request of this signal.
            TooLargeError: it holds too many records.
        """
        try:
            return self._canonical(body)
        except DecodeError as error:
            fault = error
        try:
            sound, mended = utf8.mended(body, self.signal)
            return replace(self._canonical(sound), mended=mended)
        except DecodeError:
            raise _refusal(body, fault, self.signal) from fault

    def checked(self, request: Any, data: bytes | None = None) -> CanonicalBody:
        """The canonical body of a request of the flat schema; ``data`` is its serialisation when known.

        Raises:
            TooLargeError: it holds too many records, or repeats too large a resource.
        """
        kept = repeated_bytes = 0
        for resource, count in self.resources(request):
            kept += count
            repeated_bytes += resource.ByteSize() * count
        refuse_too_many(kept, self.what)
        if repeated_bytes > MAX_REPEATED_BYTES:
            raise TooLargeError(
                f"The resource's attributes, repeated on each of the {self.what}, take "
                f"{repeated_bytes >> 20} MiB; at most {MAX_REPEATED_BYTES >> 20} are taken. Send smaller "
                "batches."
            )
        if not kept:
            return CanonicalBody(b"", 0)
        return CanonicalBody(request.SerializeToString() if data is None else data, kept)

    def _canonical(self, body: bytes) -> CanonicalBody:
        if len(body) > _COUNT_FIRST_BYTES:
            for count in self.shallow(body):
                refuse_too_many(count, self.what)
        request = self.flat.FromString(body)
        request.DiscardUnknownFields()
        data: bytes = request.SerializeToString()
        if len(data) != len(body):
            full = self.full.FromString(body)
            _flatten(full)
            # Once more through the restricted schema: one canonical form, whichever way a body came.
            request = self.flat.FromString(full.SerializeToString())
            request.DiscardUnknownFields()
            data = request.SerializeToString()
        return self.checked(request, data)


def _flatten(message: Message) -> None:
    """Turn every nested or binary value below ``message`` into JSON text, in place."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for child in value if field.is_repeated else (value,):
            if field.message_type.full_name == _VALUE:
                _flatten_value(child)
            else:
                _flatten(child)


def _log_resources(request: Any) -> Iterator[tuple[Any, int]]:
    for resource_logs in request.resource_logs:
        yield (
            resource_logs.resource,
            sum(len(scope_logs.log_records) for scope_logs in resource_logs.scope_logs),
        )


def _metric_resources(request: Any) -> Iterator[tuple[Any, int]]:
    for resource_metrics in request.resource_metrics:
        yield (
            resource_metrics.resource,
            sum(
                points_of(metric)
                for scope_metrics in resource_metrics.scope_metrics
                for metric in scope_metrics.metrics
            ),
        )


def _shallow_points(body: bytes) -> Iterator[int]:
    # Metrics are nested as spans are, one level above their points.
    yield from shallow_counts(body)
    yield from shallow_points(body)


LOGS = RecordSchema(
    "logs", "log records", FlatLogs, ExportLogsServiceRequest, shallow_counts, _log_resources
)
METRICS = RecordSchema(
    "metrics",
    "data points",
    FlatMetrics,
    ExportMetricsServiceRequest,
    _shallow_points,
    _metric_resources,
)
