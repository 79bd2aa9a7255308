"""Why a run ended: from its end back to the first cause, one sentence a link. Deterministic, from the spans alone.

A link is taken only where the record shows it: the same tool failing before, the check inside the loop that gave up, the
answer of the model that asked for the call. Where nothing shows a cause, the chain ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from tachograph_schemas import names, words
from tachograph_schemas.account import decisions, ending
from tachograph_schemas.account.model import Line, Tone
from tachograph_schemas.account.repeats import repeats
from tachograph_schemas.account.sentences import sentence
from tachograph_schemas.account.timeline import Timeline, fact, is_refused, label, once
from tachograph_schemas.rows import AccountSpan

_MOST_LINKS = 6
_OFTEN = 3
_CALLS = {"tool", "model", "retrieval", "memory"}
_TROUBLE = {"repair", "validation", "gate", "approval", "fallback", "breaker"}
_NO = {
    "deny",
    "escalate",
    "fail",
    "gave_up",
    "refused",
    "timeout",
    "opened",
    "unknown",
    "out_of_scope",
}


class Link(NamedTuple):
    """A step, and how it led to the later one before it in the chain."""

    how: str
    """Empty for the step that ended the run."""
    span: AccountSpan
    says_more: bool = False
    """Whether ``how`` counts something that the step's own sentence does not."""


@once
def chain(view: Timeline) -> tuple[Line, ...]:
    """The verdict, then each step that led to it, the first cause last; empty while the run runs."""
    if view.is_running:
        return ()
    text, tone = ending.verdict(view)
    links = _links(view)
    lines = [_verdict(view, links[0].span if links else None, text, tone)]
    told = [sentence(view, span) for _, span, _ in links]
    # What went wrong first is the cause; what led there without being wrong is only how it came about.
    wrong = [at for at, line in enumerate(told) if at and line.tone != "plain"]
    for at, line in enumerate(told[1:], start=1):
        how = links[at].how
        if wrong[-1:] == [at]:
            how = f"It began here. {how}" if links[at].says_more else "It began here"
        lines.append(replace(line, text=f"{how}: {line.text[:1].lower()}{line.text[1:]}"))
    return tuple(lines)


def _verdict(view: Timeline, end: AccountSpan | None, text: str, tone: Tone) -> Line:
    """How it ended, tied to the step that ended it."""
    if end is None:
        return Line(text, "run", tone, view.run.root_span_id, view.run.duration_ns)
    told = sentence(view, end)
    return Line(text, end.layer, tone, end.span_id, told.offset_ns, detail=told.detail)


def _links(view: Timeline) -> list[Link]:
    end = _end(view)
    if end is None:
        return []
    links = [end]
    seen = {end.span.span_id}
    while len(links) < _MOST_LINKS:
        found = _behind(view, links[-1].span)
        if found is None or found.span.span_id in seen:
            break
        links.append(found)
        seen.add(found.span.span_id)
    return links


def _end(view: Timeline) -> Link | None:
    """The step that the end is about."""
    outcome = view.run.outcome
    if outcome == "failure":
        span = ending.culprit(view)
        return None if span is None else Link("", span)
    if outcome == "stopped":
        span = ending.stopper(view) or _last_no(view)
        return None if span is None else Link("", span)
    if outcome == "interrupted":
        leaves = [span for span in view.open_leaves() if span is not view.root]
        return Link("", leaves[-1]) if leaves else None
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
        return Link("The breaker had opened", breaker)
    first = _first_failure(view, span)
    if first is not span:
        return Link("It had failed like this before", first)
    inner = _last_inside(view, span, lambda each: each.layer in _TROUBLE and each.verdict in _NO)
    return Link("Inside it", inner) if inner is not None else _asked(view, span)


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
    if span.layer == "model":
        return None
    asked = _last(view, span, lambda each: each.layer == "model" and each.end_ns <= span.start_ns)
    if asked is None or asked.span_id in view.second_views:
        return None
    requests = decisions.read(view, asked).requests
    if not requests or (span.layer == "tool" and all(r.name != span.tool for r in requests)):
        return None
    return Link("Before that", asked)


