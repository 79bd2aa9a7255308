"""Payloads as JSON text, frozen at call time, whatever the value is or does.

Two ways lead to the text. Plain data that surely fits goes through ``orjson`` (a microsecond for a
kilobyte). Everything else goes through :class:`_Writer`, which writes piece by piece
within a byte limit and stops early, so that a gigabyte of argument costs as much as its first 64 KiB.
Code of a value's that does not come to an end is left after a moment (``_moment.py``).

User code is run only where a value cannot be read without it (``model_dump``, properties of unknown
classes' dataclass fields, iteration of subclasses), and every such place is contained: whatever that code
raises, SystemExit and CancelledError included, is noted as ``could not be recorded: ...`` and goes no
further. A Ctrl-C that arrives meanwhile goes on to the agent. ``repr`` is never called, iterators are
never consumed. What cannot be written becomes ``{"$unserialisable": "module.Class"}``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring as quote  # the C version; quotes and escapes one string
from typing import Any

import orjson

from tachograph._describe import Described, describe
from tachograph._failure import class_name, not_recorded
from tachograph._guard import pass_on
from tachograph._moment import TookTooLong, for_a_moment
from tachograph._otlp import Json

DEPTH_LIMIT = 48
"""Deeper nesting is cut: no reader unfolds it, and recursion must end well before Python's limit."""
_HIGHEST_PLAIN_INT_BITS = 4_096
"""Longer integers are written by their size: turning them into decimals takes quadratic time."""
_ELLIPSIS = "…"
_EXACT_TYPES = (
    orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)
"""What else the encoder knows (enumerations by value, UUIDs) it writes as :class:`_Writer` does."""


def freeze_utf8(value: Any, limit_bytes: int) -> tuple[bytes, int]:
    """``value`` as JSON in UTF-8, of at most ``limit_bytes`` bytes (16 at least).

    Returns:
        The text, always valid JSON, and how many bytes the limit cut off: exact for strings, estimated
        for what was left out of containers, 0 when nothing was cut. Never raises; blocks only as long
        as properties and ``model_dump`` of the value themselves do, and not for ever.
    """
    return freeze_told(value, limit_bytes)[:2]


def freeze_told(value: Any, limit_bytes: int) -> tuple[bytes, int, bool]:
    """:func:`freeze_utf8`, and whether the text read as JSON is the value, in every type."""
    limit_bytes = max(limit_bytes, 16)
    kind = type(value)
    fits = (
        (_EXACT if len(value) <= limit_bytes else 0) if kind is str else _fits(value, limit_bytes)
    )
    if fits:
        try:
            content = orjson.dumps(value, option=_EXACT_TYPES)
        except orjson.JSONEncodeError:
            # A class of the user's, a lone surrogate, an integer of more than 64 bits: the slow way.
            pass
        else:
            if len(content) <= limit_bytes:
                return content, 0, fits is _EXACT
    writer = _Writer(limit_bytes)
    try:
        for_a_moment(writer.write, value, 0)
        # Nothing at all fitted: that must still be said in valid JSON.
        return ("".join(writer.out) or '"…"').encode(), writer.cut_bytes, False
    except TookTooLong as error:
        pass_on(error)
        writer = _Writer(limit_bytes)
        writer.placeholder("$unserialisable", value, not_recorded(error))
        return ("".join(writer.out) or '"…"').encode(), 0, False
    except BaseException as error:
        pass_on(error)
        return b'"(not captured)"'[:limit_bytes], 0, False


def freeze(value: Any, limit_bytes: int) -> tuple[Json, int]:
    """:func:`freeze_utf8`, as an attribute of a span."""
    content, cut_bytes = freeze_utf8(value, limit_bytes)
    return Json(content), cut_bytes


def capture(value: Any, limit_bytes: int) -> tuple[str, int]:
    """:func:`freeze`, as a text."""
    content, cut_bytes = freeze(value, limit_bytes)
    return str(content), cut_bytes


