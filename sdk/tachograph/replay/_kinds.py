"""The kinds of values that tapes know beyond plain JSON. Importing this registers them."""

from __future__ import annotations

import base64
import dataclasses
import enum
import inspect
import re
import sys
import types
import uuid
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath
from typing import Any
from zoneinfo import ZoneInfo

from tachograph.replay._codec import (
    CodecError,
    Kind,
    Reader,
    Writer,
    dumps,
    register,
    register_type,
)
from tachograph.replay._types import is_of_the_program, type_id

_ATTRS = "__attrs_attrs__"
_HIGHEST_INT_DIGITS = 1 << 20
_FRACTION = re.compile(r"-?\d{1,4000}(/\d{1,4000})?")


def _text(name: str, cls: type, write: Callable[[Any], str], read: Callable[[str], Any]) -> None:
    register(
        Kind(
            name,
            lambda value, _: {"v": write(value)},
            lambda fields, _: read(str(fields["v"])),
        ),
        cls,
    )


def _big_int(fields: dict[str, Any], _: Reader) -> int:
    if len(fields["v"]) > _HIGHEST_INT_DIGITS:
        raise CodecError("an integer is too long")
    return int(fields["v"], 16)


def _fraction(text: str) -> Fraction:
    # Fraction itself would also take 1e999999999, and fill the memory with it.
    if _FRACTION.fullmatch(text) is None:
        raise CodecError("it is no fraction")
    return Fraction(text)


def _items(value: Any, writer: Writer) -> dict[str, Any]:
    return {"v": [writer.write(item) for item in value]}


def _sorted_items(value: Any, writer: Writer) -> dict[str, Any]:
    trees = [writer.write(item) for item in value]
    return {"v": sorted(trees, key=lambda tree: dumps(tree)[0])}


def _unreadable(fields: dict[str, Any], _: Reader) -> Any:
    raise CodecError(
        f"a {fields.get('t')} could not be recorded; tachograph.replay.codec says how to write one"
    )


def _decode_bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _encode_bytes(value: bytes | bytearray) -> str:
    return base64.b64encode(value).decode("ascii")


def _register_builtins() -> None:
    register(Kind("int", lambda _v, _w: None, _big_int))
    _text("float", float, repr, float)
    register(Kind("dict", lambda _v, _w: None, lambda f, r: dict(r.pairs(f["v"]))))
    register(Kind("opaque", lambda _v, _w: None, _unreadable))
    register(Kind("tuple", _items, lambda f, r: tuple(r.items(f["v"]))), tuple)
    register(Kind("set", _sorted_items, lambda f, r: set(r.items(f["v"]))), set)
    register(Kind("frozenset", _sorted_items, lambda f, r: frozenset(r.items(f["v"]))), frozenset)
    _text("bytes", bytes, _encode_bytes, _decode_bytes)
    _text("bytearray", bytearray, _encode_bytes, lambda text: bytearray(_decode_bytes(text)))
    _text("complex", complex, repr, complex)
    _text("decimal", Decimal, str, Decimal)
    _text("fraction", Fraction, str, _fraction)
    _text("uuid", uuid.UUID, str, uuid.UUID)
    _text("date", date, date.isoformat, date.fromisoformat)
    register(
        Kind(
            "timedelta",
            lambda v, _: {"v": [v.days, v.seconds, v.microseconds]},
            lambda f, _: timedelta(*map(int, f["v"])),
        ),
        timedelta,
    )
    register(
        Kind(
            "timezone",
            _write_timezone,
            lambda f, r: timezone(r.read(f["v"]), *(f[key] for key in ("n",) if key in f)),
        ),
        timezone,
    )
    _text("zone", ZoneInfo, str, ZoneInfo)
    register(Kind("datetime", _write_datetime, _read_datetime), datetime)
    register(Kind("time", _write_time, _read_time), time)


def _write_timezone(value: timezone, writer: Writer) -> dict[str, Any]:
    offset = value.utcoffset(None)
    fields = {"v": writer.write(offset)}
    name = value.tzname(None)
    return fields if name == timezone(offset).tzname(None) else {**fields, "n": name}


