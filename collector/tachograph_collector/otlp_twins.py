"""Twins of OTLP's own schemas of logs and metrics, made at start from the descriptors that the package brings.

The counterpart of :mod:`.otlp_schemas` for the signals whose bodies are not worth a table of their own: the flat twin
is OTLP's schema with scalar values and flat arrays only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2

from tachograph_collector.otlp_schemas import _FIELD, _request_of

_COMMON = "opentelemetry.proto.common.v1"
_SCALARS = {"string_value", "bool_value", "int_value", "double_value"}


def _flat_twin(*modules: Any, request: Any) -> Any:
    """The class of ``request`` in a copy of the schemas whose values are scalars and arrays of them."""
    pool = descriptor_pool.DescriptorPool()
    for module in (common_pb2, resource_pb2, *modules):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        if module is common_pb2:
            _flatten_values(file)
        pool.Add(file)
    name = request.DESCRIPTOR.full_name
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def _flatten_values(common: descriptor_pb2.FileDescriptorProto) -> None:
    messages = {message.name: message for message in common.message_type}
    value = messages["AnyValue"]
    scalar = common.message_type.add(name="Scalar")
    scalar.oneof_decl.add(name="value")
    scalar.field.extend(field for field in value.field if field.name in _SCALARS)
    kept = [field for field in value.field if field.name in {*_SCALARS, "array_value"}]
    copies = [_FIELD.FromString(field.SerializeToString()) for field in kept]
    del value.field[:]
    value.field.extend(copies)
    messages["ArrayValue"].field[0].type_name = f".{_COMMON}.Scalar"


FlatLogs = _flat_twin(logs_pb2, logs_service_pb2, request=logs_service_pb2.ExportLogsServiceRequest)
"""The logs export request, its values scalars or arrays of scalars."""
FlatMetrics = _flat_twin(
    metrics_pb2, metrics_service_pb2, request=metrics_service_pb2.ExportMetricsServiceRequest
)
"""The metrics export request, its attribute values scalars or arrays of scalars."""

POINT_KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
"""The members of a metric's oneof; each has ``data_points``."""
# Stops at the points, which stay bytes: they can be counted before they are built.
_TO_POINTS = _request_of(
    "tachograph.points",
    {
        "Request": [("resource_metrics", 1, "ResourceMetrics*")],
        "ResourceMetrics": [("scope_metrics", 2, "ScopeMetrics*")],
        "ScopeMetrics": [("metrics", 2, "Metric*")],
        "Metric": [
            (name, number, "Data")
            for name, number in zip(POINT_KINDS, (5, 7, 9, 10, 11), strict=True)
        ],
        "Data": [("data_points", 1, "bytes*")],
    },
)


def points_of(metric: Any) -> int:
    """How many data points a metric has, in whichever schema."""
    return sum(len(getattr(metric, kind).data_points) for kind in POINT_KINDS)


def shallow_points(body: bytes) -> Iterator[int]:
    """How many data points a metrics body holds; nothing below them is built.

    Raises:
        DecodeError: the body is cut or garbled above the points.
    """
    yield sum(
        points_of(metric)
        for resource_metrics in _TO_POINTS.FromString(body).resource_metrics
        for scope_metrics in resource_metrics.scope_metrics
        for metric in scope_metrics.metrics
    )
