"""OTLP in JSON, brought into the same canonical bytes as OTLP in protobuf.

Pattern: tables say which key feeds which field and how it is read; the result is nested keyword arguments, and
one call builds the flat message from them in C. A value that cannot be read raises with its place
(``resourceSpans[0].scopeSpans[0].spans[3].kind``), which is put together only on the way out.

OTLP's JSON is not quite protobuf's: ids are hex. And clients bend it: integers as numbers or strings, NaN as null,
empty values, halves of surrogate pairs. Unknown keys are ignored, as the specification says.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable
from typing import Any

from tachograph_collector.canonical import (
    CanonicalBody,
    checked,
    nested_text,
    plain_double,
    refuse_too_many,
)
from tachograph_collector.errors import BadBodyError, TooLargeError
from tachograph_collector.otlp_schemas import FlatRequest

_MOST_BRACKETS = 2_000_000  # objects and arrays in one body; parsed, each takes up to 232 bytes
_MOST_LEVELS = 64  # of nested attribute values
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

_Convert = Callable[[Any], Any]
_Table = dict[str, tuple[str, _Convert]]


class _Misfit(Exception):
    """A value that cannot be read, and where it is, innermost place first."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.place = ""

    def within(self, outer: str) -> _Misfit:
        dot = "." if self.place and not self.place.startswith("[") else ""
        self.place = f"{outer}{dot}{self.place}"
        return self


def canonical_json(body: bytes) -> CanonicalBody:
    """Check one OTLP/JSON trace body and bring it into canonical form.

    Raises:
        BadBodyError: it is no OTLP trace export request; the message names the place.
        TooLargeError: it holds too many spans, objects or arrays.
    """
    given, mended = parsed(body)
    try:
        members = _request(given)
    except _Misfit as misfit:
        place = misfit.place or "the top level"
        raise BadBodyError(f"The JSON body is wrong at {place}: {misfit.problem}.") from misfit
    try:
        request = FlatRequest(**members)
    except UnicodeEncodeError:
        members, count = _mended(members)
        mended += count
        request = FlatRequest(**members)
    found = checked(request)
    return CanonicalBody(found.data, found.spans, found.rejected, mended)


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
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        text, mended = body.decode("utf-8-sig", errors="replace"), 1
    try:
        return json.loads(text), mended
    except RecursionError as error:
        raise BadBodyError("The JSON body is nested too deeply.") from error
    except ValueError as error:
        raise BadBodyError(f"The body is not JSON ({error}).") from error


def _mended(value: Any) -> tuple[Any, int]:
    """A copy of nested keyword arguments with U+FFFD for halves of surrogate pairs, and how many strings changed."""
    if isinstance(value, str):
        text, count = _LONE_SURROGATE.subn("\ufffd", value)
        return text, int(count > 0)
    if isinstance(value, dict):
        pairs = {key: _mended(item) for key, item in value.items()}
        return {k: item for k, (item, _) in pairs.items()}, sum(n for _, n in pairs.values())
    if isinstance(value, list):
        items = [_mended(item) for item in value]
        return [item for item, _ in items], sum(count for _, count in items)
    return value, 0


# --- scalars ---


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "text", bool: "a truth value"}
    return "null" if value is None else names.get(type(value), "a number")


def _text(value: Any) -> str:
    if type(value) is not str:
        raise _Misfit(f"text is expected, not {_kind(value)}")
    return value


def _hex(value: Any) -> bytes:
    try:
        return bytes.fromhex(_text(value))
    except ValueError:
        raise _Misfit("an id in hex is expected") from None


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise _Misfit(f"true or false is expected, not {_kind(value)}")
    return value


def _number(value: Any) -> int:
    """A whole number, given as one, as text, or as a float that lost its last digits on the way."""
    if type(value) is int:
        return value
    if type(value) is float and math.isfinite(value):
        return math.floor(value)
    if type(value) is str:
        digits = value.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) < 30:
            return int(value)
        raise _Misfit("a whole number is expected, not this text")
    raise _Misfit(f"a whole number is expected, not {_kind(value)}")