def _before_budget(view: Timeline, span: AccountSpan) -> Link | None:
    """What used the budget up: a call that failed over and over, one that was repeated, else the tool called most."""
    failed = [each for each in view.calls("tool") if each.status == "error"]
    names_failed = Counter(each.tool for each in failed if not view.recovered(each))
    for name, most in names_failed.most_common(1):
        if most >= _OFTEN:
            first = next(each for each in failed if each.tool == name)
            return Link(f"It failed {words.times(most)} like this, from here on", first, True)
    found = repeats(view)
    for rule in (found.same_result, found.near_duplicates, found.same_call):
        if rule.first is not None and rule.at is not None:
            return Link(f"It did the same {words.times(rule.most)}, from here on", rule.first, True)
    tools = Counter(each.tool for each in view.calls("tool") if each.start_ns <= span.start_ns)
    if not tools:
        return None
    name, most = tools.most_common(1)[0]
    if most * 2 < tools.total() or most < _OFTEN:
        return None
    first = next(each for each in view.calls("tool") if each.tool == name)
    return Link(
        f"Of {tools.total():,} calls, {most:,} were of {label(name)}, from here on", first, True
    )


def _before_stop(view: Timeline, span: AccountSpan) -> Link | None:
    """The trouble nearest before a stop rule that nothing made good."""

    def is_trouble(each: AccountSpan) -> bool:
        if each.layer in _CALLS and each.status == "error":
            return not view.recovered(each) and each.span_id not in view.error_parents
        return each.layer == "fallback" or (each.layer in _TROUBLE and each.verdict in _NO)

    found = _last(view, span, is_trouble)
    return None if found is None else Link("Before that", found)


def _before_repair(view: Timeline, span: AccountSpan) -> Link | None:
    failed = _last_inside(
        view, span, lambda each: each.layer == "validation" and each.verdict == "fail"
    ) or _last(view, span, lambda each: each.layer == "validation" and each.verdict == "fail")
    return Link("The answer did not pass", failed) if failed is not None else _asked(view, span)


def _before_check(view: Timeline, span: AccountSpan) -> Link | None:
    """A failed check: the first time it failed, or the answer that it was about."""
    check = fact(span, names.VALIDATION_CHECK)
    for each in view.calls("validation"):
        if each.start_ns >= span.start_ns:
            break
        if each.verdict == "fail" and fact(each, names.VALIDATION_CHECK) == check:
            return Link("It had failed before", each)
    about = _last(
        view,
        span,
        lambda each: each.layer in _CALLS and not each.is_open and each.end_ns <= span.start_ns,
    )
    return None if about is None else Link("This is what it looked at", about)


def _before_gate(view: Timeline, span: AccountSpan) -> Link | None:
    """What a gate or a person had reason to refuse: a check that still failed, else what the model proposed."""
    open_checks: dict[str, AccountSpan] = {}
    for each in view.calls("validation"):
        if each.start_ns >= span.start_ns:
            break
        check = fact(each, names.VALIDATION_CHECK)
        if each.verdict == "fail":
            open_checks[check] = each
        else:
            open_checks.pop(check, None)
    if open_checks:
        return Link("A check had failed", list(open_checks.values())[-1])
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
    return None if failed is None else Link("Because of this", failed)


_FINDERS: dict[str, Callable[[Timeline, AccountSpan], Link | None]] = {
    "tool": _before_call,
    "model": _before_call,
    "retrieval": _before_call,
    "memory": _before_call,
    "budget": _before_budget,
    "stop": _before_stop,
    "repair": _before_repair,
    "validation": _before_check,
    "gate": _before_gate,
    "approval": _before_gate,
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
