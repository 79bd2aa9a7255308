"""Which records the run read, and which tools it called."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import chain

from tachograph_schemas import names, words
from tachograph_schemas.account import decisions, payload
from tachograph_schemas.account.model import Line
from tachograph_schemas.account.sentences import (
    NOT_READ,
    failure,
    query,
    refused_call,
    result,
    store,
    tool_call,
)
from tachograph_schemas.account.timeline import (
    Timeline,
    effect,
    error_kind,
    fact,
    is_abandoned,
    label,
    once,
)
from tachograph_schemas.rows import AccountSpan

_MOST_LINES = 60
_MOST_CALLS = 1_000
"""Calls whose arguments are looked at; of the rest only the tool counts."""


@dataclass(slots=True)
class Alike:
    """Calls with the same arguments."""

    first: AccountSpan
    last: AccountSpan
    calls: int = 0
    failed: list[AccountSpan] = field(default_factory=list)
    open: int = 0

    def add(self, span: AccountSpan) -> None:
        """Count one more call."""
        self.calls += 1
        self.open += span.is_open
        if span.status == "error":
            self.failed.append(span)
        else:
            self.last = span


def alike(view: Timeline, spans: list[AccountSpan]) -> list[Alike]:
    """Calls put together by tool and arguments, in order of their first call."""
    groups: dict[tuple[str, str, str, str], Alike] = {}
    for span in spans[:_MOST_CALLS]:
        key = (span.layer, span.tool or span.name, view.who(span), span.input_text)
        if key not in groups:
            groups[key] = Alike(span, span)
        groups[key].add(span)
    return list(groups.values())


def read(view: Timeline) -> list[Line]:
    """The answer to: which records did it read?"""
    declared = [
        span
        for span in view.spans
        if span.layer in {"tool", "retrieval", "memory"}
        and span.span_id not in view.second_views
        and effect(span) == "read"
    ]
    lines = [_read_line(view, group) for group in alike(view, declared)]
    undeclared = [span for span in view.calls("tool") if not effect(span)]
    if undeclared:
        number = words.count(len(undeclared), "call")
        text = f"{number} of {_tools(undeclared)}; whether for reading or changing is not declared"
        lines.append(Line(text, "tool", span_id=undeclared[0].span_id))
        lines.extend(_read_line(view, group) for group in alike(view, undeclared))
    if not lines:
        return [Line(_nothing_read(view), "tool")]
    return capped(lines, "more reads")


def _nothing_read(view: Timeline) -> str:
    return (
        "No records were read"
        if view.is_ours and not requested_only(view)
        else "No read is recorded"
    )


def _read_line(view: Timeline, group: Alike) -> Line:
    span = group.last
    said = _what(span)
    failed = len(group.failed)
    detail = result(span) if span.status != "error" else ""
    if failed and failed == group.calls:
        text = f"{said}: failed{_often(failed)}, nothing came back ({failure(group.failed[-1])})"
        return view.line(span, text, "warn" if view.recovered(span) else "bad")
    if failed:
        kind = failure(group.failed[-1])
        text = f"{said}: failed {words.times(failed)} ({kind}), then answered"
        return view.line(span, text, "warn", detail)
    if group.open:
        return view.line(span, f"{said}: has not come back", "warn")
    retries = view.retried.get(span.span_id, ())
    if retries:
        why = error_kind(retries[-1]) or "it failed"
        text = f"{said}: answered at attempt {len(retries) + 1} ({why} before)"
        return view.line(span, text, "warn", detail)
    text = f"{said}{_often(group.calls)}"
    if is_abandoned(span):
        return view.line(span, f"{text}; {NOT_READ}", "warn", detail)
    return view.line(span, text, "plain", detail)


def _often(number: int) -> str:
    return f" {words.times(number)}" if number > 1 else ""


def _what(span: AccountSpan) -> str:
    if span.layer == "retrieval":
        return f"A search in {store(span)}{query(span)}"
    if span.layer == "memory":
        return f"Memory {payload.call(span.name, span.input_text)}"
    return f"Through {tool_call(span)}"


def _tools(spans: list[AccountSpan]) -> str:
    named = list(dict.fromkeys(label(span.tool or span.name) for span in spans))
    shown = named[:6]
    return words.joined([*shown, f"{len(named) - 6} others"] if len(named) > 6 else shown)


def capped(lines: list[Line], what: str) -> list[Line]:
    """At most a page of lines, the rest counted."""
    if len(lines) <= _MOST_LINES:
        return lines
    rest = lines[_MOST_LINES - 1 :]
    return [
        *lines[: _MOST_LINES - 1],
        Line(f"… and {len(rest):,} {what}", rest[0].layer),
    ]


def tools(view: Timeline) -> list[Line]:
    """The answer to: which tools did it call?"""
    by_tool: dict[str, list[AccountSpan]] = {}
    for span in view.calls("tool"):
        by_tool.setdefault(span.tool or span.name, []).append(span)
    retries = Counter(fact(span, names.RETRY_OF) for span in view.calls("retry"))
    for span in chain.from_iterable(view.retried.values()):
        above = view.parent(span)
        # A retry inside a call is often named after what was called there.
        if above is not None and fact(span, names.RETRY_OF) != above.tool:
            retries[above.tool or above.name] += 1
    lines = [_tool_line(view, name, spans, retries[name]) for name, spans in by_tool.items()]
    lines.extend(refused_call(view, span) for span in view.calls("refused")[:20])
    lines.extend(_refused(view))
    lines.extend(
        Line(f"{label(name)}: the model asked for it {words.times(number)}; no call is recorded", "tool")
        for name, number in requested_only(view).items()
    )  # fmt: skip
    return capped(lines, "more tools") or [
        Line("No tools were called" if view.is_ours else "No tool call is recorded", "tool")
    ]


def _tool_line(view: Timeline, name: str, spans: list[AccountSpan], retries: int) -> Line:
    failed = [span for span in spans if span.status == "error"]
    running = sum(span.is_open for span in spans)
    kinds = Counter(error_kind(span) for span in failed if error_kind(span))
    why = f" ({words.joined([kind for kind, _ in kinds.most_common(3)])})" if kinds else ""
    parts = [words.count(len(spans), "call")]
    if failed:
        parts.append(f"{len(failed):,} failed{why}")
    if retries:
        parts.append(words.count(retries, "retry announced", "retries announced"))
    if running:
        parts.append(f"{running:,} not come back")
    first = spans[0]
    facts = [
        {"read": "only reads", "write": "changes the world"}.get(effect(first), "effect not declared"),
        *(f"{word} {label(value)}" for word, value in (("risk", fact(first, names.TOOL_RISK)), ("scope", fact(first, names.TOOL_SCOPE))) if value),
    ]  # fmt: skip
    lost = failed and not any(view.recovered(span) for span in failed) and failed[-1] is spans[-1]
    return Line(
        text=f"{label(name)}: {', '.join(parts)}",
        layer="tool",
        tone="bad" if lost else "warn" if failed or running or retries else "plain",
        span_id=(failed[-1] if failed else first).span_id,
        offset_ns=max(first.start_ns - view.start_ns, 0),
        duration_ns=sum(span.duration_ns for span in spans) or None,
        detail=", ".join(facts).capitalize(),
    )


def _refused(view: Timeline) -> list[Line]:
    lines = []
    for span in view.calls("gate"):
        if (
            fact(span, names.GATE_VERDICT) == "deny"
            and fact(span, names.GATE_ACTION) != "proceeded"
        ):
            rule = label(fact(span, names.GATE_RULE) or span.name)
            proposed = payload.arguments(span.input_text, 120)
            text = (
                f"Refused: {proposed}, by the gate “{rule}”"
                if proposed
                else f"The gate “{rule}” refused to go on"
            )
            lines.append(view.line(span, text, "bad"))
    return lines[:20]


@once
def requested_only(view: Timeline) -> Counter[str]:
    """Tools that models asked for and that no tool span is about, with how often."""
    wanted: Counter[str] = Counter()
    calls = view.calls("model")
    for span in chain(calls[: _MOST_CALLS // 2], calls[_MOST_CALLS // 2 :][-_MOST_CALLS // 2 :]):
        for request in decisions.read(view, span).requests:
            if request.name not in view.executed:
                wanted[request.name] += 1
    return wanted
