"""Reading plain data as keyword arguments of a message: one small function a type, composed in tables.

A value that cannot be read raises :class:`Misfit` with its place (``spans[3].kind``), which is put together only
on the way out, so that sound bodies do not pay for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Convert = Callable[[Any], Any]
"""Reads one value, or raises :class:`Misfit`."""
Table = dict[str, tuple[str, Convert]]
"""Which key feeds which field, and how it is read."""


class Misfit(Exception):
    """A value that cannot be read, and where it is, innermost place first."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.place = ""

    def within(self, outer: str) -> Misfit:
        """The same misfit, its place one step further out."""
        dot = "." if self.place and not self.place.startswith("[") else ""
        self.place = f"{outer}{dot}{self.place}"
        return self


def kind_of(value: Any) -> str:
    """What ``value`` is, in words for a message."""
    names = {dict: "an object", list: "an array", str: "text", bool: "a truth value"}
    return "null" if value is None else names.get(type(value), "a number")


def text(value: Any) -> str:
    """Text as it is."""
    if type(value) is not str:
        raise Misfit(f"text is expected, not {kind_of(value)}")
    return value


def hex_id(value: Any) -> bytes:
    """The bytes of an id written in hex; its length is checked elsewhere."""
    try:
        return bytes.fromhex(text(value))
    except ValueError:
        raise Misfit("an id in hex is expected") from None


def truth(value: Any) -> bool:
    """True or false as it is."""
    if type(value) is not bool:
        raise Misfit(f"true or false is expected, not {kind_of(value)}")
    return value


def number(value: Any) -> int:
    """A whole number, given as one, as text, or as a float that lost its last digits on the way."""
    if type(value) is int:
        return value
    if type(value) is float and math.isfinite(value):
        return math.floor(value)
    if type(value) is str:
        digits = value.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) < 30:
            return int(value)
        raise Misfit("a whole number is expected, not this text")
    raise Misfit(f"a whole number is expected, not {kind_of(value)}")


def _within(low: int, high: int) -> Convert:
    def convert(value: Any) -> int:
        found = number(value)
        if not low <= found <= high:
            raise Misfit(f"the number is not from {low} to {high}")
        return found

    return convert


uint32 = _within(0, 2**32 - 1)
fixed64 = _within(0, 2**64 - 1)
int32 = _within(-(2**31), 2**31 - 1)
int64 = _within(-(2**63), 2**63 - 1)


def enumeration(prefix: str, *words: str) -> Convert:
    """A number, or the name of one; names are as in the protobuf schema."""
    numbers = {prefix + word: number for number, word in enumerate(words)}

    def convert(value: Any) -> int:
        if type(value) is str and value in numbers:
            return numbers[value]
        found: int = int32(value)
        return found

    return convert


def inside(name: str, convert: Callable[..., Any], *values: Any) -> Any:
    """``convert(*values)``, a misfit in it placed under ``name``."""
    try:
        return convert(*values)
    except Misfit as misfit:
        raise misfit.within(name) from None


def each(convert: Convert) -> Convert:
    """Reads an array, each item with ``convert``."""

    def convert_all(value: Any) -> list[Any]:
        if type(value) is not list:
            raise Misfit(f"an array is expected, not {kind_of(value)}")
        out: list[Any] = []
        try:
            for item in value:
                out.append(convert(item))  # noqa: PERF401  # its length tells where it failed
        except Misfit as misfit:
            raise misfit.within(f"[{len(out)}]") from None
        return out

    return convert_all


def message(table: Table) -> Convert:
    """Reads an object as keyword arguments; null is absent, unknown keys are ignored."""

    def convert(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise Misfit(f"an object is expected, not {kind_of(value)}")
        out: dict[str, Any] = {}
        name = ""
        try:
            for name, member in value.items():
                known = table.get(name)
                if known is not None and member is not None:
                    out[known[0]] = known[1](member)
        except Misfit as misfit:
            raise misfit.within(name) from None
        return out

    return convert