def _write_datetime(value: datetime, writer: Writer) -> dict[str, Any]:
    fields = [
        *(value.year, value.month, value.day),
        *(value.hour, value.minute, value.second, value.microsecond),
    ]
    return {"v": fields, "z": writer.write(value.tzinfo), "f": value.fold}


def _read_datetime(fields: dict[str, Any], reader: Reader) -> datetime:
    year, month, day, hour, minute, second, microsecond = map(int, fields["v"])
    zone, fold = reader.read(fields["z"]), int(fields["f"])
    return datetime(year, month, day, hour, minute, second, microsecond, zone, fold=fold)


def _write_time(value: time, writer: Writer) -> dict[str, Any]:
    fields = [value.hour, value.minute, value.second, value.microsecond]
    return {"v": fields, "z": writer.write(value.tzinfo), "f": value.fold}


def _read_time(fields: dict[str, Any], reader: Reader) -> time:
    hour, minute, second, microsecond = map(int, fields["v"])
    zone, fold = reader.read(fields["z"]), int(fields["f"])
    return time(hour, minute, second, microsecond, zone, fold=fold)


# --- classes of the program: named, never brought along ------------------------------------------


def _named(value: Any) -> str:
    return type_id(type(value))


def _write_enum(value: enum.Enum, _: Writer) -> dict[str, Any]:
    if isinstance(value, enum.Flag) and value.name not in type(value).__members__:
        return {"t": _named(value), "i": int(value.value)}
    return {"t": _named(value), "n": value.name}


def _read_enum(fields: dict[str, Any], reader: Reader) -> Any:
    cls = reader.typed(fields, enum.Enum)
    if "i" not in fields:
        return cls.__members__[fields["n"]]  # type: ignore[attr-defined]  # an Enum, just checked
    missing = getattr(getattr(cls, "_missing_", None), "__func__", None)
    if not issubclass(cls, enum.Flag) or missing is not vars(enum.Flag)["_missing_"].__func__:
        raise CodecError(f"members of {fields['t']} are not made of others")
    return cls(int(fields["i"]))


def _write_dataclass(value: Any, writer: Writer) -> dict[str, Any]:
    held = {name: _field(value, name, writer) for name in _fields_of(type(value))}
    return {"t": _named(value), "v": held}


def _has_fields(cls: type) -> bool:
    return dataclasses.is_dataclass(cls) or (hasattr(cls, _ATTRS) and is_of_the_program(cls))


def _fields_of(cls: Any) -> list[str]:
    """Of a dataclass, or of a class of the attrs library."""
    fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else getattr(cls, _ATTRS)
    return [field.name for field in fields]


def _field(value: Any, name: str, writer: Writer) -> Any:
    """What a field holds, without running code for it: with some libraries, a look fetches rows."""
    held = getattr(value, "__dict__", {})
    if name in held:
        return writer.write(held[name])
    if _is_slot(type(value), name):
        return writer.write(object.__getattribute__(value, name))
    default = inspect.getattr_static(type(value), name, None)
    return writer.unknown(value) if hasattr(default, "__get__") else writer.write(default)


def _read_dataclass(fields: dict[str, Any], reader: Reader) -> Any:
    cls = reader.typed(fields)
    if not _has_fields(cls):
        raise CodecError(f"{fields['t']} is no dataclass any more")
    known = set(_fields_of(cls))
    if set(fields["v"]) != known:
        changed = sorted(set(fields["v"]) ^ known)
        raise CodecError(f"the fields of {fields['t']} have changed: {', '.join(changed)}")
    made: Any = object.__new__(cls)
    for name, tree in fields["v"].items():
        if hasattr(inspect.getattr_static(cls, name, None), "__set__") and not _is_slot(cls, name):
            raise CodecError(f"{fields['t']}.{name} is set by code of its own")
        object.__setattr__(made, name, reader.read(tree))
    return made


def _is_slot(cls: type, name: str) -> bool:
    return isinstance(inspect.getattr_static(cls, name, None), types.MemberDescriptorType)


