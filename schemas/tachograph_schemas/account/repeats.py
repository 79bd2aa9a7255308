"""Whether an agent goes round in circles: the same calls, the same words, nothing new. No model, no network.

Each rule gives the step at which it first fired, so that it can warn while the run still runs. What they are worth is
measured (``python -m tests.benchmarks within_run``, docs/agents.md).
"""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass, field

from tachograph_schemas import names
from tachograph_schemas.account import payload
from tachograph_schemas.account.timeline import Timeline, fact, is_refused, once
from tachograph_schemas.rows import AccountSpan

SAME_RESULT, SAME_CALL, NEAR_DUPLICATES, STALE_STEPS = 3, 5, 3, 5
"""How often each must happen before it is worth a warning."""
_WINDOW = 6
"""Messages looked back at for one that is nearly the same."""
_ALIKE = 0.6
"""Jaccard index of two messages' word triples from which on they count as nearly the same."""
_NEW_SHARE = 0.05
"""Of a step's words; a step with fewer new ones is stale."""
_FEWEST_WORDS = 8
"""Shorter texts are alike by nature: "OK", "Done"."""
_MOST_STEPS = 4_000
"""Of a longer run only these many steps are looked at, from its beginning."""
_WORD = re.compile(r"\w+")


@dataclass(slots=True)
class Repeat:
    """One rule on one run."""

    most: int = 0
    """The highest count that was reached."""
    at: AccountSpan | None = None
    """The step at which it reached what is worth a warning; ``None`` while it has not."""
    first: AccountSpan | None = None
    """The first of the alike steps."""

    def count(self, number: int, enough: int, at: AccountSpan, first: AccountSpan) -> None:
        """The rule stands at ``number`` when ``at`` happened."""
        if number >= enough and self.at is None:
            self.at = at
        if number > self.most:
            self.most, self.first = number, first


@dataclass(slots=True)
class Repeats:
    """All rules on one run."""

    same_call: Repeat = field(default_factory=Repeat)
    same_result: Repeat = field(default_factory=Repeat)
    near_duplicates: Repeat = field(default_factory=Repeat)
    stale_steps: Repeat = field(default_factory=Repeat)


@once
def repeats(view: Timeline) -> Repeats:
    """What repeats in the run, as far as it has come."""
    found = Repeats()
    calls, results, words_seen = _Calls(view, found), _Messages(found), _Novelty(found)
    looked = 0
    for span in view.spans:
        if span.layer not in {"model", "tool"} or span.span_id in view.second_views:
            continue
        if is_refused(span):
            continue
        looked += 1
        if looked > _MOST_STEPS:
            break
        if span.layer == "tool":
            calls.see(span)
            words_seen.see(span, f"{span.input_text} {span.output_text}")
        elif not span.is_open:
            said = _said(view, span)
            results.see(span, said)
            words_seen.see(span, said)
    return found


class _Calls:
    """Calls of a tool with the same arguments, and those of them that gave the same."""

    def __init__(self, view: Timeline, found: Repeats) -> None:
        self._found = found
        self._calls: Counter[tuple[str, str]] = Counter()
        self._results: Counter[tuple[str, str, str]] = Counter()
        self._first: dict[tuple[str, ...], AccountSpan] = {}
        # What a retry announces is the harness at work, not an agent in a circle.
        self._retried = {fact(span, names.RETRY_OF) for span in view.calls("retry")}

    def see(self, span: AccountSpan) -> None:
        if span.status == "error" and span.tool in self._retried:
            return
        call = (span.tool or span.name, " ".join(span.input_text.split()))
        self._calls[call] += 1
        first = self._first.setdefault(call, span)
        self._found.same_call.count(self._calls[call], SAME_CALL, span, first)
        if span.is_open:
            return
        given = (*call, f"{span.status_message}{span.output_text}")
        self._results[given] += 1
        first = self._first.setdefault(given, span)
        self._found.same_result.count(self._results[given], SAME_RESULT, span, first)


class _Messages:
    """Messages of the model that say nearly what one of the last few said."""

    def __init__(self, found: Repeats) -> None:
        self._found = found
        self._last: deque[tuple[frozenset[tuple[str, ...]], AccountSpan]] = deque(maxlen=_WINDOW)

    def see(self, span: AccountSpan, said: str) -> None:
        spoken = _WORD.findall(said.lower())
        if len(spoken) < _FEWEST_WORDS:
            return
        triples = frozenset(zip(spoken, spoken[1:], spoken[2:], strict=False))
        alike = [before for known, before in self._last if _jaccard(known, triples) > _ALIKE]
        if alike:
            rule = self._found.near_duplicates
            rule.count(len(alike) + 1, NEAR_DUPLICATES, span, alike[0])
        self._last.append((triples, span))


def _jaccard(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    both = len(one & other)
    return both / (len(one) + len(other) - both)


class _Novelty:
    """Steps in a row whose words were nearly all said before."""

    def __init__(self, found: Repeats) -> None:
        self._found = found
        self._known: set[str] = set()
        self._stale: list[AccountSpan] = []

    def see(self, span: AccountSpan, text: str) -> None:
        spoken = set(_WORD.findall(text.lower()))
        new = spoken - self._known
        self._known |= new
        if not spoken:
            return
        if len(new) >= _NEW_SHARE * len(spoken):
            self._stale = []
            return
        self._stale.append(span)
        rule = self._found.stale_steps
        rule.count(len(self._stale), STALE_STEPS, span, self._stale[0])


def _said(view: Timeline, span: AccountSpan) -> str:
    """What a model said and asked for, in one text."""
    text = next(
        (
            each.output_text
            for each in (span, *view.inner.get(span.span_id, ()))
            if each.output_text
        ),
        "",
    )
    found = payload.messages(text) if text else []
    said = [message.text for message in found]
    said += [
        f"{request.name} {request.arguments}" for message in found for request in message.requests
    ]
    return " ".join(said)
