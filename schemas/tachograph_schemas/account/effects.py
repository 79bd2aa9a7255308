"""What the run changed in the world, and who allowed it."""

from __future__ import annotations

from dataclasses import replace

from tachograph_schemas import names, words
from tachograph_schemas.account import harness, phrases
from tachograph_schemas.account.lookups import alike, capped, requested_only
from tachograph_schemas.account.model import Line
from tachograph_schemas.account.record import last_seconds, missing_spans
from tachograph_schemas.account.sentences import failure, halted, result, tool_call
from tachograph_schemas.account.timeline import (
    Timeline,
    effect,
    error_kind,
    fact,
    is_abandoned,
    is_answered,
    is_done,
    is_halted,
    label,
    number,
)
from tachograph_schemas.rows import AccountSpan

_FEW = 3
"""Up to so many failed calls of a kind are listed one by one."""


def changed(view: Timeline) -> list[Line]:
    """The answer to: what did it change in the world?"""
    tools = [span for span in view.calls("tool") if effect(span) == "write"]
    # A resumption goes once more through what had been done, and does none of it.
    writes = [span for span in tools if not is_answered(span)]
    done = [span for span in writes if is_done(span)]
    lines = [_done(view, group.first, group.calls) for group in alike(view, done)]
    lines.extend(_unsure(view, [span for span in writes if not is_done(span)]))
    lines.extend(_blocked(view))
    lines.extend(_remembered(view))
    unknown = _undeclared(view)
    if not done and (writes or unknown is None):
        lines.insert(0, _nothing(view, writes))
    lines = capped(lines, "more changes") + ([unknown] if unknown else [])
    return lines + last_seconds(view)


def _done(view: Timeline, span: AccountSpan, calls: int) -> Line:
    said = f"Carried out {tool_call(span)}"
    if is_abandoned(span):
        text = f"Carried out {tool_call(span)}, perhaps in part: its consumer stopped reading early"
        return view.line(span, text, "warn", result(span))
    if calls > 1:
        text = f"{said} {words.times(calls)}, with the same arguments each time"
        return view.line(span, text, "warn", result(span))
    return view.line(span, said, "good", result(span))


def _unsure(view: Timeline, writes: list[AccountSpan]) -> list[Line]:
    """Writes that failed or have not come back; many of a kind as one line."""
    kinds: dict[tuple[str, str, bool, bool], list[AccountSpan]] = {}
    for span in writes:
        refused = span.span_id in view.guarded and span.error_type.endswith("Refused")
        key = (span.tool, error_kind(span), span.is_open, refused)
        kinds.setdefault(key, []).append(span)
    lines: list[Line] = []
    for spans in kinds.values():
        if len(spans) <= _FEW or spans[0].is_open or is_halted(spans[0]):
            lines.extend(_perhaps(view, span) for span in spans)
            continue
        why = error_kind(spans[0]) or "an error"
        text = f"The calls of {label(spans[0].tool)} failed ({why}): each may have changed something all the same"
        line = view.line(
            spans[-1], text, "warn", f"First: {tool_call(spans[0])}. Last: {tool_call(spans[-1])}"
        )
        lines.append(replace(line, count=len(spans)))
    return lines


def _perhaps(view: Timeline, span: AccountSpan) -> Line:
    said = tool_call(span)
    if span.is_open:
        state = "is under way" if view.is_running else "had not come back when the record ends"
        return view.line(
            span, f"{said} {state}: it may have changed something", "warn", names_actor=False
        )
    if is_halted(span):
        return halted(view, span)
    inside = f"{said} failed ({failure(span)})"
    if span.span_id in view.guarded and span.error_type.endswith("Refused"):
        return view.line(span, f"The call {said} was refused before it did anything", "bad")
    return view.line(span, f"The call {inside}: it may have changed something all the same", "warn")


