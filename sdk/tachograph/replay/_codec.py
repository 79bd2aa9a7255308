"""Values as canonical JSON and back, exact in type and value; never pickle, never an import.

Plain JSON data is itself. Everything else is an object with the one key ``$`` and what belongs to the kind:
``{"$": "tuple", "v": [...]}``. A kind is one of the table below. Classes are named by ``module:qualname``, and a
name is looked up among those that the code allows (:mod:`._types`), checked to be of the kind that was written, and
filled field by field without running a constructor: a tape can name what the program names, not bring anything.

What cannot be written becomes ``{"$": "opaque", "t": class}``. It compares by its class, and cannot be read back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from json import JSONEncoder
from typing import Any

from tachograph._guard import pass_on
from tachograph._moment import TookTooLong, for_a_moment
from tachograph.replay._types import Find, find_registered, type_id

PLAIN_LIMIT = 1_000_000
"""Nodes of a value of JSON types; more is opaque, as writing it would hold the agent up."""
NODES_LIMIT = 200_000
"""Nodes of a value of other types, which take longer."""
TEXT_LIMIT_CHARS = 64 << 20
"""Of all texts in a value."""
DEPTH_LIMIT = 200
"""Deeper values are opaque when written and refused when read."""

_encode_plain = JSONEncoder(allow_nan=False, check_circular=False, separators=(",", ":")).encode


class CodecError(ValueError):
    """A value cannot be read back; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How values of one kind are written and read."""

    name: str
    write: Callable[[Any, Writer], dict[str, Any] | None]
    """The fields beside ``$``; None when this value is none of the kind after all."""
    read: Callable[[dict[str, Any], Reader], Any]


_by_type: dict[type, Kind] = {}
_by_test: list[tuple[Callable[[Any], bool], Kind]] = []
_by_name: dict[str, Kind] = {}
_class_ids: dict[str, str] = {}
"""Of kinds that are of one class each."""


def register(kind: Kind, *types: type, test: Callable[[Any], bool] | None = None) -> None:
    """Add a kind: for exactly these types, or for whatever ``test`` accepts."""
    _by_name[kind.name] = kind
    _by_type.update(dict.fromkeys(types, kind))
    if len(types) == 1:
        _class_ids[kind.name] = type_id(types[0])
    if test is not None:
        _by_test.append((test, kind))


def register_type(
    cls: type, encode: Callable[[Any], Any], decode: Callable[[Any], Any], name: str = ""
) -> None:
    """Write instances of ``cls`` as what ``encode`` gives and read them with ``decode``."""
    name = name or f"user:{type_id(cls)}"
    register(
        Kind(
            name,
            lambda value, writer: {"v": writer.write(encode(value))},
            lambda fields, reader: decode(reader.read(fields["v"])),
        ),
        cls,
    )


_SIZED = frozenset((list, dict, tuple, set, frozenset))


class Writer:
    """Turns one value into a tree of JSON types."""

    def __init__(self, *, objects: bool = False) -> None:
        self.objects = objects
        """Whether instances of ordinary classes are written with their attributes."""
        self.opaque: list[str] = []
        """Ids of the types that could not be written."""
        self._nodes_left, self._chars_left = NODES_LIMIT, TEXT_LIMIT_CHARS
        self._depth = 0
        self._parents: set[int] = set()

    def write(self, value: Any) -> Any:
        """The tree for ``value``."""
        kind = type(value)
        self._nodes_left -= 1
        if kind is str or kind is bytes:
            self._chars_left -= len(value)
            if self._chars_left < 0:
                return self.unknown(value)
        if kind is str or kind is bool or value is None:
            return value
        if kind is int:
            return value if value.bit_length() <= 4_096 else {"$": "int", "v": hex(value)}
        if kind is float:
            return value if math.isfinite(value) else {"$": "float", "v": repr(value)}
        if self._depth >= DEPTH_LIMIT or id(value) in self._parents:
            return self.unknown(value)
        self._depth += 1
        self._parents.add(id(value))
        try:
            return self._container(value, kind)
        finally:
            self._depth -= 1
            self._parents.discard(id(value))

    def _container(self, value: Any, kind: type) -> Any:
        if kind in _SIZED and len(value) > self._nodes_left:
            return self.unknown(value)
        if kind is list:
            return [self.write(item) for item in value]
        if kind is dict:
            if all(type(key) is str for key in value) and "$" not in value:
                return {key: self.write(item) for key, item in value.items()}
            return {"$": "dict", "v": self.pairs(value)}
        found = _by_type.get(kind)
        if found is None:
            found = next((each for test, each in _by_test if test(value)), None)
        if found is not None:
            fields = found.write(value, self)
            if fields is not None:
                return {"$": found.name, **fields}
        return self.unknown(value)

    def pairs(self, value: Any) -> list[list[Any]]:
        """The trees of a mapping's keys and items, in its order."""
        return [[self.write(key), self.write(item)] for key, item in value.items()]

    def unknown(self, value: Any) -> Any:
        """What stands for a value that cannot be written."""
        name = type_id(type(value))
        self.opaque.append(name)
        return {"$": "opaque", "t": name}


