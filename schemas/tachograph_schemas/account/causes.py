"""Why a run ended: from its end back to the first cause, one sentence a link. Deterministic, from the spans alone.

A link is taken only where the record shows it: the same tool failing before, the check inside the loop that gave up, the
answer of the model that asked for the call. Where nothing shows a cause, the chain ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from tachograph_schemas import names, words
from tachograph_schemas.account import decisions, ending
from tachograph_schemas.account.model import Line
from tachograph_schemas.account.repeats import repeats
from tachograph_schemas.account.sentences import sentence
from tachograph_schemas.account.timeline import Timeline, fact, is_refused, label, once
from tachograph_schemas.rows import AccountSpan

_MOST_LINKS = 6
_CALLS = {"tool", "model", "retrieval", "memory"}
_TROUBLE = {"repair", "validation", "gate", "approval", "fallback", "breaker"}
_NO = {"deny", "escalate", "fail", "gave_up", "refused", "timeout", "opened", "unknown", "out_of_scope"}

Link = tuple[str, AccountSpan]
"""How the earlier step leads to the later one, and the earlier step."""


@once
def chain(view: Timeline) -> tuple[Line, ...]:
    """The verdict, then each step that led to it, the first cause last; empty while the run runs."""
    if view.is_running:
        return ()
    text, tone = ending.verdict(view)
    lines = [Line(text, "run", tone, view.run.root_span_id, view.run.duration_ns)]
    links = _links(view)
    for at, (how, span) in enumerate(links):
        told = sentence(view, span)
        lead = "It began here" if at == len(links) - 1 and at else how
        lines.append(replace(told, text=f"{lead}: {told.text[:1].lower()}{told.text[1:]}"))
    return tuple(lines)


def _links(view: Timeline) -> list[Link]:
    end = _end(view)
    if end is None:
        return []
    links = [end]
    seen = {end[1].span_id}
    while len(links) < _MOST_LINKS:
        found = _behind(view, links[-1][1])
        if found is None or found[1].span_id in seen:
            break
        links.append(found)
        seen.add(found[1].span_id)
    return links


def _end(view: Timeline) -> Link | None:
    """The step that the end is about."""
    outcome = view.run.outcome
    if outcome == "failure":
        span = ending.culprit(view)
        return None if span is None else ("Because of this", span)
    if outcome == "stopped":
        span = ending.stopper(view) or _last_no(view)
        return None if span is None else ("Because of this", span)
    if outcome == "interrupted":
        leaves = [span for span in view.open_leaves() if span is not view.root]
        return ("It was in the middle of this", leaves[-1]) if leaves else None
    return None


def _last_no(view: Timeline) -> AccountSpan | None:
    """The last gate or person that refused: what ends a run that did not say which rule stopped it."""
    said_no = [
        span
        for span in view.spans
        if span.layer in {"gate", "approval"} and span.verdict in _NO and not is_refused(span)
    ]
    return said_no[-1] if said_no else None


def _behind(view: Timeline, span: AccountSpan) -> Link | None:
    """What led to ``span``, as far as the record shows it."""
    find = _FINDERS.get(span.layer)
    return find(view, span) if find is not None else None


def _before_call(view: Timeline, span: AccountSpan) -> Link | None:
    """A failed call: the breaker that refused it, its first failure, or the model that asked for it."""
    if span.status != "error":
        return _asked(view, span)
    breaker = _last(view, span, lambda each: each.layer == "breaker" and each.verdict == "opened")
    if breaker is not None and "breaker" in f"{span.error_type}{span.status_message}".lower():
        return "The breaker had opened", breaker
    first = _first_failure(view, span)
    if first is not span:
        return "It had failed like this before", first
    inner = _last_inside(view, span, lambda each: each.layer in _TROUBLE and each.verdict in _NO)
    return ("Inside it", inner) if inner is not None else _asked(view, span)


def _first_failure(view: Timeline, span: AccountSpan) -> AccountSpan:
    """The first failure of the same call since it last succeeded."""
    first = span
    for each in view.spans:
        if each.start_ns > span.start_ns:
            break
        if each.layer != span.layer or each.tool != span.tool or each.span_id in view.second_views:
            continue
        if each.status != "error":
            first = span
        elif first is span:
            first = each
    return first


def _asked(view: Timeline, span: AccountSpan) -> Link | None:
    """The model call whose answer asked for this one, with these words or else by its name."""
    if span.layer not in {"tool", "gate", "approval", "validation", "repair"}:
        return None
    asked = _last(view, span, lambda each: each.layer == "model" and each.end_ns <= span.start_ns)
    if asked is None or asked.span_id in view.second_views:
        return None
    requests = decisions.read(view, asked).requests
    if span.layer == "tool" and requests and all(each.name != span.tool for each in requests):
        return None
    return "The model had decided so", asked


def _before_budget(view: Timeline, span: AccountSpan) -> Link | None:
    """What used the budget up: the call that was repeated, else the tool called most."""
    found = repeats(view)
    for rule in (found.same_result, found.near_duplicates, found.same_call):
        if rule.first is not None and rule.at is not None:
            return f"It did the same {words.times(rule.most)}, from here on", rule.first
    tools = Counter(each.tool for each in view.calls("tool") if each.start_ns <= span.start_ns)
    if not tools:
        return None
    name, most = tools.most_common(1)[0]
    if most * 2 < tools.total() or most < 3:
        return None
    first = next(each for each in view.calls("tool") if each.tool == name)
    return f"Of {tools.total():,} calls, {most:,} were of {label(name)}, from here on", first


def _before_stop(view: Timeline, span: AccountSpan) -> Link | None:
    """The trouble nearest before a stop rule that nothing made good."""

    def is_trouble(each: AccountSpan) -> bool:
        if each.layer in _CALLS and each.status == "error":
            return not view.recovered(each) and each.span_id not in view.error_parents
        return each.layer == "fallback" or (each.layer in _TROUBLE and each.verdict in _NO)

    found = _last(view, span, is_trouble)
    return None if found is None else ("Before that", found)


def _before_repair(view: Timeline, span: AccountSpan) -> Link | None:
    failed = _last_inside(
        view, span, lambda each: each.layer == "validation" and each.verdict == "fail"
    ) or _last(view, span, lambda each: each.layer == "validation" and each.verdict == "fail")
    return ("The answer did not pass", failed) if failed is not None else _asked(view, span)


def _before_check(view: Timeline, span: AccountSpan) -> Link | None:
    """A failed check: the first time it failed, or the answer that it was about."""
    check = fact(span, names.VALIDATION_CHECK)
    for each in view.calls("validation"):
        if each.start_ns >= span.start_ns:
            break
        if each.verdict == "fail" and fact(each, names.VALIDATION_CHECK) == check:
            return "It had failed before", each
    return _asked(view, span)


def _before_fallback(view: Timeline, span: AccountSpan) -> Link | None:
    """The failure that a stand-in or an open breaker answers to."""
    failed = _last(
        view,
        span,
        lambda each: (
            (each.layer in _CALLS and each.status == "error")
            or (each.layer == "breaker" and each.verdict == "opened" and each is not span)
        ),
    )
    return None if failed is None else ("Because of this", failed)


_FINDERS: dict[str, Callable[[Timeline, AccountSpan], Link | None]] = {
    "tool": _before_call,
    "model": _before_call,
    "retrieval": _before_call,
    "memory": _before_call,
    "budget": _before_budget,
    "stop": _before_stop,
    "repair": _before_repair,
    "validation": _before_check,
    "gate": _asked,
    "approval": _asked,
    "fallback": _before_fallback,
    "breaker": _before_fallback,
}


def _last(
    view: Timeline, span: AccountSpan, matches: Callable[[AccountSpan], bool]
) -> AccountSpan | None:
    """The last matching step that began before ``span``."""
    found = None
    for each in view.spans:
        if each.start_ns >= span.start_ns:
            break
        if each.span_id not in view.second_views and matches(each):
            found = each
    return found


def _last_inside(
    view: Timeline, span: AccountSpan, matches: Callable[[AccountSpan], bool]
) -> AccountSpan | None:
    found = None
    for each in view.spans:
        if span.start_ns <= each.start_ns <= span.end_ns and each is not span and matches(each):
            found = each
    return found
