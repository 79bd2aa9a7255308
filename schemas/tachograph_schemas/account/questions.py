"""The eight questions that a run must answer without its code, each with its lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from tachograph_schemas import names
from tachograph_schemas.account import (
    bill,
    decisions,
    effects,
    ending,
    harness,
    lookups,
    origin,
)
from tachograph_schemas.account.model import Line, Section
from tachograph_schemas.account.story import Gap, steps
from tachograph_schemas.account.timeline import Timeline, fact
from tachograph_schemas.rows import AccountSpan

_DECIDING = {
    "gate",
    "validation",
    "repair",
    "handoff",
    "fallback",
    "breaker",
    "eval",
    "stop",
    "context",
}
_MOST_LINES = 120


def decided(view: Timeline) -> list[Line]:
    """The answer to: what did it decide, and on what context?"""
    lines: list[Line] = []
    before: tuple[str, ...] = ()
    for step in steps(view):
        if isinstance(step, Gap):
            continue
        if step.layer == "model":
            decision = decisions.read(view, step)
            key = ("model", view.who(step), step.model, *decision.key)
            line = decisions.describe(view, decision)
        elif step.layer in _DECIDING or _stopped_by_budget(step):
            line = harness.sentence(view, step)
            key = (step.layer, line.text)
        else:
            continue
        if lines and key == before:
            lines[-1] = _once_more(lines[-1], line)
        else:
            lines.append(line)
        before = key
    if not lines:
        return [Line("No model call or other decision is recorded", "model")]
    return _shortened(lines)


def _once_more(line: Line, again: Line) -> Line:
    """Two alike decisions in a row, the arguments of the last beside those of the first."""
    first = line.text.partition(", …, ")[0]
    said = again.text.partition(" decided to call ")[2]
    text = f"{first}, …, {said}" if said and first != again.text else line.text
    return replace(line, text=text, count=line.count + 1)


def _stopped_by_budget(span: AccountSpan) -> bool:
    return span.layer == "budget" and bool(fact(span, names.BUDGET_ACTION))


def _shortened(lines: list[Line]) -> list[Line]:
    if len(lines) <= _MOST_LINES:
        return lines
    half = _MOST_LINES // 2
    left_out = sum(line.count for line in lines[half:-half])
    note = Line(
        f"{left_out:,} further decisions left out here; the tree shows every one",
        "model",
        count=left_out,
    )
    return [*lines[:half], note, *lines[-half:]]


_QUESTIONS: tuple[tuple[str, str, Callable[[Timeline], Iterable[Line]]], ...] = (
    ("trigger", "What triggered it?", origin.trigger),
    ("read", "Which records did it read?", lookups.read),
    ("tools", "Which tools did it call?", lookups.tools),
    ("decided", "What did it decide, and on what context?", decided),
    ("changed", "What did it change in the world?", effects.changed),
    ("approved", "Who approved what, and why?", effects.approved),
    ("stopped", "Where and why did it stop?", ending.stopped),
    ("cost", "What did it cost?", bill.cost),
)


def sections(view: Timeline) -> tuple[Section, ...]:
    """The eight answers, in their order."""
    return tuple(
        Section(key, question, tuple(answer(view))) for key, question, answer in _QUESTIONS
    )
