"""Where code stands in a recorded run: the engine that answers for it, and its label path.

A label path names a place by what the program calls things, never by ids, addresses or times: one element for each
decorated frame and each spawned task or thread, ``(label, ordinal among the same label under the parent)``. Two
executions of the same code give the same paths whatever the schedule was.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextvars import ContextVar
from types import FunctionType
from typing import TYPE_CHECKING, Any

from tachograph._renamed import as_label

if TYPE_CHECKING:
    from tachograph.replay._edits import Edit
    from tachograph.replay._engine import Engine

Path = tuple[tuple[str, int], ...]


class Node:
    """One element of the path, with the counters that number what happens below it."""

    __slots__ = ("counts", "path", "relabel", "text")

    def __init__(self, path: Path, relabel: Callable[[Node, str], str] | None = None) -> None:
        self.path = path
        self.text = path_text(path)
        self.counts: dict[str, int] = {}
        self.relabel = relabel
        """What is asked how the recording calls a place; while replaying."""

    def count(self, what: str) -> int:
        """How often ``what`` was counted here before; counts it once more."""
        nth = self.counts.get(what, 0)
        self.counts[what] = nth + 1
        return nth

    def child(self, label: str) -> Node:
        """The next node called ``label`` under this one."""
        if self.relabel is not None:
            label = self.relabel(self, label)
        return Node((*self.path, (label, self.count(f"/{label}"))), self.relabel)

    def next_text(self, label: str) -> str:
        """The path of the next node called ``label`` under this one, which is not made."""
        return path_text((*self.path, (label, self.counts.get(f"/{label}", 0))))

    @property
    def stable_hash(self) -> int:
        """A number that depends on the path alone: the same in every process."""
        return zlib.crc32(self.text.encode("utf-8", "replace"))


class Place:
    """An engine, a node, and whether this is below an effect, where nothing is recorded.

    ``edits``: what a fork puts into the arguments of the effect that this is below.
    """

    __slots__ = ("_below", "edits", "engine", "inside", "node")

    def __init__(
        self, engine: Engine, node: Node, *, inside: bool = False, edits: tuple[Edit, ...] = ()
    ) -> None:
        self.edits = edits
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
        return as_label(work.__qualname__)
    function: Any = work
    while hasattr(function, "func"):  # functools.partial, as asyncio.to_thread makes
        inner = function.args[0] if function.args and callable(function.args[0]) else None
        run = getattr(function.func, "__name__", "") == "run"
        function = inner if run and inner is not None else function.func
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return as_label(str(name))
