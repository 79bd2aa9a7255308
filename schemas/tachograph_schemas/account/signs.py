"""Signs of trouble within one run, also while it runs: each a sentence, the step it is about, and a number.

They warn and never judge: what they are worth, and what they cannot see, is measured in docs/agents.md.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from operator import attrgetter

from tachograph_schemas import names, words
from tachograph_schemas.account import payload
from tachograph_schemas.account.model import Sign, Usual
from tachograph_schemas.account.repeats import Repeats, repeats
from tachograph_schemas.account.sentences import tool_call
from tachograph_schemas.account.timeline import Timeline, effect, fact, is_done, number, once
from tachograph_schemas.rows import AccountSpan

_CHECKS = {"validation", "eval", "retrieval"}
_GRAVE = {"high", "critical"}
_HEAD_CHARS = 160
"""Of a system prompt: enough to tell whether it is still there."""
_SHORTENED = 0.7
"""Share of the context from which on it counts as shortened without anybody saying so."""
_HALF = 0.5
_COMPARED = 100
"""Model calls at either end that are compared for their goal."""


def signs(view: Timeline, usual: Usual | None = None) -> tuple[Sign, ...]:
    """What to look at in the run, in order of time.

    Args:
        view: The run.
        usual: What successful runs of the same agent need; without it nothing is said about size.
    """
    found = [
        *_circles(repeats(view)),
        *_unchecked(view),
        *_forgotten(view),
        *(_large(view, usual) if usual is not None else ()),
    ]
    return tuple(
        sorted(
            (Sign(kind, view.line(span, text, "warn"), value) for kind, span, text, value in found),
            key=lambda sign: sign.line.offset_ns or 0,
        )
    )


_Found = tuple[str, AccountSpan, str, float]


def _circles(found: Repeats) -> list[_Found]:
    """Repeats; of several rules about the same calls, the gravest."""
    signs: list[_Found] = []
    same, result = found.same_call, found.same_result
    if result.at is not None:
        text = (
            f"Called {tool_call(result.at)} {words.times(result.most)} and got the same each time"
        )
        signs.append(("same_result", result.at, text, result.most))
    elif same.at is not None:
        text = f"Called {tool_call(same.at)} {words.times(same.most)}, each time with the same arguments"
        signs.append(("same_call", same.at, text, same.most))
    if found.near_duplicates.at is not None:
        most = found.near_duplicates.most
        text = f"The model said nearly the same {words.times(most)} within a few messages"
        signs.append(("near_duplicates", found.near_duplicates.at, text, most))
    if found.stale_steps.at is not None:
        most = found.stale_steps.most
        text = f"{words.count(most, 'step')} in a row brought no new words: nothing new was learned"
        signs.append(("stale_steps", found.stale_steps.at, text, most))
    return signs


def _unchecked(view: Timeline) -> list[_Found]:
    """A grave change with which the run called itself done, and no look at what it did."""
    if view.run.outcome != "success":
        return []
    writes = [span for span in view.calls("tool") if effect(span) == "write" and is_done(span)]
    grave = [span for span in writes if fact(span, names.TOOL_RISK) in _GRAVE]
    if not grave:
        return []
    last = grave[-1]
    for span in view.spans:
        if span.start_ns < last.end_ns or span is last:
            continue
        if span.layer in _CHECKS or effect(span) == "read":
            return []
    text = f"It called itself done without a check: nothing was read or verified after {tool_call(last)}"
    return [("unverified", last, text, 1)]


# --- what left the context ------------------------------------------------------------------------


def _forgotten(view: Timeline) -> list[_Found]:
    """Instructions or goal that were in front of the model before its history was shortened, and not after."""
    by_loop: dict[str, list[AccountSpan]] = {}
    for span in view.calls("model"):
        if span.input_text and not span.is_open:
            by_loop.setdefault(span.parent_span_id, []).append(span)
    compactions = [
        span.end_ns
        for span in view.calls("context")
        if number(span, names.CONTEXT_COMPACTED_FROM_TOKENS)
    ]
    for calls in by_loop.values():
        for before, after in pairwise(calls):
            said = any(before.start_ns <= at <= after.start_ns for at in compactions)
            if not said and not _shrank(before, after):
                continue
            lost = _lost(view, before, after)
            if lost:
                were = "were" if lost == "instructions" else "was"
                text = f"When the history was shortened, the {lost} {were} left out of the context"
                return [("forgotten", after, text, 1)]
    return []


def _shrank(before: AccountSpan, after: AccountSpan) -> bool:
    one, other = context_tokens(before), context_tokens(after)
    return bool(one and other and other < one * _SHORTENED)


def context_tokens(span: AccountSpan) -> int:
    """What was put in front of the model: all classes of input together; 0 when it is not known."""
    return (span.input_tokens or 0) + (span.cache_read_tokens or 0) + (span.cache_write_tokens or 0)


def _lost(view: Timeline, before: AccountSpan, after: AccountSpan) -> str:
    first, then = payload.messages(before.input_text), payload.messages(after.input_text)
    if not first or not then:
        return ""
    heads = [message.text[:_HEAD_CHARS] for message in first if message.role == "system"]
    shown = "\n".join(message.text for message in then)
    if heads and heads[0].strip() and heads[0] not in shown:
        # Another system prompt is another role, not a loss.
        return "" if any(message.role == "system" for message in then) else "instructions"
    goal = view.run.goal[:_HEAD_CHARS]
    in_first = goal.strip() and any(goal in message.text for message in first)
    # Of a history that was cut when read, only the beginning is known.
    is_whole = after.input_text.rstrip().endswith(("]", "}"))
    return "goal" if in_first and is_whole and goal not in shown else ""


# --- against what is usual ------------------------------------------------------------------------


def _large(view: Timeline, usual: Usual) -> list[_Found]:
    found: list[_Found] = []
    runs = f"than in 99 % of {usual.runs:,} successful runs of this agent"
    grown = next(
        (span for span in view.calls("model") if context_tokens(span) > usual.context_tokens_p99),
        None,
    )
    if usual.context_tokens_p99 and grown is not None:
        most = max(context_tokens(span) for span in view.calls("model"))
        text = f"The context grew to {most:,} tokens, more {runs} ({usual.context_tokens_p99:,.0f})"
        found.append(("context", grown, text, most / usual.context_tokens_p99))
    steps = sorted([*view.calls("model"), *view.calls("tool")], key=attrgetter("start_ns"))
    if usual.steps_p99 and len(steps) > usual.steps_p99:
        text = f"It has taken {len(steps):,} steps, more {runs} ({usual.steps_p99:,.0f})"
        found.append(("steps", steps[int(usual.steps_p99)], text, len(steps) / usual.steps_p99))
    burned = _burned(view, usual)
    return [*found, *([burned] if burned is not None else [])]


def _burned(view: Timeline, usual: Usual) -> _Found | None:
    """Money spent against what such runs cost, and against the progress that its checkpoints tell."""
    spent = view.run.cost_usd
    if not spent or not usual.cost_usd_p99:
        return None
    share = spent / usual.cost_usd_p99
    last = next((span for span in reversed(view.spans) if span.layer in {"model", "tool"}), None)
    if last is None:
        return None
    if share > 1:
        text = (
            f"It has cost {words.usd(spent)}, more than 99 % of {usual.runs:,} successful runs of this "
            f"agent did ({words.usd(usual.cost_usd_p99)})"
        )
        return ("spent", last, text, share)
    done = progress(view)
    if done is not None and share > _HALF and share > 2 * done:
        text = (
            f"{100 * share:.0f} % of what such runs cost is spent and {100 * done:.0f} % of the work is done, "
            "by its last checkpoint"
        )
        return ("spent", last, text, share)
    return None


def progress(view: Timeline) -> float | None:
    """Which part of the work the last checkpoint calls done, 0 to 1; ``None`` when none says."""
    for span in reversed(view.calls("checkpoint")):
        given = payload.parse(span.input_text) if span.input_text else None
        if not isinstance(given, Mapping):
            continue
        sizes = {
            key: len(given[key])
            for key in ("done", "in_flight", "todo")
            if isinstance(given.get(key), list)
        }
        if "done" in sizes and "todo" in sizes:
            return sizes["done"] / max(sum(sizes.values()), 1)
    return None


# --- numbers --------------------------------------------------------------------------------------


def numbers(view: Timeline) -> dict[str, float]:
    """Every measure as a number, whether it is worth a warning or not.

    ``goal_similarity`` (0 to 1, absent when there is nothing to compare) is only good for ranking runs: most of it is
    explained by their length.
    """
    found = repeats(view)
    measured: dict[str, float] = {
        "same_call": found.same_call.most,
        "same_result": found.same_result.most,
        "near_duplicates": found.near_duplicates.most,
        "stale_steps": found.stale_steps.most,
        "context_tokens": max(map(context_tokens, view.calls("model")), default=0),
    }
    similarity = goal_similarity(view)
    return measured if similarity is None else measured | {"goal_similarity": similarity}


@once
def goal_similarity(view: Timeline) -> float | None:
    """Cosine of the words of the first and of the last third of what the models said, 0 to 1."""
    calls = view.calls("model")
    third = min(len(calls) // 3, _COMPARED)
    if not third:
        return None
    one, other = _words(calls[:third]), _words(calls[-third:])
    size = math.sqrt(sum(n * n for n in one.values()) * sum(n * n for n in other.values()))
    both = sum(count * other[word] for word, count in one.items())
    return round(both / size, 3) if size else None


def _words(calls: list[AccountSpan]) -> Counter[str]:
    said = " ".join(payload.answer(span.output_text, 1_000) for span in calls)
    return Counter(said.lower().split())
