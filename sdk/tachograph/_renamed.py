"""Earlier names of decorated functions: recordings made under them are still answered.

One table for the process, because a recording has labels and no functions: a task, a frame and an effect of one function
go by one name. Light on purpose, as every decorator comes by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

_former: dict[str, tuple[str, ...]] = {}


def as_label(name: str) -> str:
    """A qualified name as places of a run have it."""
    if "<" in name or "/" in name:
        return name.replace("<locals>.", "").replace("/", "|")
    return name


def note(function: Callable[..., Any], aliases: Sequence[str]) -> None:
    """Remember how a function was called before: a name beside its own, or a qualified one (``Desk.look_up``)."""
    if not aliases:
        return
    label = as_label(getattr(function, "__qualname__", type(function).__qualname__))
    within = label.rpartition(".")[0]
    named = map(as_label, aliases)
    found = (f"{within}.{each}" if within and "." not in each else each for each in named)
    _former[label] = tuple(dict.fromkeys((*_former.get(label, ()), *found)))


def former(label: str) -> tuple[str, ...]:
    """The earlier names of what is called ``label``."""
    return _former.get(label, ())
