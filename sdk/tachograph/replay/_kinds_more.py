"""Values of the standard library's further containers, of numpy, and of pydantic's complaints. Imported for its registrations."""

from __future__ import annotations

import array
import base64
import collections
import functools
import inspect
import ipaddress
import math
import re
import subprocess
import sys
import time
import types
from collections.abc import Callable
from typing import Any

from tachograph.replay._codec import CodecError, Kind, Reader, Writer, has_opaque, register
from tachograph.replay._types import type_id

_ARRAY_BYTES = 4 << 20
"""A larger array is opaque, as writing it would hold the agent up."""
_PLAIN_DTYPE = re.compile(r"[<>|=]?[biufcSUMm]\d{0,6}(\[\d{0,9}[A-Za-zμ]{1,2}\])?")
"""No objects and no structures."""
_FACTORIES: dict[str, Any] = {
    each.__name__: each for each in (list, dict, set, int, float, str, tuple, bool)
} | {"": None}


def _items(
    name: str, cls: type, write: Callable[[Any], Any], read: Callable[[list[Any]], Any]
) -> None:
    """A kind of what is made of a few values."""
    register(
        Kind(
            name,
            lambda value, writer: {"v": [writer.write(item) for item in write(value)]},
            lambda fields, reader: read(reader.items(fields["v"])),
        ),
        cls,
    )


def _write_default(value: Any, writer: Writer) -> dict[str, Any] | None:
    factory = value.default_factory
    name = next((each for each, known in _FACTORIES.items() if known is factory), None)
    return None if name is None else {"v": writer.pairs(value), "f": name}


def _read_default(fields: dict[str, Any], reader: Reader) -> Any:
    return collections.defaultdict(_FACTORIES[fields["f"]], reader.pairs(fields["v"]))


def _read_counter(fields: dict[str, Any], reader: Reader) -> Any:
    made: Any = collections.Counter()
    dict.update(made, reader.pairs(fields["v"]))
    return made


def _register_containers() -> None:
    register(
        Kind(
            "deque",
            lambda v, w: {"v": [w.write(item) for item in v], "m": v.maxlen},
            lambda f, r: collections.deque(r.items(f["v"]), f["m"]),
        ),
        collections.deque,
    )
    register(
        Kind(
            "ordereddict",
            lambda v, w: {"v": w.pairs(v)},
            lambda f, r: collections.OrderedDict(r.pairs(f["v"])),
        ),
        collections.OrderedDict,
    )
    register(Kind("defaultdict", _write_default, _read_default), collections.defaultdict)
    register(Kind("counter", lambda v, w: {"v": w.pairs(v)}, _read_counter), collections.Counter)
    register(
        Kind(
            "mappingproxy",
            lambda v, w: {"v": w.pairs(v)},
            lambda f, r: types.MappingProxyType(dict(r.pairs(f["v"]))),
        ),
        types.MappingProxyType,
    )
    register(
        Kind(
            "namespace",
            lambda v, w: {"v": {name: w.write(item) for name, item in vars(v).items()}},
            lambda f, r: types.SimpleNamespace(**{k: r.read(item) for k, item in f["v"].items()}),
        ),
        types.SimpleNamespace,
    )


def _called(cls: Any, values: list[Any]) -> Any:
    return cls(*values)


def _register_small() -> None:
    _items("range", range, lambda v: (v.start, v.stop, v.step), functools.partial(_called, range))
    _items("slice", slice, lambda v: (v.start, v.stop, v.step), functools.partial(_called, slice))
    _items("ellipsis", type(...), lambda _: (), lambda _: ...)
    _items("notimplemented", type(NotImplemented), lambda _: (), lambda _: NotImplemented)
    _items(
        "struct_time",
        time.struct_time,
        lambda v: (*v, v.tm_zone, v.tm_gmtoff),
        lambda v: time.struct_time(tuple(v)),
    )
    _items(
        "completed",
        subprocess.CompletedProcess,
        lambda v: (v.args, v.returncode, v.stdout, v.stderr),
        functools.partial(_called, subprocess.CompletedProcess),
    )
    _items(
        "array",
        array.array,
        lambda v: (v.typecode, v.tobytes()),
        lambda v: array.array(v[0], v[1]),
    )
    for cls in (
        *(ipaddress.IPv4Address, ipaddress.IPv4Network, ipaddress.IPv4Interface),
        *(ipaddress.IPv6Address, ipaddress.IPv6Network, ipaddress.IPv6Interface),
    ):
        _items(cls.__name__.lower(), cls, lambda v: (str(v),), functools.partial(_called, cls))


# --- numpy -----------------------------------------------------------------------------------------


