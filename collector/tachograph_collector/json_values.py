"""Attribute values of OTLP/JSON: scalars and flat arrays as they are, everything nested as JSON text."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable
from typing import Any

from tachograph_collector.canonical import nested_text, plain_double
from tachograph_collector.json_reader import (
    Convert,
    Misfit,
    each,
    inside,
    kind_of,
    number,
    text,
    truth,
)

_MOST_LEVELS = 64
_MOST_INT64 = 2**63


def _integer(value: Any) -> dict[str, Any]:
    found = number(value)
    if type(value) is float and value != found:
        raise Misfit("a whole number is expected")
    if -_MOST_INT64 <= found < _MOST_INT64:
        return {"int_value": found}
    # JavaScript takes 1e21 for an integer.
    return _double(found)


def _double(value: Any) -> dict[str, Any]:
    if value is None:
        # What JavaScript writes for NaN and the infinities.
        return {"double_value": math.nan}
    if type(value) not in {int, float, str}:
        raise Misfit(f"a number is expected, not {kind_of(value)}")
    try:
        # Text is how OTLP writes NaN and the infinities, and how some write every number.
        return {"double_value": float(value)}
    except OverflowError:
        return {"double_value": math.inf if value > 0 else -math.inf}
    except ValueError:
        raise Misfit("a number is expected, not this text") from None


_SCALARS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "stringValue": lambda value: {"string_value": text(value)},
    "intValue": _integer,
    "boolValue": lambda value: {"bool_value": truth(value)},
    "doubleValue": _double,
}


def _scalar(value: Any) -> dict[str, Any] | None:
    """Arguments of a scalar or empty value; ``None`` when it is nested or bytes."""
    if type(value) is not dict:
        raise Misfit(f"an object is expected, not {kind_of(value)}")
    for name, member in value.items():
        if name in _SCALARS and (member is not None or name == "doubleValue"):
            try:
                return _SCALARS[name](member)
            except Misfit as misfit:
                raise misfit.within(name) from None
        if name in _NESTED and member is not None:
            return None
    return {}


def any_value(value: Any) -> dict[str, Any]:
    """Arguments of a flat value.

    Raises:
        Misfit: it cannot be read, or is nested too deeply.
    """
    scalar = _scalar(value)
    if scalar is not None:
        return scalar
    array = value.get("arrayValue")
    if array is not None:
        items = inside("arrayValue", _array, array, _scalar)
        if None not in items:
            return {"array_value": {"values": items}}
    return {"string_value": nested_text(_plain(value))}


def _plain(value: Any, level: int = 0) -> Any:
    """A nested value as plain data that JSON can say: what :func:`canonical.plain_value` makes of protobuf."""
    if level > _MOST_LEVELS:
        raise Misfit(f"attribute values are nested more than {_MOST_LEVELS} levels deep")
    scalar = _scalar(value)
    if scalar is not None:
        if "double_value" in scalar:
            return plain_double(scalar["double_value"])
        return next(iter(scalar.values()), None)
    name = next(name for name in value if name in _NESTED and value[name] is not None)
    return inside(name, _NESTED[name], value[name], level + 1)


def _plain_array(value: Any, level: int) -> list[Any]:
    return _array(value, lambda item: _plain(item, level))


def _plain_map(value: Any, level: int) -> dict[str, Any]:
    def pair(item: Any) -> tuple[str, Any]:
        if type(item) is not dict:
            raise Misfit(f"an object is expected, not {kind_of(item)}")
        key, inner = item.get("key"), item.get("value")
        return (
            "" if key is None else inside("key", text, key),
            None if inner is None else inside("value", _plain, inner, level),
        )

    return dict(_array(value, pair))


def _plain_bytes(value: Any, level: int) -> str:
    given = text(value).replace("-", "+").replace("_", "/")
    try:
        raw = base64.b64decode(given + "=" * (-len(given) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Misfit("base64 is expected") from None
    return base64.b64encode(raw).decode()


_NESTED: dict[str, Callable[[Any, int], Any]] = {
    "arrayValue": _plain_array,
    "kvlistValue": _plain_map,
    "bytesValue": _plain_bytes,
}


def _array(value: Any, convert: Convert) -> list[Any]:
    """The items of ``{"values": [...]}``."""
    if type(value) is not dict:
        raise Misfit(f"an object is expected, not {kind_of(value)}")
    values = value.get("values")
    return [] if values is None else inside("values", each(convert), values)
