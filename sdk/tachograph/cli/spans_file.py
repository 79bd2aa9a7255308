"""The spans of a run in a ``.tacho`` file: lines of OTLP/JSON, so that the run has its page on the other machine too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tachograph.cli.connection import reading
from tachograph.cli.problem import ANSWER_IS_NO, Problem
from tachograph_schemas import names, tapes

if TYPE_CHECKING:
    from tachograph_schemas.rows import SpanRow

_LINE_BYTES = 1 << 20
"""About so much in a line: each is one request to a collector."""
_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATES = ("unset", "ok", "error")


def spans_of(run_id: str) -> tuple[bytes, int]:
    """The stored spans of a run as a member of a file, masked by the rules of today, and how many they are.

    Raises:
        Problem: the storage cannot be reached.
    """
    from tachograph_schemas import queries

    lines: list[bytes] = []
    mask, count, taken, size = _mask(), 0, [], 0
    with reading() as client:
        for row in queries.export(client, run_id):
            made = _resource_spans(row, mask)
            taken.append(made)
            size += len(json.dumps(made))
            count += 1
            if size > _LINE_BYTES:
                lines.append(_line(taken))
                taken, size = [], 0
    if taken:
        lines.append(_line(taken))
    return b"".join(lines), count


def is_known(run_id: str) -> bool:
    """Whether the storage has spans of the run.

    Raises:
        Problem: it cannot be reached.
    """
    from tachograph_schemas import queries

    with reading() as client:
        return queries.run(client, run_id) is not None


def requests_in(member: bytes, run_id: str) -> Iterator[tuple[dict[str, Any], int]]:
    """Requests for a collector, and how many spans each has. A file may come from a stranger: it speaks of its run alone.

    Raises:
        Problem: it is malformed, or has a span of another run.
    """
    try:
        for body in tapes.span_requests(member):
            spans = [s for r in body["resourceSpans"] for g in r["scopeSpans"] for s in g["spans"]]
            # To the letter: of a value that is several things at once, the collector might read another.
            if any(_run_ids(span) != [{"stringValue": run_id}] for span in spans):
                raise Problem(
                    "It has spans of another run than its recording: they are not imported.",
                    code=ANSWER_IS_NO,
                )
            yield {"resourceSpans": body["resourceSpans"]}, len(spans)
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError) as error:
        raise Problem("Its spans are damaged.", code=ANSWER_IS_NO) from error


def _run_ids(span: Mapping[str, Any]) -> list[Any]:
    return [
        attribute["value"] for attribute in span["attributes"] if attribute["key"] == names.RUN_ID
    ]


def _mask() -> Any:
    from tachograph import _masks

    _masks.prepare()
    redactor = _masks.redactor()
    return lambda key, text: redactor.redact(key, text)[0]


def _line(taken: list[dict[str, Any]]) -> bytes:
    return json.dumps({"resourceSpans": taken}, separators=(",", ":")).encode() + b"\n"


def _resource_spans(row: SpanRow, mask: Any) -> dict[str, Any]:
    scope = {"name": row.scope, "version": row.scope_version}
    return {
        "resource": {"attributes": _attributes(row.resource, mask)},
        "scopeSpans": [{"scope": scope, "spans": [_span(row, mask)]}],
    }


def _span(row: SpanRow, mask: Any) -> dict[str, Any]:
    end_ns = 0 if row.is_open else row.start_ns + row.duration_ns
    status = {
        "code": _STATES.index(row.status),
        "message": mask("status.message", row.status_message),
    }
    return {
        "traceId": row.trace_id,
        "spanId": row.span_id,
        "parentSpanId": row.parent_span_id,
        "name": mask("name", row.name),
        "kind": _KINDS.index(row.kind),
        "startTimeUnixNano": str(row.start_ns),
        "endTimeUnixNano": str(end_ns),
        # Which run it is of may have been known by its trace alone.
        "attributes": _attributes({**row.attributes, names.RUN_ID: row.run_id}, mask),
        "events": [
            {
                "timeUnixNano": str(at_ns),
                "name": mask("event", name),
                "attributes": _attributes(given, mask),
            }
            for at_ns, name, given in row.events
        ],
        "links": [
            {"traceId": trace, "spanId": span, "attributes": _attributes(given, mask)}
            for trace, span, given in row.links
        ],
        "status": status,
        "droppedAttributesCount": row.dropped_attributes,
    }


def _attributes(given: Mapping[str, str], mask: Any) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": mask(key, text)}} for key, text in given.items()]