def _is_of_numpy(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and (type(value) is numpy.ndarray or isinstance(value, numpy.generic))


def _write_array(value: Any, _: Writer) -> dict[str, Any] | None:
    dtype = value.dtype.str
    if value.nbytes > _ARRAY_BYTES or _PLAIN_DTYPE.fullmatch(dtype) is None:
        return None
    return {
        "t": type_id(type(value)),
        "d": dtype,
        "n": list(value.shape),
        "v": base64.b64encode(value.tobytes()).decode("ascii"),
    }


def _read_array(fields: dict[str, Any], _: Reader) -> Any:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        raise CodecError("numpy is not loaded in this program")
    if _PLAIN_DTYPE.fullmatch(fields["d"]) is None:
        raise CodecError("it has no plain elements")
    held = base64.b64decode(fields["v"], validate=True)
    dtype, shape = numpy.dtype(fields["d"]), tuple(map(int, fields["n"]))
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(held):
        raise CodecError("it is of another size than it says")
    if dtype.kind == "U":
        letters = numpy.frombuffer(held, numpy.dtype("u4").newbyteorder(dtype.byteorder))
        if letters.max(initial=0) > sys.maxunicode:
            raise CodecError("it has letters that there are not")
    made = numpy.ndarray(shape, dtype, held).copy()
    return made if fields["t"] == "numpy:ndarray" else made[()]


# --- models of pydantic, and what it complains of ----------------------------------------------------


def _is_pydantic(value: Any) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(value, pydantic.BaseModel)


def _write_pydantic(value: Any, writer: Writer) -> dict[str, Any]:
    held = {name: writer.write(item) for name, item in value.__dict__.items()}
    extra = value.__pydantic_extra__
    private = value.__pydantic_private__ or {}
    trees = {name: writer.write(item) for name, item in private.items()}
    known = {name: tree for name, tree in trees.items() if not has_opaque(tree)}
    return {
        "t": type_id(type(value)),
        "v": held,
        **({"p": known} if known else {}),
        "x": writer.write(dict(extra)) if extra is not None else None,
        "s": sorted(value.__pydantic_fields_set__),
    }


def _read_pydantic(fields: dict[str, Any], reader: Reader) -> Any:
    cls: Any = reader.typed(fields, sys.modules["pydantic"].BaseModel)
    unknown = [
        name for name in fields["v"] if name not in cls.model_fields and not _is_cached(cls, name)
    ]
    if unknown:
        raise CodecError(f"the fields of {fields['t']} have changed: {', '.join(unknown)}")
    made = object.__new__(cls)
    held = {name: reader.read(tree) for name, tree in fields["v"].items()}
    object.__setattr__(made, "__dict__", held)
    object.__setattr__(made, "__pydantic_extra__", reader.read(fields["x"]))
    object.__setattr__(made, "__pydantic_fields_set__", set(fields["s"]))
    private = {name: reader.read(tree) for name, tree in fields.get("p", {}).items()}
    unknown = sorted(private.keys() - cls.__private_attributes__.keys())
    if unknown:
        raise CodecError(f"the attributes of {fields['t']} have changed: {', '.join(unknown)}")
    object.__setattr__(made, "__pydantic_private__", private or None)
    return made


def _is_cached(cls: type, name: str) -> bool:
    return isinstance(inspect.getattr_static(cls, name, None), functools.cached_property)


def _is_complaint(value: Any) -> bool:
    core = sys.modules.get("pydantic_core")
    return core is not None and type(value) is core.ValidationError


def _write_complaint(value: Any, writer: Writer) -> dict[str, Any]:
    told = []
    for each in value.errors(include_url=False):
        tree = {name: writer.write(item) for name, item in each.items()}
        # Without what cannot be read back, the agent can still tell what was wrong.
        told.append({name: None if has_opaque(item) else item for name, item in tree.items()})
    return {"t": type_id(type(value)), "n": value.title, "v": told}


def _read_complaint(fields: dict[str, Any], reader: Reader) -> Any:
    core = sys.modules.get("pydantic_core")
    if core is None:
        raise CodecError("pydantic is not loaded in this program")
    told = [_complaint(core, reader.read(each)) for each in fields["v"]]
    made = core.ValidationError.from_exception_data(fields["n"], told)
    made.args = ()  # as where pydantic raises it
    return made


def _complaint(core: Any, told: dict[str, Any]) -> dict[str, Any]:
    message = told.pop("msg")
    try:
        core.PydanticKnownError(told["type"], told.get("ctx"))
    except (KeyError, TypeError, ValueError):
        told["type"] = core.PydanticCustomError(told["type"], message, told.get("ctx"))
    return told


_register_containers()
_register_small()
register(Kind("numpy", _write_array, _read_array), test=_is_of_numpy)
register(Kind("pydantic", _write_pydantic, _read_pydantic), test=_is_pydantic)
register(Kind("complaint", _write_complaint, _read_complaint), test=_is_complaint)