def _nothing(view: Timeline, writes: list[AccountSpan]) -> Line:
    if missing_spans(view):
        return Line("No change is recorded, but the record is not complete", "tool", "warn")
    if view.is_running:
        return Line("Nothing has been changed so far", "tool")
    if any(span.span_id not in view.guarded for span in writes):
        return Line("No change is confirmed", "tool", "warn")
    if view.run.outcome == "interrupted":
        return Line("No change is recorded", "tool", "warn")
    requested = requested_only(view)
    if requested:
        asked = words.joined([label(name) for name in list(requested)[:6]])
        return Line(
            f"No change is recorded; what came of {asked}, which the model asked for, is not recorded",
            "tool",
        )
    return Line("Nothing was changed" if view.is_ours else "No change is recorded", "tool")


def _blocked(view: Timeline) -> list[Line]:
    lines = [
        view.line(span, f"Not done, as it is out of this agent's scope: {tool_call(span)}", "bad")
        for span in view.calls("refused")[:20]
        if fact(span, names.TOOL_REFUSAL) == "out_of_scope"
    ]
    for span in view.calls("gate"):
        action = fact(span, names.GATE_ACTION)
        if action not in {"blocked", "dry_run", "escalated"}:
            continue
        proposed = phrases.proposal(span)
        what = f": {proposed}" if proposed else ""
        rule = label(fact(span, names.GATE_RULE) or span.name)
        if action == "escalated":
            continue
        if action == "dry_run":
            lines.append(view.line(span, f"Only tried out (dry run of the gate “{rule}”){what}"))
        else:
            text = (
                f"Prevented by the gate “{rule}”{what}"
                if proposed
                else f"The gate “{rule}” refused to go on"
            )
            lines.append(view.line(span, text, "bad", phrases.because(span).removeprefix(": ")))
    return lines


def _remembered(view: Timeline) -> list[Line]:
    return [
        view.line(span, f"Its own memory: {label(span.name)} {phrases.proposal(span)}".rstrip())
        for span in view.calls("memory")
        if effect(span) == "write" and is_done(span)
    ][:20]


def _undeclared(view: Timeline) -> Line | None:
    counted: dict[str, int] = {}
    first = None
    for span in view.calls("tool"):
        if not effect(span):
            first = first or span
            counted[span.tool or span.name] = counted.get(span.tool or span.name, 0) + 1
    if first is None:
        return None
    ranked = sorted(counted.items(), key=lambda item: -item[1])
    said = [f"{label(name)} {words.times(n)}" for name, n in ranked[:8]]
    if len(ranked) > 8:
        said.append(f"{len(ranked) - 8} other tools")
    total = sum(counted.values())
    whose = "its" if total == 1 else "their"
    return Line(
        f"{words.count(total, 'tool call')} may have changed something ({whose} effect on the world is not "
        f"declared): {words.joined(said)}",
        "tool",
        "warn",
        first.span_id,
    )


def approved(view: Timeline) -> list[Line]:
    """The answer to: who approved what, why, and how long did they take?"""
    asked = view.calls("approval")
    lines = [harness.sentence(view, span) for span in asked]
    if asked:
        people = [span for span in asked if not harness.nobody_to_ask(span)]
        waiting_ns = sum(number(span, names.WAITING_NS) for span in people)
        if waiting_ns and len(people) > 1:
            lines.append(
                Line(f"All in all it waited {words.duration(waiting_ns)} for people", "approval")
            )
        return capped(lines, "more requests")
    escalated = [
        span for span in view.calls("gate") if fact(span, names.GATE_VERDICT) == "escalate"
    ]
    if escalated:
        return [
            view.line(span, f"The gate “{label(fact(span, names.GATE_RULE) or span.name)}” wanted a person to decide; no answer is recorded", "warn")
            for span in escalated[:20]
        ]  # fmt: skip
    return [Line("Nobody was asked" if view.is_ours else "No approval is recorded", "approval")]