def _is_named_tuple(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(type(value), "_fields")


def _read_named_tuple(fields: dict[str, Any], reader: Reader) -> Any:
    cls = reader.typed(fields, tuple)
    if len(getattr(cls, "_fields", ())) != len(fields["v"]):
        raise CodecError(f"the fields of {fields['t']} have changed")
    return tuple.__new__(cls, reader.items(fields["v"]))


def _write_path(value: PurePath, _: Writer) -> dict[str, Any] | None:
    cls = type(value)
    return {"t": cls.__name__, "v": str(value)} if cls.__module__.startswith("pathlib") else None


def _read_path(fields: dict[str, Any], _: Reader) -> PurePath:
    import pathlib

    cls = getattr(pathlib, str(fields["t"]), None)
    if not (isinstance(cls, type) and issubclass(cls, PurePath)):
        raise CodecError(f"{fields['t']} is no kind of path")
    return cls(str(fields["v"]))


# --- ordinary objects, for the receiver and the arguments of a run --------------------------------


def _is_ordinary(value: Any) -> bool:
    cls = type(value)
    if isinstance(value, (type, types.ModuleType, types.FunctionType, types.MethodType)):
        return False
    return hasattr(value, "__dict__") and _is_made_by_object(cls) and cls is not object


def _is_made_by_object(cls: type) -> bool:
    return getattr(cls, "__new__", None) == object.__new__


def _write_object(value: Any, writer: Writer) -> dict[str, Any] | None:
    if not writer.objects or not is_of_the_program(type(value)):
        return None
    held = {name: writer.write(item) for name, item in vars(value).items()}
    return {"t": _named(value), "v": held}


def _read_object(fields: dict[str, Any], reader: Reader) -> Any:
    cls = reader.typed(fields)
    if not is_of_the_program(cls):
        raise CodecError(f"{fields['t']} is no class of the program itself")
    if not _is_made_by_object(cls):
        raise CodecError(f"{fields['t']} cannot be made without its constructor")
    made: Any = object.__new__(cls)
    for name, tree in fields["v"].items():
        try:
            vars(made)[name] = reader.read(tree)
        except CodecError:
            # What was not recorded is missing, and says so where it is used.
            continue
    return made


_CLIENTS = {
    ("anthropic", "Anthropic"),
    ("anthropic", "AsyncAnthropic"),
    ("openai", "OpenAI"),
    ("openai", "AsyncOpenAI"),
}


def _is_client(value: Any) -> bool:
    cls = type(value)
    return (cls.__module__.partition(".")[0], cls.__name__) in _CLIENTS


def _write_client(value: Any, _: Writer) -> dict[str, Any]:
    cls = type(value)
    return {
        "t": f"{cls.__module__.partition('.')[0]}:{cls.__name__}",
        "url": str(value.base_url),
        "retries": int(value.max_retries),
    }


def _read_client(fields: dict[str, Any], _: Reader) -> Any:
    module, name = str(fields["t"]).split(":", 1)
    if (module, name) not in _CLIENTS or module not in sys.modules:
        raise CodecError(f"the client {fields['t']} is not loaded in this program")
    # Its requests are answered from the tape: no key of anybody's is needed, and none was recorded.
    cls = getattr(sys.modules[module], name)
    return cls(api_key="replay", base_url=fields["url"], max_retries=int(fields["retries"]))


def _register_classes() -> None:
    named_tuple = Kind(
        "namedtuple", lambda v, w: {"t": _named(v), **_items(v, w)}, _read_named_tuple
    )
    register(named_tuple, test=_is_named_tuple)
    register(Kind("enum", _write_enum, _read_enum), test=lambda v: isinstance(v, enum.Enum))
    register(
        Kind("dataclass", _write_dataclass, _read_dataclass),
        test=lambda v: not isinstance(v, type) and _has_fields(type(v)),
    )
    register(Kind("path", _write_path, _read_path), test=lambda v: isinstance(v, PurePath))
    register(Kind("client", _write_client, _read_client), test=_is_client)
    register(
        Kind(
            "class",
            lambda v, _: {"t": type_id(v)},
            lambda f, r: r.typed(f),
        ),
        test=lambda v: isinstance(v, type),
    )


def _register_last() -> None:
    """After the kinds of :mod:`._failures`: whatever is left and has attributes."""
    register(Kind("object", _write_object, _read_object), test=_is_ordinary)


_register_builtins()
_register_classes()
# Imported for their registrations, which come between.
from tachograph.replay import _kinds_more, _failures  # noqa: E402, F401, I001 - in this order

_register_last()

__all__ = ["register_type"]
