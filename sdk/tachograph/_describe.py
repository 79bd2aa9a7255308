"""What a value that is not plain JSON is written as: a pair list, an item list or a simpler value.

Classes are recognised by ``type(value)`` and its bases, never by ``isinstance``: that asks ``__class__``,
which may be a property that lies or raises.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import decimal
import enum
import hashlib
import itertools
import os
import pathlib
import uuid
from collections import deque
from collections.abc import Iterable
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType
from typing import Any, NamedTuple

from tachograph._failure import class_name as _name
from tachograph._failure import safe_text
from tachograph._guard import pass_on

_ITEM_LIMIT = 65_536
"""More items than could fit into any payload are not even listed."""
_NAMED_CALLABLES = (type, FunctionType, BuiltinFunctionType, MethodType)
_DUMPED_LIMIT = 1 << 20
"""Characters and items of a model that is dumped as a whole; of larger ones the fields are read."""
_SEQUENCES = (list, tuple, set, frozenset)
_INLINE_BYTES = 256
_HASHED_BYTES = 1 << 20
"""Only the first MiB is hashed: the digest tells values apart, it does not store them."""


class Described(NamedTuple):
    """One of ``pairs`` (object), ``items`` (array) or, when both are None, ``value``."""

    pairs: Iterable[tuple[str, Any]] | None = None
    items: Iterable[Any] | None = None
    value: Any = None
    text: str | None = None
    """A subclass of ``str``, to be written as far as it fits."""
    length: int = 0
    """How many pairs or items there are in all, also those not listed."""


def describe(value: Any) -> Described:
    """The form in which ``value`` is written. May raise whatever the value's own code raises."""
    cls = type(value)
    for base in cls.__mro__:
        reader = _READERS.get(base)
        if reader is not None:
            found: Described = reader(value)
            return found
    return _describe_object(value, cls)


def _describe_object(value: Any, cls: type) -> Described:
    if hasattr(cls, "__dataclass_fields__"):
        return _object(
            [(field.name, _read(value, field.name)) for field in dataclasses.fields(value)]
        )
    dump = getattr(cls, "model_dump", None)
    if callable(dump):
        if not hasattr(cls, "__pydantic_serializer__"):
            return Described(value=dump(value, mode="json"))
        if _is_small(value):
            # Pydantic warns on values that do not match their field; the record must not.
            return Described(value=dump(value, mode="json", warnings=False))
        return _dict(object.__getattribute__(value, "__dict__"))
    if hasattr(cls, "dtype") and hasattr(cls, "shape"):
        return _array(value, cls)
    if hasattr(cls, "dtypes") and hasattr(cls, "shape"):
        columns = [safe_text(name, 200) for name in itertools.islice(iter(value.columns), 200)]
        return _object([("$table", _name(cls)), ("shape", list(value.shape)), ("columns", columns)])
    if hasattr(cls, "__attrs_attrs__"):
        return _object([(item.name, _read(value, item.name)) for item in cls.__attrs_attrs__])
    if issubclass(cls, _NAMED_CALLABLES):
        return _object([("$callable", f"{value.__module__}.{value.__qualname__}")])
    return _object([("$unserialisable", _name(cls))])


def _is_small(model: Any) -> bool:
    """Whether dumping a model neither copies much nor drains an iterator that it holds."""
    stack, room = [object.__getattribute__(model, "__dict__")], _DUMPED_LIMIT
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind is dict:
            room -= len(item)
            stack.extend(item.values() if room > 0 else ())
        elif kind in _SEQUENCES:
            room -= len(item)
            stack.extend(item if room > 0 else ())
        elif kind is str or kind is bytes:
            room -= len(item)
        elif hasattr(kind, "__next__"):
            return False
        elif hasattr(kind, "__pydantic_serializer__"):
            stack.append(getattr(item, "__dict__", None))
        room -= 1
        if room < 0:
            return False
    return True


def _array(value: Any, cls: type) -> Described:
    shape = [int(side) for side in value.shape]
    if not shape and callable(getattr(cls, "item", None)):
        return Described(value=value.item())
    return _object(
        [("$array", _name(cls)), ("shape", shape), ("dtype", safe_text(value.dtype, 200))]
    )


def _read(value: Any, name: str) -> Any:
    try:
        return getattr(value, name)
    except BaseException as error:
        pass_on(error)
        return {"$unreadable": _name(type(error))}


def _object(pairs: list[tuple[str, Any]]) -> Described:
    return Described(pairs=pairs, length=len(pairs))


def _dict(value: dict[Any, Any]) -> Described:
    # dict's own methods: a subclass may have changed them. The list is made at once, under the GIL.
    shown = list(itertools.islice(dict.items(value), _ITEM_LIMIT))
    return Described(pairs=[(_key(key), item) for key, item in shown], length=dict.__len__(value))


