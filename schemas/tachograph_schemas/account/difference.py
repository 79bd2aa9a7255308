"""Where two runs part: the first step at which one did something else than the other.

A step is what an agent's surroundings saw of it: a call with its arguments, a verdict, a decision of a person. What a
model said is no step of its own: two runs that say it differently and do the same have not parted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tachograph_schemas import words
from tachograph_schemas.account.model import Line
from tachograph_schemas.account.sentences import sentence
from tachograph_schemas.account.timeline import Timeline, is_refused
from tachograph_schemas.rows import AccountSpan, RunRow

_SEEN = {
    "tool", "retrieval", "gate", "validation", "repair", "approval", "fallback", "breaker", "handoff", "stop", "budget", "eval",
}  # fmt: skip
_MOST_STEPS = 2_000


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a run left the road of another."""

    same_steps: int
    """How many steps they have in common from the beginning."""
    here: Line | None
    """The first step that differs; ``None`` when this run ended there."""
    there: Line | None
    """What the other run did instead; ``None`` when it ended there."""
    what: str
    """``arguments``: the same step with others; ``outcome``: it went otherwise; ``step``: another step; ``nothing``."""


def first_difference(
    run: RunRow, spans: Sequence[AccountSpan], other: RunRow, other_spans: Sequence[AccountSpan]
) -> Difference:
    """Compare two runs from their beginning on; pure, looks at a bounded number of steps."""
    one, two = Timeline(run, spans), Timeline(other, other_spans)
    mine, theirs = _steps(one), _steps(two)
    at = 0
    while at < min(len(mine), len(theirs)) and _key(mine[at]) == _key(theirs[at]):
        at += 1
    here = mine[at] if at < len(mine) else None
    there = theirs[at] if at < len(theirs) else None
    return Difference(at, _told(one, here), _told(two, there), _what(here, there))


def _steps(view: Timeline) -> list[AccountSpan]:
    found = [
        span
        for span in view.spans
        if span.layer in _SEEN and span.span_id not in view.second_views and not is_refused(span)
    ]
    return found[:_MOST_STEPS]


def _kind(span: AccountSpan) -> tuple[str, str]:
    return span.layer, span.tool or span.name


def _outcome(span: AccountSpan) -> tuple[str, str]:
    return span.verdict, "error" if span.status == "error" else ""


def _key(span: AccountSpan) -> tuple[object, ...]:
    given = " ".join(span.input_text.split()) if span.layer in {"tool", "retrieval"} else ""
    return (*_kind(span), *_outcome(span), given)


def _what(here: AccountSpan | None, there: AccountSpan | None) -> str:
    if here is None and there is None:
        return "nothing"
    if here is None or there is None or _kind(here) != _kind(there):
        return "step"
    return "outcome" if _outcome(here) != _outcome(there) else "arguments"


def _told(view: Timeline, span: AccountSpan | None) -> Line | None:
    if span is None:
        return None
    return sentence(view, span)


def lines(difference: Difference) -> tuple[Line, ...]:
    """The comparison in sentences; the step of the other run has no link here."""
    if difference.what == "nothing":
        return (
            Line(
                f"All {difference.same_steps:,} steps are the same as in that run: they differ in what the model said only"
            ),
        )
    same = difference.same_steps
    told = [
        Line(
            "It parted from that run at the first step"
            if not same
            else f"The first {words.count(same, 'step')} {'is' if same == 1 else 'are'} the same; then they part"
        )
    ]
    ended = "ended there"
    here = difference.here
    told.append(
        replace(here, text=f"Here: {_lower(here.text)}") if here else Line(f"This run {ended}")
    )
    there = difference.there
    told.append(
        replace(
            there, text=f"There: {_lower(there.text)}", span_id="", offset_ns=None, duration_ns=None
        )
        if there
        else Line(f"That run {ended}")
    )
    return tuple(told)


def _lower(text: str) -> str:
    return f"{text[:1].lower()}{text[1:]}"
