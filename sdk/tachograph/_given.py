"""What callers of the SDK give, as plain values, whatever it is: none of its own code can hang or break the agent.

A value is known by its type, never by ``isinstance``: that asks ``__class__``, which is code of the value's. Where its
code has to run (to count it, to walk through it) it runs for a moment and is contained; what arrives from outside
meanwhile, a Ctrl-C, goes on to the agent.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar, cast

from tachograph._failure import not_recorded, safe_text
from tachograph._guard import pass_on
from tachograph._moment import for_a_moment

R = TypeVar("R")
NAME_LIMIT_CHARS = 512
"""Of a name."""
LIST_LIMIT = 100
"""Names of a list that are recorded one by one."""
MOST_USD = 1e9
"""More than anything costs: sums of it and budgets by it stay finite. The storage keeps no larger amount either."""
MOST_S = 1e9
"""As long as no clock overflows: thirty years."""
_PLAIN = (list, tuple, set, frozenset, dict)
"""Of which no code of anybody's is run to count or to walk through them."""
_ATOMS = (str, int, float, bytes)
_LONGEST = 65_536
"""Items of one attribute."""


class Unreadable:
    """Stands for what a value's own code would not tell."""

    __slots__ = ("message", "why")

    def __init__(self, error: BaseException) -> None:
        self.why = not_recorded(error)
        self.message = safe_text(error)


def read(function: Callable[..., R], *args: Any) -> R | Unreadable:
    """Call code of a value's; whatever it raises, or if it does not end, that is what comes back."""
    try:
        return for_a_moment(function, *args)
    except BaseException as error:
        pass_on(error)
        return Unreadable(error)


def is_a(given: object, kind: type) -> bool:
    """Whether ``given`` is one, by its type. ``kind`` may be abstract."""
    if type(kind) is type:
        return issubclass(type(given), kind)
    # Abstract classes keep what they were asked about by its hash, which a metaclass may have changed.
    return read(issubclass, type(given), kind) is True


def is_plain(given: Any) -> bool:
    """Whether it is a container that runs nobody's code."""
    return any(type(given) is kind for kind in _PLAIN)


def text(given: object) -> str | None:
    """``given`` as a bounded text; None when it was not given."""
    return None if given is None else safe_text(given, NAME_LIMIT_CHARS)


def truth(given: object) -> bool | None:
    """``given`` as a condition; None when it cannot be one."""
    if type(given) is bool:
        return given
    found = read(bool, given)
    return found if type(found) is bool else None


def number(given: Any) -> float | None:
    """``given`` as a plain number: also what other libraries call one, a ``Decimal`` say; None when it is none."""
    kind = type(given)
    if kind is bool or kind is int or kind is float:
        return cast(float, given)
    if issubclass(kind, int):
        return int.__int__(given)
    if issubclass(kind, float):
        return float.__float__(given)
    if issubclass(kind, (str, bytes, bytearray)):
        return None
    for name, convert in (("__index__", operator.index), ("__float__", float)):
        if any(name in base.__dict__ for base in kind.__mro__):
            found: Any = read(convert, given)
            if not isinstance(found, Unreadable):
                return int(found) if type(found) is int else float(found)
    return None


def is_finite(found: float) -> bool:
    """Whether a plain number is one to count with; whole ones may be larger than a float can hold."""
    return type(found) is not float or math.isfinite(found)


def usd_of(given: object) -> float | None:
    """``given`` as US dollars; None when it is no amount from 0 to :data:`MOST_USD`."""
    found = None if type(given) is bool else number(given)
    return float(found) if found is not None and 0 <= found <= MOST_USD else None


def seconds(given: object) -> float | None:
    """``given`` as seconds, from 0 to :data:`MOST_S`; None when it is no number."""
    found = None if type(given) is bool else number(given)
    if found is None or (type(found) is float and math.isnan(found)):
        return None
    return float(min(max(found, 0), MOST_S))


def amount(given: Any) -> float | str | None:
    """A number that was given as such or as the things themselves; why it is not known, where it cannot be told.

    An iterator is left unread: None.
    """
    found = number(given)
    if found is not None or given is None:
        return found
    if is_plain(given):
        return len(given)
    if not any("__len__" in base.__dict__ for base in type(given).__mro__):
        return None
    length = read(len, given)
    return length.why if isinstance(length, Unreadable) else length


def listed(given: Any) -> list[str]:
    """Names as a bounded list; a single text is one name, not its letters."""
    if given is None or (type(given) is str and not given):
        return []
    if issubclass(type(given), str) or not is_a(given, Iterable):
        return [safe_text(given, NAME_LIMIT_CHARS)]
    found: list[str] = []
    if is_plain(given):
        _take_names(given, found)
        return found
    ended = read(_take_names, given, found)
    if isinstance(ended, Unreadable):
        found.append(ended.why)
    return found


def _take_names(given: Iterable[object], found: list[str]) -> None:
    # One by one into what is there already: those before a fault are kept.
    found.extend(safe_text(name, NAME_LIMIT_CHARS) for name in islice(given, LIST_LIMIT))


def pairs(given: Any) -> list[tuple[str, Any]]:
    """The first :data:`LIST_LIMIT` pairs of a mapping, its keys as texts; a last one says why there are no more."""
    found: list[tuple[str, Any]] = []
    ended = read(_take_pairs, given, found)
    if isinstance(ended, Unreadable):
        found.append((ended.why, None))
    return found


def _take_pairs(given: Mapping[Any, Any], found: list[tuple[str, Any]]) -> None:
    for key, value in islice(given.items(), LIST_LIMIT):
        found.append((safe_text(key, NAME_LIMIT_CHARS), value))


def attribute(value: Any) -> Any:
    """``value`` as an attribute of a span: a text, a number, bytes, or a flat list of those; None when it has no form."""
    kind = type(value)
    if kind is str or kind is bool or kind is int or kind is float or kind is bytes:
        return value
    if issubclass(kind, str):
        return str.__getitem__(value, slice(None))
    if issubclass(kind, (int, float)):
        return number(value)
    if issubclass(kind, bytes):
        return bytes.__getitem__(value, slice(None))
    found = read(_flat, value)
    return None if isinstance(found, Unreadable) else found


def _flat(value: Any) -> Any:
    # Copied, as it could change later.
    kind = type(value)
    if issubclass(kind, Sequence) and not issubclass(kind, (memoryview, bytearray)):
        items = tuple(islice(value, _LONGEST))
        if all(item is None or issubclass(type(item), _ATOMS) for item in items):
            return items
    elif issubclass(kind, Mapping):
        given = islice(value.items(), _LONGEST)
        kept = {safe_text(name): attribute(item) for name, item in given}
        return {name: item for name, item in kept.items() if item is not None}
    return None
