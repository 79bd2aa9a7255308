"""Arguments that a person changed: what was left alone stays the object it was, what was changed must fit.

A person sees arguments as JSON without their secrets. So only what differs from what was shown is taken from them; the
rest is the agent's own, secrets and objects included.
"""

from __future__ import annotations

import collections.abc
import contextlib
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin

_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    ((int, float), "a number"),
    (str, "a text"),
    (type(None), "null"),
    ((list, tuple), "a list"),
    (dict, "an object"),
)
_LISTS = (list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
_OBJECTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


class MisfitError(ValueError):
    """Changed arguments cannot be used. The message says which and why."""


def merged(original: Any, shown: Any, edited: Any) -> Any:
    """``edited``, with everything that is as it was ``shown`` taken from ``original``."""
    if edited == shown and _kind(edited) == _kind(shown):
        return original
    if all(isinstance(each, dict) for each in (original, shown, edited)):
        return {
            key: merged(original[key], shown[key], value)
            if key in shown and key in original
            else value
            for key, value in edited.items()
        }
    if all(isinstance(each, list) for each in (original, shown, edited)) and (
        len(original) == len(shown) == len(edited)
    ):
        return [merged(*each) for each in zip(original, shown, edited, strict=True)]
    return edited


def fitted(
    function: Callable[..., Any], given: Mapping[str, Any], edited: Any
) -> dict[str, tuple[Any, Any]]:
    """The arguments that differ from ``given``: what each was, and what it is to be.

    Raises:
        MisfitError: they are not the function's, or of other types than it takes.
    """
    if not isinstance(edited, dict):
        raise MisfitError("they are no JSON object of arguments by name")
    if edited.keys() != given.keys():
        odd = ", ".join(sorted(map(str, edited.keys() ^ given.keys())))
        raise MisfitError(f"arguments can be changed, not added or left out: {odd}")
    hints = _hints(function)
    changed: dict[str, tuple[Any, Any]] = {}
    for name, value in edited.items():
        before = given[name]
        if value is not before:
            hint = hints.get(name, Any)
            try:
                changed[name] = before, _like(before, value) if hint is Any else _as(hint, value)
            except MisfitError as problem:
                raise MisfitError(f"{name} should be {problem}") from None
    return changed


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The types of the parameters, as far as they can be resolved: each by itself, as one may name what only a
    type checker knows. Where there is none the value that was given is the best hint.
    """
    own = inspect.unwrap(function)
    found: dict[str, Any] = {}
    for name, hint in getattr(own, "__annotations__", {}).items():
        alone = types.SimpleNamespace(__annotations__={name: hint})
        with contextlib.suppress(Exception):
            found |= typing.get_type_hints(alone, getattr(own, "__globals__", None))
    return found


def _kind(value: Any) -> str:
    return next((word for kinds, word in _KINDS if isinstance(value, kinds)), "")


def _like(before: Any, value: Any) -> Any:
    kind = _kind(before)
    if before is not None and _kind(value) != kind:
        raise MisfitError(f"{kind}, as it was" if kind else "left alone: it is no JSON value")
    return tuple(value) if isinstance(before, tuple) else value


def _as(hint: Any, value: Any) -> Any:
    """``value`` as an argument of the type ``hint``."""
    origin, inner = get_origin(hint) or hint, get_args(hint)
    if hint is Any:
        return value
    if origin is typing.Annotated:
        return _as(inner[0], value)
    if origin in {typing.Union, types.UnionType}:
        return _any_of(inner, value)
    if origin is Literal:
        if not any(value == word and type(value) is type(word) for word in inner):
            raise MisfitError("one of " + ", ".join(map(repr, inner)))
        return value
    if origin in _LISTS or origin is tuple:
        return _list_as(origin, inner, value)
    if origin in _OBJECTS:
        if not isinstance(value, dict):
            raise MisfitError("an object")
        return {key: _as(inner[1], each) for key, each in value.items()} if inner else value
    return _plain_as(hint, value)


def _any_of(hints: tuple[Any, ...], value: Any) -> Any:
    problems = []
    for hint in hints:
        try:
            return _as(hint, value)
        except MisfitError as problem:
            problems.append(str(problem))
    raise MisfitError(" or ".join(problems))


def _list_as(origin: Any, inner: tuple[Any, ...], value: Any) -> Any:
    if not isinstance(value, list):
        raise MisfitError("a list")
    if origin is not tuple:
        return [_as(inner[0], each) for each in value] if inner else value
    if not inner or inner[-1] is Ellipsis:
        return tuple(_as(inner[0], each) if inner else each for each in value)
    if len(inner) != len(value):
        raise MisfitError(f"a list of {len(inner)}")
    return tuple(_as(*pair) for pair in zip(inner, value, strict=True))


def _plain_as(hint: Any, value: Any) -> Any:
    if hint in {None, type(None)}:
        hint = type(None)
    if hint is float and type(value) in {int, float}:
        return float(value)
    words = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    words |= {type(None): "null"}
    if hint not in words:
        raise MisfitError("left alone: its type cannot be given as JSON")
    if type(value) is not hint:
        raise MisfitError(words[hint])
    return value