def _within(low: int, high: int) -> _Convert:
    def convert(value: Any) -> int:
        number = _number(value)
        if not low <= number <= high:
            raise _Misfit(f"the number is not from {low} to {high}")
        return number

    return convert


_uint32, _fixed64 = _within(0, 2**32 - 1), _within(0, 2**64 - 1)
_int32, _MOST_INT64 = _within(-(2**31), 2**31 - 1), 2**63


def _enumeration(prefix: str, *words: str) -> _Convert:
    """A number, or the name of one; names are as in the protobuf schema."""
    numbers = {prefix + word: number for number, word in enumerate(words)}

    def convert(value: Any) -> int:
        if type(value) is str and value in numbers:
            return numbers[value]
        number: int = _int32(value)
        return number

    return convert


# --- attribute values ---


def _integer(value: Any) -> dict[str, Any]:
    number = _number(value)
    if type(value) is float and value != number:
        raise _Misfit("a whole number is expected")
    if -_MOST_INT64 <= number < _MOST_INT64:
        return {"int_value": number}
    # JavaScript takes 1e21 for an integer.
    return {"double_value": float(number)}


def _double(value: Any) -> dict[str, Any]:
    if value is None:
        # What JavaScript writes for NaN and the infinities.
        return {"double_value": math.nan}
    if type(value) in {int, float} or value in {"NaN", "Infinity", "-Infinity"}:
        try:
            return {"double_value": float(value)}
        except OverflowError:
            return {"double_value": math.inf if value > 0 else -math.inf}
    try:
        # Some write every number as text, as they must for integers.
        number = float(value) if type(value) is str and value.isascii() else None
    except ValueError:
        number = None
    if number is None or not math.isfinite(number):
        raise _Misfit(f"a number is expected, not {_kind(value)}")
    return {"double_value": number}


_SCALARS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "stringValue": lambda value: {"string_value": _text(value)},
    "intValue": _integer,
    "boolValue": lambda value: {"bool_value": _bool(value)},
    "doubleValue": _double,
}


def _scalar(value: Any) -> dict[str, Any] | None:
    """Arguments of a scalar or empty value; ``None`` when it is nested or bytes."""
    if type(value) is not dict:
        raise _Misfit(f"an object is expected, not {_kind(value)}")
    for name, member in value.items():
        if name in _SCALARS and (member is not None or name == "doubleValue"):
            try:
                return _SCALARS[name](member)
            except _Misfit as misfit:
                raise misfit.within(name) from None
        if name in _NESTED and member is not None:
            return None
    return {}


def _any_value(value: Any) -> dict[str, Any]:
    scalar = _scalar(value)
    if scalar is not None:
        return scalar
    array = value.get("arrayValue")
    if array is not None:
        items = _inside("arrayValue", _array, array, _scalar)
        if None not in items:
            return {"array_value": {"values": items}}
    return {"string_value": nested_text(_plain(value))}


def _plain(value: Any, level: int = 0) -> Any:
    """A nested value as plain data that JSON can say: what :func:`canonical.plain_value` makes of protobuf."""
    if level > _MOST_LEVELS:
        raise _Misfit(f"attribute values are nested more than {_MOST_LEVELS} levels deep")
    scalar = _scalar(value)
    if scalar is not None:
        item = next(iter(scalar.values()), None)
        return plain_double(item) if "double_value" in scalar else item
    name = next(name for name in value if name in _NESTED and value[name] is not None)
    return _inside(name, _NESTED[name], value[name], level + 1)


def _plain_array(value: Any, level: int) -> list[Any]:
    return _array(value, lambda item: _plain(item, level))


def _plain_map(value: Any, level: int) -> dict[str, Any]:
    def pair(item: Any) -> tuple[str, Any]:
        if type(item) is not dict:
            raise _Misfit(f"an object is expected, not {_kind(item)}")
        key, inner = item.get("key"), item.get("value")
        return (
            "" if key is None else _inside("key", _text, key),
            None if inner is None else _inside("value", _plain, inner, level),
        )

    return dict(_array(value, pair))


def _plain_bytes(value: Any, level: int) -> str:
    text = _text(value).replace("-", "+").replace("_", "/")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise _Misfit("base64 is expected") from None
    return base64.b64encode(raw).decode()


