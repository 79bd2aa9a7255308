"""The run told in order of time: which steps are worth a sentence, and how alike ones become one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from tachograph_schemas import names, words
from tachograph_schemas.account import phrases
from tachograph_schemas.account.model import Line
from tachograph_schemas.account.sentences import sentence, together, tool_call
from tachograph_schemas.account.timeline import (
    Timeline,
    agent_name,
    effect,
    error_kind,
    fact,
    is_abandoned,
    is_halted,
    is_refused,
    label,
    once,
)
from tachograph_schemas.rows import AccountSpan

# Of a very long run its beginning, its end, and in between what was not routine are told.
_HEAD, _TAIL, _NOTABLE = 800, 400, 400
_LINES_HEAD, _LINES_TAIL = 250, 150
_PARALLEL = {"tool", "retrieval"}
_ROUTINE = {"model", "tool", "retrieval", "memory", "agent", "step", "context", "normalize"}
_LONGEST_CYCLE = 4
_FEW = 5


@dataclass(frozen=True, slots=True)
class Told:
    """A sentence, and what makes it alike to others."""

    line: Line
    key: tuple[str, ...]
    call: str = ""
    """What ends the sentence and differs between alike ones: a call with its arguments, a label."""
    general: str = ""
    """The sentence without what differs between alike ones."""
    steps: int = 1
    """How many steps it tells."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Steps that are not told one by one."""

    spans: tuple[AccountSpan, ...]


Step = AccountSpan | Gap


@once
def steps(view: Timeline) -> list[Step]:
    """The spans worth a sentence, in order; the middle of a very long run thinned out."""
    chosen = [span for span in view.spans if _is_told(view, span)]
    if not chosen:
        chosen = [span for span in view.spans if span.layer == "step" and span is not view.root]
    chosen.sort(key=lambda span: told_at(view, span))
    if len(chosen) <= _HEAD + _TAIL + _NOTABLE:
        return list(chosen)
    middle = chosen[_HEAD:-_TAIL]
    return [*chosen[:_HEAD], *_thinned(view, middle), *chosen[-_TAIL:]]


def _is_told(view: Timeline, span: AccountSpan) -> bool:
    if span is view.root or span.span_id in view.second_views:
        return False
    if span.layer == "agent":
        return not _wraps_itself(view, span)
    if span.layer == "step":
        # Frameworks wrap everything in chains; only a step that its author named says something.
        if fact(span, names.LAYER):
            return True
        failed = span.status == "error" and span.span_id not in view.error_parents
        return failed or (span.is_open and span.span_id not in view.parents_known)
    return True


def _wraps_itself(view: Timeline, span: AccountSpan) -> bool:
    """Whether an agent's span only repeats the agent around it, as workflows around one agent do."""
    parent = view.parent(span)
    if parent is None:
        return agent_name(span) == view.run.agent
    if parent is view.root:
        return agent_name(span) == view.run.agent
    return parent.layer == "agent" and agent_name(span) == agent_name(parent)


def told_at(view: Timeline, span: AccountSpan) -> int:
    """When a step is told: at its start, or at its end where what happened inside led to the outcome."""
    ends_the_tale = span.layer == "repair" or (
        span.layer == "tool" and span.span_id in view.guarded
    )
    return span.end_ns if ends_the_tale and not span.is_open else span.start_ns


def _is_notable(span: AccountSpan) -> bool:
    return (
        span.status == "error"
        or span.is_open
        or span.layer not in _ROUTINE
        or effect(span) == "write"
    )


def _thinned(view: Timeline, middle: list[AccountSpan]) -> list[Step]:
    kept: list[Step] = []
    silent: list[AccountSpan] = []
    told = 0
    for span in middle:
        if told < _NOTABLE and _is_notable(span):
            if silent:
                kept.append(Gap(tuple(silent)))
                silent = []
            kept.append(span)
            told += 1
        else:
            silent.append(span)
    if silent:
        kept.append(Gap(tuple(silent)))
    return kept


def tell(view: Timeline) -> list[Line]:
    """The sentences between the run's start and its end."""
    return _shortened(_folded(_sentences(view, steps(view))))


def _sentences(view: Timeline, chosen: list[Step]) -> list[Told]:
    told: list[Told] = []
    at = 0
    while at < len(chosen):
        step = chosen[at]
        if isinstance(step, Gap):
            told.append(Told(_gap(view, step), ("gap", str(at)), steps=len(step.spans)))
            at += 1
            continue
        group = _at_once(view, chosen, at)
        if len(group) > 1:
            line = together(view, group)
            told.append(Told(line, ("together", line.text), steps=len(group)))
        else:
            told.append(_one(view, step))
        at += len(group)
    return told


