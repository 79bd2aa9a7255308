"""Writes that were under way when a run was killed: who can look whether they have happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tachograph.replay._place import label_of


@dataclass(frozen=True, slots=True)
class Happened:
    """The write has happened, and this is what it gave."""

    result: Any = None


Look = Callable[[dict[str, Any]], Happened | None]
"""Takes the arguments by name; None: it has not happened, and is to be done."""

_hooks: dict[str, Look] = {}


def add_hook(effect: Callable[..., Any], look: Look) -> None:
    """Ask ``look`` about calls of ``effect``."""
    _hooks[label_of(effect)] = look


def hook_for(name: str) -> Look | None:
    """Who looks for the effect of that name."""
    return _hooks.get(name)
