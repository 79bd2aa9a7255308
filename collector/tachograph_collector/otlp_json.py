"""OTLP in JSON, brought into the same canonical bytes as OTLP in protobuf.

Pattern: tables say which key feeds which field and how it is read; the result is nested keyword arguments, and
one call builds the flat message from them in C. A value that cannot be read raises with its place
(``resourceSpans[0].scopeSpans[0].spans[3].kind``), which is put together only on the way out.

OTLP's JSON is not quite protobuf's: ids are hex. And clients bend it: integers as numbers or strings, NaN as null,
empty values, halves of surrogate pairs. Unknown keys are ignored, as the specification says.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from tachograph_collector.canonical import CanonicalBody, checked, refuse_too_many
from tachograph_collector.errors import BadBodyError, TooLargeError
from tachograph_collector.json_reader import (
    Convert,
    Misfit,
    Table,
    each,
    enumeration,
    fixed64,
    hex_id,
    message,
    text,
    uint32,
)
from tachograph_collector.json_values import any_value
from tachograph_collector.otlp_schemas import FlatRequest

_MOST_BRACKETS = 2_000_000  # objects and arrays in one body; parsed, each takes up to 232 bytes
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def canonical_json(body: bytes) -> CanonicalBody:
    """Check one OTLP/JSON trace body and bring it into canonical form.

    Raises:
        BadBodyError: it is no OTLP trace export request; the message names the place.
        TooLargeError: it holds too many spans, objects or arrays.
    """
    request, mended = request_of(body, _request, FlatRequest)
    return replace(checked(request), mended=mended)


def request_of(body: bytes, read: Convert, schema: Any) -> tuple[Any, int]:
    """The message of class ``schema`` that ``read`` finds in a JSON body, and how many strings were mended.

    Raises:
        BadBodyError: it is no such message; the error names the place.
        TooLargeError: it holds too many objects or arrays.
    """
    given, mended = parsed(body)
    try:
        members = read(given)
    except Misfit as misfit:
        place = misfit.place or "the top level"
        raise BadBodyError(f"The JSON body is wrong at {place}: {misfit.problem}.") from misfit
    try:
        return schema(**members), mended
    except UnicodeEncodeError:
        members, count = _mended(members)
        return schema(**members), mended + count


def parsed(body: bytes) -> tuple[Any, int]:
    """A JSON body as plain data, and 1 when its UTF-8 had to be mended, else 0.

    Raises:
        BadBodyError: it is not JSON.
        TooLargeError: it holds too many objects and arrays.
    """
    if body.count(b"{") + body.count(b"[") > _MOST_BRACKETS:
        raise TooLargeError(
            f"The body holds more than {_MOST_BRACKETS} objects and arrays. Send smaller batches."
        )
    mended = 0
    try:
        decoded = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        decoded, mended = body.decode("utf-8-sig", errors="replace"), 1
    try:
        return json.loads(decoded), mended
    except RecursionError as error:
        raise BadBodyError("The JSON body is nested too deeply.") from error
    except ValueError as error:
        raise BadBodyError(f"The body is not JSON ({error}).") from error


def _mended(value: Any) -> tuple[Any, int]:
    """A copy of nested keyword arguments with U+FFFD for halves of surrogate pairs, and how many strings changed."""
    if isinstance(value, str):
        whole, count = _LONE_SURROGATE.subn("\ufffd", value)
        return whole, int(count > 0)
    if isinstance(value, dict):
        pairs = {key: _mended(item) for key, item in value.items()}
        return {k: item for k, (item, _) in pairs.items()}, sum(n for _, n in pairs.values())
    if isinstance(value, list):
        items = [_mended(item) for item in value]
        return [item for item, _ in items], sum(count for _, count in items)
    return value, 0


attributes_of = each(message({"key": ("key", text), "value": ("value", any_value)}))
ATTRIBUTES: Table = {
    "attributes": ("attributes", attributes_of),
    "droppedAttributesCount": ("dropped_attributes_count", uint32),
}
SCOPE: Table = {"name": ("name", text), "version": ("version", text)} | ATTRIBUTES
_EVENT: Table = {"timeUnixNano": ("time_unix_nano", fixed64), "name": ("name", text)} | ATTRIBUTES
_LINK: Table = {
    "traceId": ("trace_id", hex_id),
    "spanId": ("span_id", hex_id),
    "traceState": ("trace_state", text),
    "flags": ("flags", uint32),
} | ATTRIBUTES
_STATUS: Table = {
    "message": ("message", text),
    "code": ("code", enumeration("STATUS_CODE_", "UNSET", "OK", "ERROR")),
}
_SPAN: Table = {
    "traceId": ("trace_id", hex_id),
    "spanId": ("span_id", hex_id),
    "traceState": ("trace_state", text),
    "parentSpanId": ("parent_span_id", hex_id),
    "name": ("name", text),
    "kind": (
        "kind",
        enumeration(
            "SPAN_KIND_", "UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"
        ),
    ),
    "startTimeUnixNano": ("start_time_unix_nano", fixed64),
    "endTimeUnixNano": ("end_time_unix_nano", fixed64),
    "events": ("events", each(message(_EVENT))),
    "droppedEventsCount": ("dropped_events_count", uint32),
    "links": ("links", each(message(_LINK))),
    "droppedLinksCount": ("dropped_links_count", uint32),
    "status": ("status", message(_STATUS)),
    "flags": ("flags", uint32),
} | ATTRIBUTES


def _spans(value: Any) -> list[Any]:
    if type(value) is list:
        refuse_too_many(len(value))
    spans: list[Any] = each(message(_SPAN))(value)
    return spans


_SCOPE_SPANS: Table = {
    "scope": ("scope", message(SCOPE)),
    "spans": ("spans", _spans),
    "schemaUrl": ("schema_url", text),
}
_RESOURCE_SPANS: Table = {
    "resource": ("resource", message(ATTRIBUTES)),
    "scopeSpans": ("scope_spans", each(message(_SCOPE_SPANS))),
    "schemaUrl": ("schema_url", text),
}
_request = message({"resourceSpans": ("resource_spans", each(message(_RESOURCE_SPANS)))})
