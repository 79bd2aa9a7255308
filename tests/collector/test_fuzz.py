"""Hostile bodies: refused with a reason, or stored exactly as protobuf reads them. Never a crash, never a wrong row.

The same seeds every time; ``TEST_FUZZ_BODIES`` sets how many bodies (a long run: 1000000), ``TEST_FUZZ_SEED`` where
they begin. The rows come from the real insert into the real engine.
"""

from __future__ import annotations

import base64
import json
import math
import os
import random
import time
from collections import defaultdict
from decimal import Decimal

import pytest
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otlp_mutations import json_body, protobuf_body
from tachograph_collector import utf8
from tachograph_collector.canonical import canonical
from tachograph_collector.errors import BodyError
from tachograph_collector.otlp_json import canonical_json
from tachograph_schemas import ingest
from tachograph_schemas.ingest_signals import TABLES

BODIES = int(os.environ.get("TEST_FUZZ_BODIES", "3000"))
SEED = int(os.environ.get("TEST_FUZZ_SEED", "1"))
BATCH = 500
SLOWEST_S = 5.0  # of the processor: others may have it meanwhile

# --- what protobuf says ---


def reference(body: bytes) -> ExportTraceServiceRequest:
    """The body as the official schema reads it, broken text mended."""
    try:
        return ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        return ExportTraceServiceRequest.FromString(utf8.mended(body)[0])


def double_text(number: float) -> str:
    """A double as the engine writes it: shortest digits, positional up to 21 of them."""
    if not math.isfinite(number):
        return str(number)
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    text, minus = "".join(map(str, digits)), "-" * sign
    point = len(text) + exponent
    if number == 0:
        return minus + "0"
    if -6 < point <= 0:
        return f"{minus}0.{'0' * -point}{text}"
    if 0 < point <= 21:
        whole, rest = text[:point].ljust(point, "0"), text[point:]
        return minus + whole + (f".{rest}" if rest else "")
    return f"{minus}{text[0]}{'.' + text[1:] if text[1:] else ''}e{point - 1}"


def scalar_text(item) -> str | None:
    which = item.WhichOneof("value")
    if which == "double_value":
        return double_text(item.double_value)
    if which == "bool_value":
        return "true" if item.bool_value else "false"
    return str(item.int_value) if which == "int_value" else None


def plain(item):
    """A nested value as JSON has it."""
    which = item.WhichOneof("value")
    if which == "kvlist_value":
        return {pair.key: plain(pair.value) for pair in item.kvlist_value.values}
    if which == "array_value":
        return [plain(child) for child in item.array_value.values]
    if which == "bytes_value":
        return base64.b64encode(item.bytes_value).decode()
    if which == "double_value" and not math.isfinite(item.double_value):
        words = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
        return words[str(item.double_value)]
    return getattr(item, which) if which in {*SCALARS} else None


SCALARS = ("string_value", "bool_value", "int_value", "double_value")


def value_text(item) -> str:
    """An attribute value as text; nested ones are marked, to be compared as JSON."""
    which = item.WhichOneof("value")
    if which == "string_value":
        return item.string_value
    if which == "array_value":
        items = item.array_value.values
        if all(
            child.WhichOneof("value") in {*SCALARS, None, "string_value_strindex"}
            for child in items
        ):
            return f"[{','.join(map(item_text, items))}]" if items else ""
    if which in {"kvlist_value", "array_value", "bytes_value"}:
        return json.dumps(plain(item), ensure_ascii=False)
    return scalar_text(item) or ""


# How the engine writes text as JSON.
ESCAPES = {code: f"\\u{code:04X}" for code in [*range(32), 0x2028, 0x2029]} | {
    ord(char): f"\\{short}" for char, short in zip('\b\f\n\r\t"\\/', 'bfnrt"\\/', strict=True)
}


def item_text(item) -> str:
    if item.WhichOneof("value") == "string_value":
        return f'"{item.string_value.translate(ESCAPES)}"'
    return scalar_text(item) or "null"


def pairs_of(attributes) -> list[tuple[str, str]]:
    return [(item.key, value_text(item.value)) for item in attributes]