_SMALL, _EXACT = 1, 2


def _fits(value: Any, room: int) -> int:
    """Whether ``value`` surely fits, as far as its plain containers and texts tell; ``room`` nodes at most.

    What it is made of besides is for the encoder to say, but for numbers that JSON has no form for, which the
    encoder would call null. ``_EXACT`` when nothing in it is of a type that JSON has no form for.
    """
    kind = type(value)
    stack = [value if kind is dict or kind is list else (value,)]
    found = _EXACT
    for container in stack:  # grows while it is gone through
        # Before it is gone through: it may hold a hundred million items.
        room -= 4 * len(container)
        if room < 0:
            return 0
        items = container
        if type(container) is dict:
            items = container.values()
            if "$" in container:
                found = _SMALL  # a tape's mark of what is no plain value
        for item in items:
            kind = type(item)
            if kind is str:
                room -= len(item)
            elif kind is dict or kind is list:
                stack.append(item)
            elif kind is float:
                if item - item != 0:
                    return 0
            elif kind is tuple:
                stack.append(item)
                found = _SMALL
            elif kind is not int and kind is not bool and item is not None:
                found = _SMALL
    return found if room >= 0 else 0


class _Writer:
    """Writes JSON into ``out`` and never more than the limit; ``full`` once something was cut."""

    def __init__(self, limit_bytes: int) -> None:
        self.out: list[str] = []
        self.room = limit_bytes
        self.full = False
        self.cut_bytes = 0
        self.parents: set[int] = set()

    def write(self, value: Any, depth: int) -> bool:
        """Write ``value``, cut where it must be; False when not even a cut form fits."""
        kind = type(value)
        if kind is str:
            return self.string(value)
        if value is None:
            return self.atom("null")
        if kind is bool:
            return self.atom("true" if value else "false")
        if kind is int or kind is float:
            return self.number(value)
        if depth >= DEPTH_LIMIT:
            return self.placeholder("$too_deep", value)
        if id(value) in self.parents:
            return self.placeholder("$cycle", value)
        self.parents.add(id(value))
        try:
            return self._container(value, depth)
        finally:
            self.parents.discard(id(value))

    def _container(self, value: Any, depth: int) -> bool:
        try:
            form = describe(value)
        except BaseException as error:
            pass_on(error)
            return self.placeholder("$unserialisable", value, not_recorded(error))
        if form.text is not None:
            return self.string(form.text)
        if form.pairs is not None:
            return self.mapping(form, value, depth)
        if form.items is not None:
            return self.sequence(form, value, depth)
        return self.write(form.value, depth + 1)

    def atom(self, text: str) -> bool:
        """Write ASCII ``text`` whole or not at all."""
        if len(text) > self.room:
            self.full = True
            self.cut_bytes += len(text)
            return False
        self.room -= len(text)
        self.out.append(text)
        return True

    def number(self, value: float) -> bool:
        """Write a number; what JSON has no number for becomes a string."""
        if type(value) is int:
            if value.bit_length() > _HIGHEST_PLAIN_INT_BITS:
                return self.atom(f'{{"$int_bits":{value.bit_length()}}}')
            return self.atom(int.__repr__(value))
        text = float.__repr__(value)
        return self.atom(
            {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}.get(text, text)
        )

    def string(self, text: str) -> bool:
        """Write a string, cut with an ellipsis when there is no room for all of it."""
        # One character is one byte at least, so what exceeds the room is not even looked at.
        head, length = str.__getitem__(text, slice(self.room)), str.__len__(text)
        quoted = quote(head).encode("utf-8", "replace")
        if len(head) == length and len(quoted) <= self.room:
            self.room -= len(quoted)
            self.out.append(quoted.decode("utf-8"))
            return True
        self.full = True
        kept = _longest_prefix(head, self.room - len(quote(_ELLIPSIS).encode()))
        if kept is None:
            self.cut_bytes += length
            return False
        piece = quote(head[:kept] + _ELLIPSIS).encode("utf-8", "replace")
        self.room -= len(piece)
        self.cut_bytes += length - kept
        self.out.append(piece.decode("utf-8"))
        return True

    def placeholder(self, key: str, value: Any, why: str = "") -> bool:
        """Write ``{key: "module.Class"}``, with the reason when there is one and room for it."""
        text = f'{{"{key}":{quote(class_name(type(value)))}'
        reason = f',"error":{quote(why)}' if why else ""
        if len(text) + len(reason) < self.room:
            text += reason
        elif reason:
            self.full = True
            self.cut_bytes += len(reason)
        return self.atom(text.encode("ascii", "replace").decode() + "}")

    def sequence(self, form: Described, value: Any, depth: int) -> bool:
        """Write an array of as many items as fit."""
        assert form.items is not None
        return self._enclose("[", "]", self._entries(form.items, depth), form.length, value)

    def mapping(self, form: Described, value: Any, depth: int) -> bool:
        """Write an object of as many pairs as fit."""
        assert form.pairs is not None
        return self._enclose("{", "}", self._pairs(form.pairs, depth), form.length, value)

    def _enclose(
        self, opener: str, closer: str, entries: Iterator[bool], length: int, value: Any
    ) -> bool:
        if self.room < 2:
            self.full = True
            return False
        self.room -= 2
        self.out.append(opener)
        before, written = self.room, 0
        try:
            for fitted in entries:
                written += fitted
                if self.full:
                    break
        except BaseException as error:
            pass_on(error)
            # Iteration of a user's container, or one changed by another thread meanwhile.
            self._note_broken(opener, written, value)
        if self.full and length > written:
            mean_bytes = (before - self.room) // written if written else 1
            self.cut_bytes += (length - written) * max(mean_bytes, 1)
        self.out.append(closer)
        return True

    def _entries(self, items: Iterable[Any], depth: int) -> Iterator[bool]:
        for index, item in enumerate(items):
            mark = self._separate(index)
            fitted = mark is not None and self.write(item, depth + 1)
            if not fitted and mark is not None:
                self._roll_back(*mark)
            yield fitted

    def _pairs(self, pairs: Iterable[tuple[str, Any]], depth: int) -> Iterator[bool]:
        for index, (key, item) in enumerate(pairs):
            mark = self._separate(index)
            fitted = mark is not None and self._key(key) and self.write(item, depth + 1)
            if not fitted and mark is not None:
                self._roll_back(*mark)
            yield fitted

    def _key(self, key: str) -> bool:
        text = quote(key[:1_000]).encode("utf-8", "replace")
        if len(text) + 1 > self.room:
            self.full = True
            return False
        self.room -= len(text) + 1
        self.out.append(text.decode("utf-8") + ":")
        return True

    def _separate(self, index: int) -> tuple[int, int] | None:
        mark = (len(self.out), self.room)
        if index and not self.atom(","):
            return None
        return mark

    def _roll_back(self, pieces: int, room: int) -> None:
        del self.out[pieces:]
        self.room = room

    def _note_broken(self, opener: str, written: int, value: Any) -> None:
        name = quote(class_name(type(value)))
        comma = "," if written else ""
        inner = f'"$broken":{name}' if opener == "{" else f'{{"$broken":{name}}}'
        self.atom((comma + inner).encode("ascii", "replace").decode())


def _longest_prefix(text: str, room: int) -> int | None:
    """How many characters of ``text`` fit into ``room`` bytes once quoted; None when none does."""
    if room < 0:
        return None
    low, high = 0, min(len(text), room)
    while low < high:
        middle = (low + high + 1) // 2
        # Two of these bytes are the quotes, which the caller's ellipsis already pays for.
        if len(quote(text[:middle]).encode("utf-8", "replace")) - 2 <= room:
            low = middle
        else:
            high = middle - 1
    return low