_NESTED: dict[str, Callable[[Any, int], Any]] = {
    "arrayValue": _plain_array,
    "kvlistValue": _plain_map,
    "bytesValue": _plain_bytes,
}


def _array(value: Any, convert: _Convert) -> list[Any]:
    """The items of ``{"values": [...]}``."""
    if type(value) is not dict:
        raise _Misfit(f"an object is expected, not {_kind(value)}")
    values = value.get("values")
    return [] if values is None else _inside("values", _each(convert), values)


# --- messages ---


def _inside(name: str, convert: Callable[..., Any], *values: Any) -> Any:
    try:
        return convert(*values)
    except _Misfit as misfit:
        raise misfit.within(name) from None


def _each(convert: _Convert) -> _Convert:
    def convert_all(value: Any) -> list[Any]:
        if type(value) is not list:
            raise _Misfit(f"an array is expected, not {_kind(value)}")
        out: list[Any] = []
        try:
            for item in value:
                out.append(convert(item))  # noqa: PERF401  # its length tells where it failed
        except _Misfit as misfit:
            raise misfit.within(f"[{len(out)}]") from None
        return out

    return convert_all


def _message(table: _Table) -> _Convert:
    """Reads an object as keyword arguments; null is absent, unknown keys are ignored."""

    def convert(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise _Misfit(f"an object is expected, not {_kind(value)}")
        out: dict[str, Any] = {}
        name = ""
        try:
            for name, member in value.items():
                known = table.get(name)
                if known is not None and member is not None:
                    out[known[0]] = known[1](member)
        except _Misfit as misfit:
            raise misfit.within(name) from None
        return out

    return convert


_attributes = _each(_message({"key": ("key", _text), "value": ("value", _any_value)}))
_ATTRIBUTES: _Table = {
    "attributes": ("attributes", _attributes),
    "droppedAttributesCount": ("dropped_attributes_count", _uint32),
}
_SCOPE: _Table = {"name": ("name", _text), "version": ("version", _text)} | _ATTRIBUTES
_EVENT: _Table = {"timeUnixNano": ("time_unix_nano", _fixed64), "name": ("name", _text)} | _ATTRIBUTES
_LINK: _Table = {
    "traceId": ("trace_id", _hex),
    "spanId": ("span_id", _hex),
    "traceState": ("trace_state", _text),
    "flags": ("flags", _uint32),
} | _ATTRIBUTES
_STATUS: _Table = {
    "message": ("message", _text),
    "code": ("code", _enumeration("STATUS_CODE_", "UNSET", "OK", "ERROR")),
}
_SPAN: _Table = {
    "traceId": ("trace_id", _hex),
    "spanId": ("span_id", _hex),
    "traceState": ("trace_state", _text),
    "parentSpanId": ("parent_span_id", _hex),
    "name": ("name", _text),
    "kind": (
        "kind",
        _enumeration(
            "SPAN_KIND_", "UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"
        ),
    ),
    "startTimeUnixNano": ("start_time_unix_nano", _fixed64),
    "endTimeUnixNano": ("end_time_unix_nano", _fixed64),
    "events": ("events", _each(_message(_EVENT))),
    "droppedEventsCount": ("dropped_events_count", _uint32),
    "links": ("links", _each(_message(_LINK))),
    "droppedLinksCount": ("dropped_links_count", _uint32),
    "status": ("status", _message(_STATUS)),
    "flags": ("flags", _uint32),
} | _ATTRIBUTES


def _spans(value: Any) -> list[Any]:
    if type(value) is list:
        refuse_too_many(len(value))
    spans: list[Any] = _each(_message(_SPAN))(value)
    return spans


_SCOPE_SPANS: _Table = {
    "scope": ("scope", _message(_SCOPE)),
    "spans": ("spans", _spans),
    "schemaUrl": ("schema_url", _text),
}
_RESOURCE_SPANS: _Table = {
    "resource": ("resource", _message(_ATTRIBUTES)),
    "scopeSpans": ("scope_spans", _each(_message(_SCOPE_SPANS))),
    "schemaUrl": ("schema_url", _text),
}
_request = _message({"resourceSpans": ("resource_spans", _each(_message(_RESOURCE_SPANS)))})
