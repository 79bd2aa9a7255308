"""Values that no caller should give, and that some caller will: what they are asked for raises, lies or never ends."""

from __future__ import annotations

import collections.abc
import decimal
import itertools
import math

import numpy as np

HUGE_CHARS = 100 << 20
HUGE_TEXT = "x" * HUGE_CHARS


def loop(*_args, **_kwargs):
    while True:
        pass


def broken(*_args, **_kwargs):
    raise RuntimeError("this value does not work")


def exits(*_args, **_kwargs):
    raise SystemExit("this value ends programs")


_ASKED = (
    "__str__", "__repr__", "__format__", "__bool__", "__len__", "__iter__", "__contains__", "__getitem__", "__eq__",
    "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__", "__int__", "__float__", "__index__", "__add__",
    "__radd__", "__mul__", "__rmul__", "__truediv__", "__mod__", "__call__", "__length_hint__", "__abs__", "__neg__",
    "__sub__", "__rsub__", "__round__", "__fspath__",
)  # fmt: skip
_TEXTS = (
    *_ASKED,
    "encode",
    "lower",
    "strip",
    "split",
    "startswith",
    "isascii",
    "replace",
    "rpartition",
)
_MAPS = (*_ASKED, "items", "keys", "values", "get", "copy")


def _odd(base, does, asked):
    """A subclass of ``base`` whose every method is ``does``."""
    return type(f"{does.__name__}_{base.__name__}", (base,), dict.fromkeys(asked, does))


class EndlessMapping(collections.abc.Mapping):
    """Has all keys there are."""

    def __iter__(self):
        return map(str, itertools.count())

    def __len__(self):
        return 3

    def __getitem__(self, key):
        return 1


class EndlessIterable:
    """Gives numbers for ever."""

    def __iter__(self):
        return itertools.count()


class EndlessLength(collections.abc.Sequence):
    """Counts itself for ever."""

    __len__ = loop

    def __getitem__(self, key):
        return 1


class OddMapping(collections.abc.Mapping):
    """Says that it is a mapping and answers nothing."""

    __len__ = __iter__ = __getitem__ = items = keys = broken


class Liar:
    """Says that it is a text."""

    __class__ = property(lambda _: str)


class LiarOfError:
    """Says that it is an exception."""

    __class__ = property(lambda _: ValueError)


class LoopingLiar:
    """Never says what it is."""

    __class__ = property(loop)


class RaisingLiar:
    """Does not want to say what it is."""

    __class__ = property(broken)


class SilentError(Exception):
    """Cannot be read."""

    __str__ = __repr__ = broken


class ExitingError(Exception):
    """Ends the program of who reads it."""

    __str__ = __repr__ = exits


class EndlessError(Exception):
    """Never comes to an end."""

    __str__ = __repr__ = loop


class LyingMeta(type):
    """A class that compares for ever and has no name."""

    __eq__ = loop
    __name__ = property(broken)

    def __hash__(cls):
        return 1


class OfLyingMeta(metaclass=LyingMeta):
    pass


async def never_awaited():
    """Closed by who made it; awaited by nobody."""


def generator():
    yield from itertools.count()


HOSTILE = {
    "endless iterable": EndlessIterable,
    "endless mapping": EndlessMapping,
    "endless length": EndlessLength,
    "endless object": type("Endless", (), dict.fromkeys((*_ASKED, "__getattr__"), loop)),
    "endless text": lambda: _odd(str, loop, _TEXTS)("odd"),
    "endless int": lambda: _odd(int, loop, _ASKED)(3),
    "endless dict": lambda: _odd(dict, loop, _MAPS)(a=1),
    "endless error": EndlessError,
    "endless class": LoopingLiar,
    "endless metaclass": OfLyingMeta,
    "broken object": type("Broken", (), dict.fromkeys((*_ASKED, "__getattr__"), broken)),
    "broken text": lambda: _odd(str, broken, _TEXTS)("odd"),
    "broken number": lambda: _odd(float, broken, _ASKED)(1.5),
    "broken int": lambda: _odd(int, broken, _ASKED)(3),
    "broken mapping": OddMapping,
    "broken dict": lambda: _odd(dict, broken, _MAPS)(a=1),
    "broken list": lambda: _odd(list, broken, _ASKED)([1]),
    "broken error": SilentError,
    "broken class": RaisingLiar,
    "exiting text": lambda: _odd(str, exits, _TEXTS)("odd"),
    "exiting mapping": lambda: _odd(dict, exits, _MAPS)(a=1),
    "exiting error": ExitingError,
    "lying class": Liar,
    "lying error": LiarOfError,
    "generator": generator,
    "coroutine": never_awaited,
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "minus inf": lambda: -math.inf,
    "true": lambda: True,
    "huge int": lambda: 10**400,
    "huger int": lambda: 10**5_000,
    "minus huge int": lambda: -(10**400),
    "decimal": lambda: decimal.Decimal("1.5"),
    "decimal nan": lambda: decimal.Decimal("sNaN"),
    "numpy float": lambda: np.float32(1.5),
    "numpy int": lambda: np.int64(3),
    "numpy bool": lambda: np.bool_(True),
    "numpy array": lambda: np.zeros((2, 2)),
    "complex": lambda: 1j,
    "bytes": lambda: b"\xff\xfe",
    "huge text": lambda: HUGE_TEXT,
    "surrogate": lambda: "\ud800 alone \udfff",
    "nul": lambda: "\0",
    "object": object,
    "class": lambda: dict,
    "none": lambda: None,
}
