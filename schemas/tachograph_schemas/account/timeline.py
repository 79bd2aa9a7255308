"""A run's spans, indexed once: who acted, what belongs to what, which spans say the same thing twice.

Trees can be deep, broken or circular, and a run can have 50,000 spans: everything is a loop over the
spans, and nothing here reads a payload.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import wraps
from operator import attrgetter
from typing import Any, TypeVar

from tachograph_schemas import names, words
from tachograph_schemas.account.model import Line, Tone
from tachograph_schemas.rows import AccountSpan, RunRow

_T = TypeVar("_T")
_PREFIXES = ("invoke_agent ", "invoke_workflow ", "create_agent ", "agent_run ", "agent.")
_ACTORS = {"run", "agent"}
_HALTED = {"refused", "stopped"}
_DECIDING = {"gate", "approval", "budget", "stop", "repair", "validation"}


class Timeline:
    """The spans of one run, oldest first, and what is known about each from its neighbours."""

    def __init__(self, run: RunRow, spans: Sequence[AccountSpan]) -> None:
        self.run = run
        self.spans = sorted(spans, key=attrgetter("start_ns"))
        self.by_id: dict[str, AccountSpan] = {}
        for span in self.spans:
            self.by_id.setdefault(span.span_id, span)
        self.start_ns = self._start_ns()
        self.end_ns = max((span.end_ns for span in self.spans), default=self.start_ns)
        self.root = self._find_root()
        self.inner: dict[str, list[AccountSpan]] = defaultdict(list)
        """By the outer span's id: spans that are a second view of it."""
        self.second_views: set[str] = set()
        self.parents_known: set[str] = set()
        """Ids of spans that have children here."""
        self.error_parents: set[str] = set()
        """Ids of spans with a failed child here."""
        self.guarded: set[str] = set()
        """Ids of spans that a gate, an approval or a stop inside them decided about."""
        self.executed: set[str] = {span.tool for span in self.spans if span.layer == "tool"}
        self.beside: dict[str, AccountSpan] = {}
        """By the id of an agent's span: a sibling that was at work when it started."""
        self.retried: dict[str, list[AccountSpan]] = defaultdict(list)
        """By the id of a call: the retries that were made inside it."""
        self._who: dict[str, str] = {}
        self._repairing: dict[str, bool] = {}
        self._look_around()
        self._by_layer: dict[str, list[AccountSpan]] = defaultdict(list)
        for span in self.spans:
            if span.span_id not in self.second_views:
                # A call that was never made is no tool call: nothing ran, nothing can have changed.
                self._by_layer["refused" if is_refused(span) else span.layer].append(span)
        self.known: dict[str, Any] = {}
        """What :func:`once` keeps."""
        self.is_running = run.outcome == "running"
        self.is_ours = any(names.LAYER in span.facts for span in self.spans)
        """Whether the agent declares what it does through our SDK, so that silence means something."""
        self.last_ok: dict[tuple[str, str], int] = {}
        self._note_recoveries()

    def _start_ns(self) -> int:
        since_epoch = self.run.started_at.timestamp()
        # Microseconds survive in a datetime, so its own arithmetic is exact where floats are not.
        said = int(since_epoch) * 1_000_000_000 + self.run.started_at.microsecond * 1000
        return min([said, *(span.start_ns for span in self.spans[:1])])

    def _find_root(self) -> AccountSpan | None:
        root = self.by_id.get(self.run.root_span_id)
        if root is not None and root.layer in {"run", "agent", "step"}:
            return root
        tops = [span for span in self.spans if not span.parent_span_id and span.layer in _ACTORS]
        return tops[0] if tops else None

    def _look_around(self) -> None:
        at_work: dict[str, AccountSpan] = {}
        for span in self.spans:
            parent = self.parent(span)
            if parent is None:
                continue
            self.parents_known.add(parent.span_id)
            if span.status == "error":
                self.error_parents.add(parent.span_id)
            if span.layer in _DECIDING:
                self.guarded.add(parent.span_id)
            if span.layer == "retry" and parent.layer in {"tool", "retrieval", "memory"}:
                self.retried[parent.span_id].append(span)
            if span.layer == "agent":
                before = at_work.get(parent.span_id)
                if before is not None and before.end_ns > span.start_ns:
                    self.beside[span.span_id] = before
                at_work[parent.span_id] = span
            same_tool = span.layer == "tool" and span.tool == parent.tool
            if span.layer == parent.layer and (span.layer == "model" or same_tool):
                self.second_views.add(span.span_id)
                self.inner[parent.span_id].append(span)

    def _note_recoveries(self) -> None:
        for span in self.spans:
            if span.layer in {"tool", "model", "retrieval", "memory"} and is_done(span):
                self.last_ok[span.layer, span.tool] = span.start_ns

    def parent(self, span: AccountSpan) -> AccountSpan | None:
        """The parent, unless it is not stored (or the span claims to be its own)."""
        if not span.parent_span_id or span.parent_span_id == span.span_id:
            return None
        return self.by_id.get(span.parent_span_id)

    def ancestors(self, span: AccountSpan) -> Iterator[AccountSpan]:
        """Parent, grandparent and so on; ends on a circle."""
        seen = {span.span_id}
        above = self.parent(span)
        while above is not None and above.span_id not in seen:
            yield above
            seen.add(above.span_id)
            above = self.parent(above)

    def who(self, span: AccountSpan) -> str:
        """The sub-agent that acted; empty for the run's own agent."""
        name = span.agent or self._actor(span)
        return "" if name in {self.run.agent, self.run.service} else name

    def _actor(self, span: AccountSpan) -> str:
        path: list[str] = []
        found = ""
        for above in self.ancestors(span):
            known = self._who.get(above.span_id)
            if known is not None:
                found = known
                break
            path.append(above.span_id)
            if above.layer in _ACTORS:
                found = "" if above is self.root else above.agent or agent_name(above)
                break
        for span_id in path:
            self._who[span_id] = found
        return found

    def in_repair(self, span: AccountSpan) -> bool:
        """Whether it happened inside a repair loop that had something to repair."""
        path: list[str] = []
        found = False
        for above in self.ancestors(span):
            known = self._repairing.get(above.span_id)
            if known is not None:
                found = known
                break
            path.append(above.span_id)
            if above.layer == "repair":
                found = number(above, names.REPAIR_ATTEMPT) > 0
                break
        self._repairing.update(dict.fromkeys(path, found))
        return found

    def recovered(self, span: AccountSpan) -> bool:
        """Whether the same call succeeded later, so that this failure was absorbed."""
        return self.last_ok.get((span.layer, span.tool), -1) > span.start_ns

    def calls(self, layer: str) -> list[AccountSpan]:
        """The spans of a layer without second views; ``refused``: tool calls that were never made."""
        return self._by_layer.get(layer, [])

    def open_leaves(self) -> list[AccountSpan]:
        """Open spans with no open span inside: where the run stands or hangs."""
        waiting = {span.parent_span_id for span in self.spans if span.is_open}
        return [span for span in self.spans if span.is_open and span.span_id not in waiting]

    def line(
        self,
        span: AccountSpan,
        text: str,
        tone: Tone = "plain",
        detail: str = "",
        *,
        names_actor: bool = True,
    ) -> Line:
        """A sentence about ``span``, preceded by the sub-agent that acted. ``text`` begins with a word."""
        who = self.who(span) if names_actor else ""
        return Line(
            text=f"{label(who)}: {text[:1].lower()}{text[1:]}" if who else text,
            layer=span.layer,
            tone=tone,
            span_id=span.span_id,
            offset_ns=max(span.start_ns - self.start_ns, 0),
            duration_ns=span.duration_ns or None,
            detail=detail,
        )

    def at(self, elapsed_ns: int) -> str:
        """The wall-clock time ``elapsed_ns`` after the run's start, UTC."""
        when = self.run.started_at + timedelta(microseconds=elapsed_ns // 1000)
        return f"{when:%H:%M:%S} UTC"


def once(function: Callable[[Timeline], _T]) -> Callable[[Timeline], _T]:
    """Have an answer worked out once for each timeline: several questions share it."""
    key = f"{function.__module__}.{function.__qualname__}"

    @wraps(function)
    def answer(view: Timeline) -> _T:
        if key not in view.known:
            view.known[key] = function(view)
        result: _T = view.known[key]
        return result

    return answer


def is_done(span: AccountSpan) -> bool:
    """Whether it ended without an error, and nobody ended it."""
    return span.status != "error" and not span.is_open and not is_halted(span)


def is_answered(span: AccountSpan) -> bool:
    """Whether a cache or a recording gave the answer, and nothing was done for it."""
    return fact(span, names.CACHED) == "true"


def is_abandoned(span: AccountSpan) -> bool:
    """Whether what it gave was not read to its end."""
    return fact(span, names.ABANDONED) == "true"


def agent_name(span: AccountSpan) -> str:
    """The agent a span of layer ``agent`` or ``run`` is about."""
    if span.agent:
        return span.agent
    for prefix in _PREFIXES:
        if span.name.startswith(prefix) and len(span.name) > len(prefix):
            return span.name[len(prefix) :]
    return span.name


def label(text: str) -> str:
    """A recorded name, short and safe to show."""
    return words.excerpt(text, 60)


def error_kind(span: AccountSpan) -> str:
    """The type of its error without the module it lives in; empty when none is known."""
    kind = span.error_type
    return "" if kind in {"", "_OTHER"} else label(kind.rsplit(".", 1)[-1] or kind)


def fact(span: AccountSpan, name: str) -> str:
    """An attribute of the span, empty when it is not set."""
    return span.facts.get(name, "")


def number(span: AccountSpan, name: str) -> int:
    """An attribute that holds a whole number; 0 when it is not set or is no number."""
    try:
        return int(float(span.facts.get(name, "") or 0))
    except (ValueError, OverflowError):
        return 0


def is_refused(span: AccountSpan) -> bool:
    """Whether it is a tool call that a model asked for and the harness did not make."""
    return span.layer == "tool" and fact(span, names.TOOL_REFUSAL) not in {"", *_HALTED}


def is_halted(span: AccountSpan) -> bool:
    """Whether a gate, a resumption or a budget refused a tool call, or something inside of it."""
    return fact(span, names.TOOL_REFUSAL) in _HALTED


def effect(span: AccountSpan) -> str:
    """``read``, ``write``, or empty when it is not declared."""
    if span.layer == "retrieval":
        return "read"
    if span.layer == "memory":
        return fact(span, names.MEMORY_OPERATION)
    said = fact(span, names.TOOL_EFFECT)
    return said if said in {"read", "write"} else ""