def expected_rows(request) -> dict[tuple[str, str], list[tuple]]:
    rows = defaultdict(list)
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                trace, own = span.trace_id, span.span_id
                if len(trace) == 16 and len(own) == 8 and any(trace) and any(own):
                    rows[trace.hex(), own.hex()].append(row_of(resource_spans, scope_spans, span))
    return rows


def row_of(resource_spans, scope_spans, span) -> tuple:
    return (
        span.parent_span_id.hex(),
        span.trace_state,
        span.name,
        span.kind if 0 <= span.kind <= 5 else 0,
        min(span.start_time_unix_nano, 2**63 - 1),
        scope_spans.scope.name,
        span.dropped_attributes_count,
        pairs_of(span.attributes),
        pairs_of(resource_spans.resource.attributes),
        [event.name for event in span.events],
        [pairs_of(event.attributes) for event in span.events],
        [link.span_id.hex() for link in span.links],
    )


# --- what the engine stored ---

MAP = "arrayZip(mapKeys({0}), mapValues({0}))"
ROWS = f"""
SELECT project, trace_id, span_id, parent_span_id, trace_state, name, toInt8(kind), toUnixTimestamp64Nano(start_time),
    scope, dropped_attributes, {MAP.format("attributes")}, {MAP.format("resource")}, events.name,
    arrayMap(m -> {MAP.format("m")}, events.attributes), links.span_id
FROM span_rows WHERE batch = {{batch:UInt64}}
"""


class Engine:
    """Stores bodies as the loader does, and compares every row with what protobuf says."""

    def __init__(self, client, path):
        self._client, self._path, self._batch = client, path, 0
        self.rows = 0

    def check(self, bodies: list[tuple[bytes, ExportTraceServiceRequest]]) -> None:
        self._batch += 1
        with self._path.open("wb") as file:
            for number, (body, _) in enumerate(bodies):
                # A project of its own, so that equal ids of different bodies do not replace each other.
                file.writelines(ingest.frame(str(number), number, time.time_ns(), body))
        self._client.command(
            TABLES["traces"].insert_from_file(str(self._path)),
            parameters={"writer_id": 1, "batch": self._batch},
            settings=ingest.insert_settings(),
        )
        found = defaultdict(dict)
        rows = self._client.query(ROWS, parameters={"batch": self._batch}).result_rows
        for project, trace, own, *row in rows:
            found[int(project)].setdefault((trace, own), []).append(listed(row))
        for number, (body, request) in enumerate(bodies):
            wanted = expected_rows(request)
            got = found.get(number, {})
            assert got.keys() == wanted.keys(), body
            for key, stored in got.items():
                candidates = [listed(row) for row in wanted[key]]
                for row in stored:
                    assert row in candidates, (body, row, candidates)
        self.rows += len(rows)


def listed(node):
    """Tuples as lists, so that what the client gives compares with what the test made."""
    return [listed(item) for item in node] if isinstance(node, list | tuple) else node


@pytest.mark.parametrize(
    ("make", "take"),
    [(protobuf_body, canonical), (json_body, canonical_json)],
    ids=["protobuf", "json"],
)
def test_hostile_bodies_are_refused_or_stored_as_protobuf_reads_them(client, tmp_path, make, take):
    engine = Engine(client, tmp_path / "batch.pb")
    accepted: list[tuple[bytes, ExportTraceServiceRequest]] = []
    refused = 0
    for seed in range(SEED, SEED + BODIES):
        body = make(random.Random(seed))
        started = time.thread_time()
        try:
            found = take(body)
        except BodyError:
            refused += 1
            continue
        finally:
            assert time.thread_time() - started < SLOWEST_S, seed
        if found.spans:
            # JSON has no other reader of our dialect here: its law against protobuf is test_otlp_json.
            accepted.append((found.data, reference(body if take is canonical else found.data)))
        if len(accepted) == BATCH:
            engine.check(accepted)
            accepted.clear()
    if accepted:
        engine.check(accepted)
    assert engine.rows > BODIES // 4
    assert refused > BODIES // 50
