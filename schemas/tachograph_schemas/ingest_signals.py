"""The batch insert of each OTLP signal: table, schema, column types, and the statement around them.

Traces, logs and metrics take the same road (:mod:`.ingest`): framed canonical bodies, one insert a batch, decoded by
the engine. What differs between them is said here, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tachograph_schemas import ingest, names
from tachograph_schemas.ingest import _ATTRIBUTES
from tachograph_schemas.shapes import EVERYTHING, Shape
from tachograph_schemas.statements import statement

_ENVELOPE = "project String, log_offset UInt64, received_ns UInt64, request "
_RESOURCE = f"resource Tuple(attributes {_ATTRIBUTES})"
_SCOPE = "scope Tuple(name String, version String)"

_LOG_RECORDS = (
    "Array(Tuple(time_unix_nano UInt64, severity_number Int32, severity_text String, "
    f"body {_ATTRIBUTES.removeprefix('Array(Tuple(key String, value ').removesuffix('))')}, "
    f"attributes {_ATTRIBUTES}, dropped_attributes_count UInt32, flags UInt32, "
    "trace_id String, span_id String, observed_time_unix_nano UInt64, event_name String))"
)
_LOGS = (
    f"{_ENVELOPE}Tuple(resource_logs Array(Tuple({_RESOURCE}, "
    f"scope_logs Array(Tuple({_SCOPE}, log_records {_LOG_RECORDS})))))"
)

_TIMES = "start_time_unix_nano UInt64, time_unix_nano UInt64, flags UInt32"
_EXEMPLARS = (
    "exemplars Array(Tuple(time_unix_nano UInt64, as_double Nullable(Float64), "
    f"as_int Nullable(Int64), span_id String, trace_id String, filtered_attributes {_ATTRIBUTES}))"
)
_RANGE = "sum Nullable(Float64), min Nullable(Float64), max Nullable(Float64)"
_NUMBERS = (
    f"data_points Array(Tuple({_TIMES}, attributes {_ATTRIBUTES}, "
    f"as_double Nullable(Float64), as_int Nullable(Int64), {_EXEMPLARS}))"
)
_BUCKETS = "Tuple(offset Int32, bucket_counts Array(UInt64))"
_METRIC = (
    "Array(Tuple(name String, description String, unit String, "
    f"gauge Tuple({_NUMBERS}), "
    f"sum Tuple({_NUMBERS}, aggregation_temporality Int32, is_monotonic Bool), "
    f"histogram Tuple(data_points Array(Tuple({_TIMES}, attributes {_ATTRIBUTES}, count UInt64, "
    f"{_RANGE}, bucket_counts Array(UInt64), explicit_bounds Array(Float64), {_EXEMPLARS})), "
    "aggregation_temporality Int32), "
    f"exponential_histogram Tuple(data_points Array(Tuple({_TIMES}, attributes {_ATTRIBUTES}, "
    f"count UInt64, {_RANGE}, scale Int32, zero_count UInt64, zero_threshold Float64, "
    f"positive {_BUCKETS}, negative {_BUCKETS}, {_EXEMPLARS})), aggregation_temporality Int32), "
    f"summary Tuple(data_points Array(Tuple({_TIMES}, attributes {_ATTRIBUTES}, count UInt64, "
    "sum Float64, quantile_values Array(Tuple(quantile Float64, value Float64)))))))"
)
_METRICS = (
    f"{_ENVELOPE}Tuple(resource_metrics Array(Tuple({_RESOURCE}, "
    f"scope_metrics Array(Tuple({_SCOPE}, metrics {_METRIC})))))"
)


@dataclass(frozen=True, slots=True)
class SignalTable:
    """How one signal is stored."""

    signal: names.Signal
    table: str
    """What the loader inserts into; holds ``writer_id``, ``batch``, ``log_offset`` and ``received_at``."""
    statement: str
    """The name of its insert in ``loader/``."""
    proto_file: str
    structure: str
    """The column types that the schema is read into."""

    def from_file(self, name: str, path: str, shape: Shape = EVERYTHING) -> str:
        """A statement of ``loader/`` over the batch in the file ``path`` of an engine in this process."""
        quoted = path.replace("\\", "\\\\").replace("'", "\\'")
        source = f"file('{quoted}', 'Protobuf', '{self.structure}')"
        return statement(name, shape).replace("${source}", source)

    def from_body(self, name: str, shape: Shape = EVERYTHING) -> str:
        """A statement of ``loader/`` for a server: the batch follows as the request body."""
        text = statement(name, shape).replace("${source}", f"input('{self.structure}')")
        return text + "\nFORMAT Protobuf"

    def insert_from_file(self, path: str, shape: Shape = EVERYTHING) -> str:
        """The insert of a batch; it refuses what ``shape`` does not hold (:mod:`.shapes`)."""
        return self.from_file(self.statement, path, shape)

    def insert_from_body(self, shape: Shape = EVERYTHING) -> str:
        """The same for a server."""
        return self.from_body(self.statement, shape)

    def insert_settings(self) -> dict[str, str | int]:
        """Settings of the insert; see :func:`.ingest.insert_settings`."""
        return ingest.insert_settings(self.proto_file)


TABLES: Mapping[names.Signal, SignalTable] = {
    table.signal: table
    for table in (
        SignalTable(
            "traces", names.TABLE_SPAN_ROWS, "insert_spans", "otlp_trace.proto", ingest.STRUCTURE
        ),
        SignalTable("logs", names.TABLE_LOG_ROWS, "insert_logs", "otlp_logs.proto", _LOGS),
        SignalTable(
            "metrics", names.TABLE_METRIC_ROWS, "insert_metrics", "otlp_metrics.proto", _METRICS
        ),
    )
}
"""Every signal that is stored, by its name."""