def _key(key: Any) -> str:
    """The text of a dictionary key: what ``json`` would write, and a type name for odd ones."""
    kind = type(key)
    if kind is str:
        text: str = key
        return text
    if key is None or kind is bool:
        return {None: "null", True: "true", False: "false"}[key]
    if kind is int or kind is float:
        return "(large integer)" if kind is int and key.bit_length() > 4_096 else str(key)
    if kind is tuple:
        parts: tuple[Any, ...] = key
        return "(" + ", ".join(_key(part) for part in parts[:16]) + ")"
    if str in kind.__mro__:
        return str.__getitem__(key, slice(None))
    if kind in _TEXT_TYPES:
        return safe_text(key, 200)
    return f"<{_name(kind)}>"


def _list(value: list[Any]) -> Described:
    return Described(items=list.__getitem__(value, slice(_ITEM_LIMIT)), length=list.__len__(value))


def _tuple(value: tuple[Any, ...]) -> Described:
    fields = getattr(type(value), "_fields", None)
    shown = tuple.__getitem__(value, slice(_ITEM_LIMIT))
    if isinstance(fields, tuple) and len(fields) == len(shown):
        return _object([(str(name), item) for name, item in zip(fields, shown, strict=True)])
    return Described(items=shown, length=tuple.__len__(value))


def _set(value: set[Any] | frozenset[Any]) -> Described:
    base = set if set in type(value).__mro__ else frozenset
    shown = list(itertools.islice(base.__iter__(value), _ITEM_LIMIT))  # type: ignore[arg-type]  # base matches the value
    kinds = {type(item) for item in shown}
    if kinds <= {int, float} or kinds == {str}:
        # The order of a set differs between processes; the record of equal sets should not.
        shown.sort()
    return Described(items=shown, length=base.__len__(value))  # type: ignore[arg-type]  # as above


def _iterable(value: Any) -> Described:
    return Described(items=itertools.islice(iter(value), _ITEM_LIMIT), length=len(value))


def _deque(value: deque[Any]) -> Described:
    # Like dict and list above: a subclass may iterate for ever.
    items = itertools.islice(deque.__iter__(value), _ITEM_LIMIT)
    return Described(items=items, length=deque.__len__(value))


def _bytes(value: bytes | bytearray | memoryview) -> Described:
    whole_view = memoryview(value)
    if not whole_view.contiguous:
        return _object([("$bytes", whole_view.nbytes)])
    view = whole_view.cast("B")
    size = view.nbytes
    if size <= _INLINE_BYTES:
        text = base64.b64encode(view).decode("ascii")
        return _object([("$bytes", size), ("base64", text)])
    digest = hashlib.sha256(view[:_HASHED_BYTES]).hexdigest()
    whole = "sha256" if size <= _HASHED_BYTES else "sha256_of_first_mib"
    return _object([("$bytes", size), (whole, digest)])


def _exception(value: BaseException) -> Described:
    return _object([("$exception", _name(type(value))), ("message", safe_text(value))])


def _text(value: Any) -> Described:
    return Described(value=safe_text(value))


def _moment(value: dt.date | dt.time) -> Described:
    return Described(value=value.isoformat())


def _proxy(value: MappingProxyType[Any, Any]) -> Described:
    # Behind a proxy may be any mapping: its items are taken only when they are a dictionary's own.
    items = value.items()
    if type(items) is not type({}.items()):
        return _object([("$unserialisable", "types.MappingProxyType")])
    return _dict(dict(itertools.islice(items, _ITEM_LIMIT)))


def _path(value: os.PathLike[Any]) -> Described:
    return Described(value=safe_text(os.fspath(value)))


def _enum(value: enum.Enum) -> Described:
    return Described(value=object.__getattribute__(value, "_value_"))


def _str(value: str) -> Described:
    return Described(text=value)


def _int(value: int) -> Described:
    return Described(value=int.__int__(value))


def _float(value: float) -> Described:
    return Described(value=float.__add__(value, 0.0))


_TEXT_TYPES = (decimal.Decimal, uuid.UUID, dt.date, dt.datetime)

# Looked up along the bases, so the first match is the most specific one.
_READERS: dict[type, Any] = {
    enum.Enum: _enum,
    str: _str,
    int: _int,
    float: _float,
    dict: _dict,
    list: _list,
    tuple: _tuple,
    set: _set,
    frozenset: _set,
    type({}.keys()): _iterable,
    type({}.values()): _iterable,
    type({}.items()): _iterable,
    range: _iterable,
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: _bytes,
    dt.date: _moment,
    dt.time: _moment,
    dt.timedelta: _text,
    decimal.Decimal: _text,
    uuid.UUID: _text,
    BaseException: _exception,
    pathlib.PurePath: _path,
    deque: _deque,
    MappingProxyType: _proxy,
}
