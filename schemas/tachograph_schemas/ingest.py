"""The batch insert: what the loader sends to the engine, and how a batch is framed.

A batch is a sequence of length-delimited ``Envelope`` messages (``otlp_trace.proto``), each holding one
canonical OTLP body. The engine decodes it with the schema given inline, so there is no file to deploy
beside the server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

from clickhouse_connect.driver.client import Client

from tachograph_schemas import kinds, sources

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


def _text_of(value: str) -> str:
    """SQL for a scalar value as text; null when none of its members is set."""
    return (
        f"coalesce({value}.string_value, toString({value}.int_value), "
        f"toString({value}.double_value), toString({value}.bool_value))"
    )


def _map_of(attributes: str) -> str:
    """SQL for an attribute list as a map of text; arrays become JSON."""
    items = (
        "arrayMap(i -> if(isNotNull(i.string_value), toJSONString(i.string_value), "
        f"ifNull({_text_of('i')}, 'null')), a.value.array_value.values)"
    )
    # Without a scalar the value is an array or absent; the wire does not tell an empty array from none.
    array = (
        "if(empty(a.value.array_value.values), '', "
        f"concat('[', arrayStringConcat({items}, ','), ']'))"
    )
    pairs = f"arrayMap(a -> (a.key, coalesce({_text_of('a.value')}, {array})), {attributes})"
    return f"CAST({pairs}, 'Map(LowCardinality(String), String)')"


def _looked_up(value: str, table: Mapping[str, int | str]) -> str:
    """SQL for the entry of ``value`` in a table; 0 or empty text when it has none."""
    keys = ", ".join(_quoted(key) for key in table)
    entries = ", ".join(_quoted(e) if isinstance(e, str) else str(e) for e in table.values())
    absent = "''" if isinstance(next(iter(table.values())), str) else "0"
    found = f"transform({value}, [{keys}], [{entries}], {absent})"
    return found if absent == "''" else f"toUInt16({found})"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _macro(name: str, argument: str) -> str:
    """What stands for ``${name:argument}`` in a statement."""
    if name == "map":
        return _map_of(argument)
    if name == "said":
        return f"said[{sources.field_number(argument)}]"
    if name == "number":
        return str(sources.field_number(argument))
    tables: dict[str, Mapping[str, int | str]] = {
        "field_code": sources.field_codes(),
        "kind_rank": {attribute: rank for rank, attribute in enumerate(kinds.KINDS, start=1)},
        "kind": kinds.kind_layers(),
        "usage_code": sources.usage_codes(),
    }
    return _looked_up(argument, tables[name])


@cache
def statement(name: str) -> str:
    """A statement of ``loader/``, its macros filled in; the parameters are still to be bound.

    ``${fragment}`` is the file ``_fragment.sql``, ``${macro:argument}`` is made from :mod:`.sources`.
    """
    folder = resources.files(_PACKAGE).joinpath("loader")
    text = folder.joinpath(f"{name}.sql").read_text(encoding="utf-8")
    while fragments := re.findall(r"\$\{(\w+)\}", text.replace("${source}", "")):
        for fragment in set(fragments):
            text = text.replace(f"${{{fragment}}}", _fragment(fragment))
    return re.sub(r"\$\{(\w+):([^}]+)\}", lambda match: _macro(*match.groups()), text)


def _fragment(name: str) -> str:
    if name == "tag_lists":
        return ", ".join(_quoted(attribute) for attribute in sources.TAG_LISTS)
    if name == "first_payload_code":
        return str(sources.field_codes()["langfuse.observation.cost_details"])
    folder = resources.files(_PACKAGE).joinpath("loader")
    return folder.joinpath(f"_{name}.sql").read_text(encoding="utf-8").rstrip().rstrip(",")


def roll_up(client: Client, writer_id: int, batch: int) -> None:
    """Compute the runs that a batch touched, from all their spans; blocks until they are stored.

    Whether spans of these runs may show the same call is asked first: where none can, which is the usual
    case, the runs need only be summed up.
    """
    values = {"writer_id": writer_id, "batch": batch}
    doubtful = client.query(statement("doubtful_runs"), parameters=values).result_rows[0][0]
    name = "rollup_runs" if doubtful else "rollup_plain_runs"
    client.command(statement(name), parameters=values)


@cache
def proto() -> str:
    """The schema handed to the engine."""
    return resources.files(_PACKAGE).joinpath("otlp_trace.proto").read_text(encoding="utf-8")


def insert_from_file(path: str) -> str:
    """The insert for an engine in this process, which reads the batch from ``path``."""
    quoted = path.replace("\\", "\\\\").replace("'", "\\'")
    return statement("insert_spans").replace(
        "${source}", f"file('{quoted}', 'Protobuf', '{STRUCTURE}')"
    )


def insert_from_body() -> str:
    """The insert for a server: the batch follows as the request body."""
    insert = statement("insert_spans").replace("${source}", f"input('{STRUCTURE}')")
    return insert + "\nFORMAT Protobuf"


def insert_settings() -> dict[str, str | int]:
    """Settings of the batch insert: inline schema, one block, one part, answered when stored."""
    return {
        "format_schema_source": "string",
        "format_schema": proto(),
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