class Reader:
    """Turns a tree back into a value."""

    def __init__(self, find: Find = find_registered) -> None:
        self._find = find
        self._depth = 0

    def read(self, tree: Any) -> Any:
        """The value of ``tree``.

        Raises:
            CodecError: it names an unknown kind or class, or is malformed.
        """
        if type(tree) not in {list, dict}:
            return tree
        self._depth += 1
        if self._depth > DEPTH_LIMIT * 2:
            raise CodecError("nested too deeply")
        try:
            if isinstance(tree, list):
                return [self.read(item) for item in tree]
            name = tree.get("$")
            if name is None:
                return {key: self.read(item) for key, item in tree.items()}
            kind = _by_name.get(name) if isinstance(name, str) else None
            if kind is None:
                raise CodecError(f"values of kind {name!r} are not known here")
            try:
                return kind.read(tree, self)
            except CodecError:
                raise
            except Exception as error:
                raise CodecError(f"a value of kind {name} is malformed: {error}") from error
        finally:
            self._depth -= 1

    def items(self, trees: list[Any]) -> list[Any]:
        """The values of trees."""
        return [self.read(tree) for tree in trees]

    def pairs(self, trees: list[list[Any]]) -> list[tuple[Any, Any]]:
        """What a dictionary is made of, from what :meth:`Writer.pairs` gave."""
        return [(self.read(key), self.read(item)) for key, item in trees]

    def typed(self, fields: dict[str, Any], base: type | None = None) -> type:
        """The class that ``fields`` name.

        Raises:
            CodecError: no code of the run names it and it is not registered, or it is not of ``base``.
        """
        cls = self._find(fields["t"])
        if cls is None:
            raise CodecError(
                f"the class {str(fields['t'])[:200]} is not named by the code of this run (an annotation would do),"
                " nor registered with tachograph.replay.register"
            )
        if base is not None and not issubclass(cls, base):
            raise CodecError(f"the class {fields['t']} is no {base.__name__}")
        return cls

    def exception(self, name: Any) -> type[BaseException] | None:
        """The class of an exception; None when it cannot be revived as itself."""
        cls = self._find(name)
        return cls if cls is not None and issubclass(cls, BaseException) else None


def has_opaque(tree: Any) -> bool:
    """Whether something in a tree could not be written."""
    if isinstance(tree, dict):
        return tree.get("$") == "opaque" or any(map(has_opaque, tree.values()))
    return isinstance(tree, list) and any(map(has_opaque, tree))


def class_id(tree: dict[str, Any]) -> Any:
    """The id of the class that a tree of a kind is a value of; None where that is not told."""
    return tree.get("t") or _class_ids.get(str(tree.get("$")))


def is_plain(value: Any) -> bool:
    """Whether ``value`` is made of exact JSON types that JSON keeps, and is no larger than is allowed."""
    room, chars = PLAIN_LIMIT, TEXT_LIMIT_CHARS
    stack = [value]
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind is str:
            chars -= len(item)
            if chars < 0:
                return False
        elif kind is bool or item is None:
            pass
        elif kind is int:
            if item.bit_length() > 4_096:
                return False
        elif kind is float:
            if not math.isfinite(item):
                return False
        elif kind is dict:
            room -= len(item)
            if room < 0 or "$" in item or not all(type(key) is str for key in item):
                return False
            stack.extend(item.values())
        elif kind is list:
            room -= len(item)
            if room < 0:
                return False
            stack.extend(item)
        else:
            return False
    return True


def dumps(value: Any, *, objects: bool = False) -> tuple[str, list[str]]:
    """``value`` as ASCII JSON, and the ids of types in it that could not be written. Never consumes iterators."""
    if is_plain(value):
        try:
            return _encode_plain(value), []
        except (ValueError, RecursionError):
            pass
    writer = Writer(objects=objects)
    try:
        tree = for_a_moment(writer.write, value)
    except TookTooLong as error:
        pass_on(error)
        tree = writer.unknown(value)
    return _encode_plain(tree), writer.opaque


def tree_of(value: Any) -> Any:
    """``value`` as the tree that :func:`dumps` writes, read back from JSON."""
    return json.loads(dumps(value)[0])


def loads(tree: Any, find: Find = find_registered) -> Any:
    """The value of a tree of JSON types; ``find`` gives classes by their ids.

    Raises:
        CodecError: see :meth:`Reader.read`.
    """
    return Reader(find).read(tree)
