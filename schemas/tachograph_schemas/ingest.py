"""The batch insert: what the loader sends to the engine, and how a batch is framed.

A batch is a sequence of length-delimited ``Envelope`` messages (``otlp_trace.proto``), each holding one
canonical OTLP body. The engine decodes it with the schema given inline, so there is no file to deploy
beside the server.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from importlib import resources

from clickhouse_connect.driver.client import Client

from tachograph_schemas import word_index
from tachograph_schemas.statements import statement

_PACKAGE = "tachograph_schemas"

_SCALAR = (
    "string_value Nullable(String), bool_value Nullable(Bool), "
    "int_value Nullable(Int64), double_value Nullable(Float64)"
)
_ATTRIBUTES = (
    f"Array(Tuple(key String, value Tuple({_SCALAR}, "
    f"array_value Tuple(values Array(Tuple({_SCALAR}))))))"
)
_SPANS = (
    "Array(Tuple(trace_id String, span_id String, trace_state String, parent_span_id String, "
    "name String, kind Int32, start_time_unix_nano UInt64, end_time_unix_nano UInt64, "
    f"attributes {_ATTRIBUTES}, dropped_attributes_count UInt32, "
    f"events Array(Tuple(time_unix_nano UInt64, name String, attributes {_ATTRIBUTES})), "
    f"links Array(Tuple(trace_id String, span_id String, attributes {_ATTRIBUTES})), "
    "status Tuple(message String, code Int32)))"
)
STRUCTURE = (
    "project String, log_offset UInt64, received_ns UInt64, "
    "request Tuple(resource_spans Array(Tuple("
    f"resource Tuple(attributes {_ATTRIBUTES}), "
    f"scope_spans Array(Tuple(scope Tuple(name String, version String), spans {_SPANS})))))"
)
"""The column types that ``otlp_trace.proto`` is read into; depth-limited, unlike protobuf itself."""


LARGE_RUN_SPANS = 2_000
"""Runs with more spans than this are not computed again for every batch that adds to them."""

RunKey = tuple[str, str]
"""Project and run id."""


def roll_up(
    client: Client,
    writer_id: int,
    batches: Collection[int],
    resting: Collection[RunKey] = (),
    rested: Collection[RunKey] = (),
) -> dict[RunKey, int]:
    """Compute the runs that batches touched, from all their spans; blocks until they are stored.

    Whether spans of these runs may show the same call is asked first: where none can, which is the usual
    case, the runs need only be summed up.

    Args:
        client: The engine.
        writer_id: Whose batches.
        batches: Their numbers.
        resting: Runs to pass over, though the batches touched them.
        rested: Runs to compute, though they did not.

    Returns:
        The large runs among them, and how many spans each has.
    """
    values = {
        "writer_id": writer_id,
        "batches": list(batches),
        "resting": list(resting),
        "rested": list(rested),
        "large_spans": LARGE_RUN_SPANS,
    }
    doubtful, large = client.query(statement("doubtful_runs"), parameters=values).result_rows[0]
    name = "rollup_runs" if doubtful else "rollup_plain_runs"
    client.command(statement(name), parameters=values)
    return {(project, run_id): spans for project, run_id, spans in large}


def growing_runs(
    client: Client, writer_id: int, batches: Collection[int], resting: Collection[RunKey]
) -> dict[RunKey, bool]:
    """Those of ``resting`` that batches touched, and whether they brought the end of the run."""
    values = {"writer_id": writer_id, "batches": list(batches), "resting": list(resting)}
    rows = client.query(statement("growing_runs"), parameters=values).result_rows
    return {(project, run_id): bool(is_over) for project, run_id, is_over in rows}


@cache
def proto(name: str) -> str:
    """The schema of a signal as it is handed to the engine: ``name``, and what all have in common."""
    package = resources.files(_PACKAGE)
    parts = (name, "otlp_common.proto")
    return "\n".join(package.joinpath(part).read_text(encoding="utf-8") for part in parts)


def insert_settings(proto_file: str = "otlp_trace.proto") -> dict[str, str | int]:
    """Settings of the batch insert: inline schema, one block, one part, answered when stored."""
    return {
        "format_schema_source": "string",
        "format_schema": proto(proto_file),
        "format_schema_message_name": "Envelope",
        "async_insert": 0,
        # A join that finds nothing must give defaults, whatever a server's profile says.
        "join_use_nulls": 0,
        "max_insert_threads": 1,
        "max_threads": 1,
        # Planning is the price of a small batch. The search for chains of comparisons more than doubles it and
        # finds none; merging the sections into one expression makes the engine compute shared parts again and
        # again (30 times slower on spans with flattened messages).
        "optimize_and_compare_chain": 0,
        "query_plan_merge_expressions": 0,
        # One block, so that the insert is one part and therefore atomic.
        "max_block_size": 1_000_000,
        "min_insert_block_size_rows": 2_000_000,
        "min_insert_block_size_bytes": 1 << 31,
        "max_insert_block_size": 2_000_000,
        **word_index.INSERT_SETTINGS,
    }


def varint(value: int) -> bytes:
    """A protobuf base-128 integer."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def frame(project: str, log_offset: int, received_ns: int, body: bytes) -> list[bytes]:
    """One length-delimited envelope around ``body``, as pieces to be written one after the other."""
    name = project.encode()
    head = b"".join(
        (
            b"\x0a" + varint(len(name)) + name,
            b"\x10" + varint(log_offset),
            b"\x18" + varint(received_ns),
            b"\x22" + varint(len(body)),
        )
    )
    return [varint(len(head) + len(body)), head, body]