def _one(view: Timeline, span: AccountSpan) -> Told:
    line = sentence(view, span)
    line = replace(line, offset_ns=max(told_at(view, span) - view.start_ns, 0))
    if is_refused(span):
        return Told(line, ("refused", line.text))
    if span.layer == "tool" and not span.is_open:
        key = ("tool", span.tool, view.who(span), line.tone, error_kind(span))
        if is_abandoned(span) or is_halted(span):
            return Told(line, ("tool", line.text))
        if span.status != "error":
            return Told(line, key, call=tool_call(span))
        why = error_kind(span) or "an error"
        return Told(
            line, key, general=view.line(span, f"A call of {label(span.tool)} failed: {why}").text
        )
    if span.layer == "checkpoint" and fact(span, names.CHECKPOINT_ACTION) != "restored":
        label_told = phrases.quoted(span, names.CHECKPOINT_LABEL, "checkpoint ")
        return Told(line, ("checkpoint", view.who(span)), call=label_told)
    if span.layer == "retry":
        what = phrases.named(span, names.RETRY_OF, "retry ")
        kind = error_kind(span)
        general = view.line(
            span, f"An attempt of {what} failed{f' with {kind}' if kind else ''}; to be tried again"
        ).text
        return Told(line, ("retry", general), general=general)
    return Told(line, (span.layer, line.text))


def _at_once(view: Timeline, chosen: list[Step], at: int) -> list[AccountSpan]:
    """The calls from ``at`` on that all ran at the same moment under the same parent."""
    first = chosen[at]
    if isinstance(first, Gap):
        return []
    group = [first]
    alone = first.is_open or first.span_id in view.guarded or _is_unmade(first)
    if first.layer not in _PARALLEL or alone:
        return group
    earliest_end = first.end_ns
    for step in chosen[at + 1 :]:
        if isinstance(step, Gap) or step.layer not in _PARALLEL or step.is_open:
            break
        if step.parent_span_id != first.parent_span_id or step.span_id in view.guarded:
            break
        if _is_unmade(step):
            break
        if step.start_ns >= earliest_end or view.who(step) != view.who(first):
            break
        group.append(step)
        earliest_end = min(earliest_end, step.end_ns)
    return group


def _is_unmade(span: AccountSpan) -> bool:
    return is_refused(span) or is_halted(span)


def _gap(view: Timeline, gap: Gap) -> Line:
    said = _kinds(Counter(span.layer for span in gap.spans))
    return Line(
        text=f"{words.count(len(gap.spans), 'further step')} without anything unusual ({said})",
        offset_ns=max(gap.spans[0].start_ns - view.start_ns, 0),
    )


def _kinds(layers: Counter[str]) -> str:
    nouns = {"model": "model call", "tool": "tool call", "retrieval": "search"}
    return ", ".join(
        words.count(number, nouns.get(layer, f"{label(layer)} step"))
        for layer, number in layers.most_common(4)
    )


# --- folding ------------------------------------------------------------------------------------


def _folded(told: list[Told]) -> list[Told]:
    """Alike steps in a row become one, and so do short cycles that repeat."""
    folded: list[Told] = []
    at = 0
    while at < len(told):
        period, rounds = _cycle(told, at)
        if rounds > 1:
            block = told[at : at + period * rounds]
            folded.extend(_merged(block[each::period]) for each in range(period))
            if period > 1:
                note = f"These {period} steps took turns {words.times(rounds)}"
                first = folded[-period]
                detail = ". ".join(filter(None, [note, first.line.detail]))
                folded[-period] = replace(first, line=replace(first.line, detail=detail))
            at += period * rounds
        else:
            folded.append(told[at])
            at += 1
    return folded


def _cycle(told: list[Told], at: int) -> tuple[int, int]:
    """The shortest cycle that starts at ``at`` and repeats, and how often; (1, 1) when none does."""
    for period in range(1, _LONGEST_CYCLE + 1):
        rounds = 1
        same = True
        while _same_block(told, at, at + rounds * period, period):
            for each in range(at, at + period):
                same = same and told[each].line.text == told[each + rounds * period].line.text
            rounds += 1
        # Calls that differ in their arguments tell more one by one, as long as they are few.
        enough = 2 if same and period == 1 else 3 if same else _FEW
        if rounds >= enough:
            return period, rounds
    return 1, 1


def _same_block(told: list[Told], one: int, other: int, length: int) -> bool:
    if other + length > len(told):
        return False
    return all(told[one + each].key == told[other + each].key for each in range(length))


def _merged(alike: list[Told]) -> Told:
    first, last = alike[0], alike[-1]
    text, detail = first.line.text, first.line.detail
    if text != last.line.text and first.call:
        text = f"{text}, …, {last.call}"
    elif text != last.line.text and first.general:
        text = first.general
        detail = f"First: {first.line.text}. Last: {last.line.text}"
    durations = sum(each.line.duration_ns or 0 for each in alike)
    line = replace(
        first.line, text=text, detail=detail, count=len(alike), duration_ns=durations or None
    )
    return replace(first, line=line, steps=sum(each.steps for each in alike))


def _shortened(told: list[Told]) -> list[Line]:
    """At most a few hundred sentences: what is left out of the middle is counted, in steps."""
    if len(told) <= _LINES_HEAD + _LINES_TAIL:
        return [each.line for each in told]
    middle = told[_LINES_HEAD:-_LINES_TAIL]
    kept = [each for each in middle if each.line.tone != "plain"][:_LINES_TAIL]
    left_out = sum(each.steps for each in middle) - sum(each.steps for each in kept)
    note = Line(
        text=f"{words.count(left_out, 'further step')} left out here; the tree shows every one",
        offset_ns=middle[0].line.offset_ns,
    )
    ends = [each.line for each in told[:_LINES_HEAD]], [each.line for each in told[-_LINES_TAIL:]]
    return [*ends[0], note, *(each.line for each in kept), *ends[1]]
