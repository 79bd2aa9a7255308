"""What travels with the OpenTelemetry context: the run, the nearest agent, the budgets.

It lives in the OpenTelemetry context rather than in a variable of our own, so that it goes wherever a
span's parent goes: into tasks, wrapped threads and contexts that foreign instrumentation hands on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context, create_key, get_current

from tachograph._waiting import Waiting
from tachograph._waits import Mutex
from tachograph_schemas import names

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from tachograph._budget_state import BudgetState, Hold
    from tachograph._loops import Loops

FRAME_KEY = create_key("tachograph-frame")


@dataclass(slots=True, eq=False)
class RunState:
    """One run while it is alive. Mutable fields are changed under the recorder's lock only."""

    id: str
    trace_id: str
    span: Span
    stamp: dict[str, str] = field(default_factory=dict)
    """Attributes that every span made in this run gets: run id, session, user, customer."""
    tags: list[str] = field(default_factory=list)
    outcome: str | None = None
    """Set by ``current_run().outcome(...)``; decides over what the call itself would say."""
    reason: str = ""
    spans_ended: int = 0
    open_spans: dict[int, Span] = field(default_factory=dict)
    """Spans of ours that have not ended, by span id: what the heartbeat re-sends."""
    ended: bool = False
    loops: Loops | None = None
    """The watch over repeated calls, when the run asked for it."""
    asked: dict[str, int] = field(default_factory=dict)
    """How often each question was put to people in this attempt."""
    waiting: Waiting = field(default_factory=Waiting)
    """How long this attempt has waited for people."""
    accounts: dict[tuple[str, int, str], BudgetState] = field(default_factory=dict)
    """What this run used under the budgets that the collector keeps: by name, version and place."""
    caches: dict[Any, dict[Any, Any]] = field(default_factory=dict)
    """What functions under ``tacho.cached`` gave in this run."""
    lock: Mutex = field(default_factory=Mutex)

    def ordinal(self, question: str) -> int:
        """How often ``question`` was asked before, and count it."""
        with self.lock:
            before = self.asked.get(question, 0)
            self.asked[question] = before + 1
            return before

    def after_fork(self) -> None:
        """In the child: whoever held a lock of the run's may not be there to let it go."""
        self.lock = Mutex()
        self.waiting.after_fork()
        if self.loops is not None:
            self.loops.after_fork()
        for account in self.accounts.values():
            account.lock = Mutex()


@dataclass(slots=True, eq=False)
class Place:
    """A step, tool or repair loop that code is inside of."""

    layer: names.Layer
    name: str


@dataclass(slots=True, eq=False)
class Frame:
    """The nearest enclosing span of ours, as the code inside it sees the world."""

    layer: names.Layer
    run: RunState | None = None
    agent: str | None = None
    budgets: tuple[BudgetState, ...] = ()
    places: tuple[Place, ...] = ()
    hold: Hold | None = None
    """What the model call that this code is in holds in the budgets around it."""
    made: dict[Any, Any] = field(default_factory=dict, init=False)
    """What decorated calls made from here have in common, by function: see :mod:`tachograph._hot`."""

    def stamps(self) -> Mapping[str, Any]:
        """What a span made here is stamped with."""
        found: dict[str, Any] = {}
        self.stamp(found)
        return found

    def stamp(self, attributes: dict[str, Any]) -> None:
        """Put :meth:`stamps` into ``attributes``."""
        if self.run is not None:
            attributes.update(self.run.stamp)
        if self.agent:
            attributes[names.GEN_AI_AGENT_NAME] = self.agent


OUTSIDE = Frame(layer="other")
"""The frame where no span of ours is open."""


def frame_of(context: Context | None = None) -> Frame:
    """The frame of ``context`` (default: the current one), :data:`OUTSIDE` when there is none."""
    found = (get_current() if context is None else context).get(FRAME_KEY)
    return found if isinstance(found, Frame) else OUTSIDE
