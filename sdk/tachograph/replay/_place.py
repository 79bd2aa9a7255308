"""Where code stands in a recorded run: the engine that answers for it, and its label path.

A label path names a place by what the program calls things, never by ids, addresses or times: one element for each
decorated frame and each spawned task or thread, ``(label, ordinal among the same label under the parent)``. Two
executions of the same code give the same paths whatever the schedule was.
"""

from __future__ import annotations

import zlib
from contextvars import ContextVar
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tachograph.replay._engine import Engine

Path = tuple[tuple[str, int], ...]


class Node:
    """One element of the path, with the counters that number what happens below it."""

    __slots__ = ("counts", "path", "text")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path_text(path)
        self.counts: dict[str, int] = {}

    def count(self, what: str) -> int:
        """How often ``what`` was counted here before; counts it once more."""
        nth = self.counts.get(what, 0)
        self.counts[what] = nth + 1
        return nth

    def child(self, label: str) -> Node:
        """The next node called ``label`` under this one."""
        return Node((*self.path, (label, self.count(f"/{label}"))))

    @property
    def stable_hash(self) -> int:
        """A number that depends on the path alone: the same in every process."""
        return zlib.crc32(self.text.encode("utf-8", "replace"))


class Place:
    """An engine, a node, and whether this is below an effect, where nothing is recorded."""

    __slots__ = ("_below", "engine", "inside", "node")

    def __init__(self, engine: Engine, node: Node, *, inside: bool = False) -> None:
        self.engine = engine
        self.node = node
        self.inside = inside
        self._below: Place | None = None

    @property
    def below(self) -> Place:
        """The place of the bodies of effects that are called here."""
        found = self._below
        if found is None:
            found = self._below = Place(self.engine, self.node, inside=True)
        return found


PLACE: ContextVar[Place | None] = ContextVar("tachograph-place", default=None)


def here() -> Place | None:
    """The place of this code when it is agent code of a run that has not ended; else None."""
    place = PLACE.get()
    if place is None or place.inside or place.engine.over:
        return None
    return place


def exactly_here() -> Place | None:
    """:func:`here`, when the run's order is recorded too, or replayed."""
    place = here()
    return place if place is not None and place.engine.exact else None


def path_text(path: Path) -> str:
    """``research/plan#1``: what people and files call a path. The root is the empty text."""
    return "/".join(label if not nth else f"{label}#{nth}" for label, nth in path)


def label_of(work: Any) -> str:
    """What to call a coroutine, a task or a function that is spawned."""
    if type(work) is FunctionType:
        return _as_label(work.__qualname__)
    function: Any = work
    while hasattr(function, "func"):  # functools.partial, as asyncio.to_thread makes
        inner = function.args[0] if function.args and callable(function.args[0]) else None
        run = getattr(function.func, "__name__", "") == "run"
        function = inner if run and inner is not None else function.func
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return _as_label(str(name))


def _as_label(name: str) -> str:
    if "<" in name or "/" in name:
        return name.replace("<locals>.", "").replace("/", "|")
    return name
