"""Exceptions on a tape: what was raised is raised again, as the class it was where that is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tachograph.errors import TachographError
from tachograph.replay._codec import (
    CodecError,
    Kind,
    Reader,
    Writer,
    has_opaque,
    register,
)
from tachograph.replay._types import type_id

_CHAIN_LIMIT = 8
_ODD = (UnicodeError, ExceptionGroup, StopIteration, StopAsyncIteration)
"""Whose constructors want more than arguments, or which mean something to the interpreter."""
_SLOTS: dict[type[BaseException], tuple[str, ...]] = {
    OSError: ("filename", "filename2"),
    ImportError: ("name", "path"),
    NameError: ("name",),
    AttributeError: ("name",),
}
"""What exceptions hold, and say, besides their arguments."""


class RecordedError(TachographError):
    """An exception of a class that the code of the run does not name. ``type_id`` names it, ``args`` are its own.

    Handlers of the builtin class that it descended from catch it as well.
    """

    def __init__(self, name: str, *args: Any) -> None:
        super().__init__(*args)
        self.type_id = name


def _write(error: BaseException, writer: Writer, depth: int = 0) -> dict[str, Any]:
    cls = type(error)
    base = next(each for each in cls.__mro__ if each.__module__ == "builtins")
    held: dict[str, Any] = {}
    for name, value in getattr(error, "__dict__", {}).items():
        tree = Writer().write(value)
        if not has_opaque(tree):
            held[name] = tree
    cause = error.__cause__ if depth < _CHAIN_LIMIT else None
    is_group = isinstance(error, BaseExceptionGroup)
    fields: dict[str, Any] = {
        "t": type_id(cls),
        "b": base.__name__,
        "m": _message(error),
        # What is in a group is written below.
        "a": [writer.write(item) for item in error.args[: 1 if is_group else None]],
        "v": held,
    }
    slots = {name: slot.__get__(error) for name, slot in _slots(error)}
    trees = {name: writer.write(value) for name, value in slots.items() if value is not None}
    if trees:
        fields["s"] = trees
    if error.__suppress_context__ and error.__cause__ is None:
        fields["n"] = True
    if cause is not None:
        fields["c"] = {"$": "error", **_write(cause, writer, depth + 1)}
    if isinstance(error, BaseExceptionGroup):
        fields["g"] = [{"$": "error", **_write(e, writer, depth + 1)} for e in error.exceptions]
    return fields


def _slots(error: BaseException) -> Iterator[tuple[str, Any]]:
    """Names and descriptors, which are the builtin class's own: a subclass may have properties of these names."""
    for base, names in _SLOTS.items():
        if isinstance(error, base):
            yield from ((name, vars(base)[name]) for name in names)


def _message(error: BaseException) -> str:
    try:
        return str(error)[:2_000]
    except Exception:
        return ""


def _read(fields: dict[str, Any], reader: Reader) -> BaseException:
    args = [None if has_opaque(tree) else reader.read(tree) for tree in fields["a"]]
    made = _make(fields, args, reader)
    held = {name: reader.read(tree) for name, tree in fields.get("v", {}).items()}
    if held:
        made.__dict__.update(held)
    for name, slot in _slots(made):
        if name in fields.get("s", {}):
            slot.__set__(made, reader.read(fields["s"][name]))
    made.__suppress_context__ = fields.get("n") is True
    if fields.get("c") is not None:
        cause = reader.read(fields["c"])
        made.__cause__ = cause if isinstance(cause, BaseException) else None
    return made


def _make(fields: dict[str, Any], args: list[Any], reader: Reader) -> BaseException:
    """An instance without running a constructor of the program's own."""
    cls = reader.exception(fields["t"])
    if cls is None:
        name = str(fields["t"])
        base = reader.exception(f"builtins:{fields['b']}")
        if base is None or not issubclass(base, Exception) or issubclass(base, _ODD):
            return RecordedError(name, *(args or [str(fields["m"])]))
        return _stand_in(base)(name, *args)
    if issubclass(cls, BaseExceptionGroup):
        return BaseExceptionGroup.__new__(cls, args[0], [reader.read(each) for each in fields["g"]])
    base = next(each for each in cls.__mro__ if each.__module__ == "builtins")
    _check_span(base, args)
    try:
        if cls is base:
            return cls(*args)
        made: BaseException = base.__new__(cls, *args)
    except TypeError:
        made = BaseException.__new__(cls)
    made.args = tuple(args)
    if isinstance(made, OSError):
        # Takes number and message from the arguments, unless it has done so already.
        OSError.__init__(made, *args)
    return made


def _check_span(base: type, args: list[Any]) -> None:
    """What a codec could not convert: some versions of Python look it up where they are told, to say it."""
    if not issubclass(base, UnicodeError) or len(args) not in {4, 5}:
        return
    text, start, end = args[-4:-1]
    if not 0 <= start <= end <= len(text):
        raise CodecError("it is about a place outside of its text")


_stand_ins: dict[type[BaseException], type[BaseException]] = {}


def _stand_in(base: type[BaseException]) -> type[BaseException]:
    """A RecordedError that handlers of ``base`` catch as well."""
    if base not in _stand_ins:
        name = f"Recorded{base.__name__}"
        _stand_ins[base] = type(name, (RecordedError, base), {})
    return _stand_ins[base]


register(
    Kind("error", _write, _read),
    test=lambda value: isinstance(value, BaseException),
)
