"""What steps cost beside tokens, and answers that cost nothing: facts on the span that this code is in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import Span, get_current_span

from tachograph import _recorder, _spending
from tachograph._facts import begin, fit, misused, price
from tachograph._given import text
from tachograph._guard import guarded
from tachograph._waits import Mutex
from tachograph_schemas import names

_HOUR_S = 3_600
_adding = Mutex()
"""Sums are read and written again: threads may share a span."""


def cost(
    usd: float | None = None,
    *,
    human_s: float | None = None,
    usd_per_hour: float | None = None,
    what: str = "",
) -> None:
    """Record what the tool, step or run that this code is in has cost beside the model's tokens.

    Said several times, it adds up. Budgets in dollars count ``usd``; the time of people they do not.

    Args:
        usd: US dollars for a paid API, a search, a machine.
        human_s: Seconds that a person worked on it, paid at ``usd_per_hour``.
        usd_per_hour: What an hour of that person costs, US dollars.
        what: What was paid for, in a few words.
    """
    if usd is None and human_s is None:
        misused("cost", "say what it cost: usd=0.02, or human_s=600 with usd_per_hour=90")
    if (human_s is None) != (usd_per_hour is None):
        misused("cost", "human_s and usd_per_hour belong together")
    spent_usd = price("cost", usd)
    people_usd = (price("cost", human_s) or 0.0) / _HOUR_S * (price("cost", usd_per_hour) or 0.0)
    if spent_usd:
        _spending.charge(spent_usd)
    if _recorder.active() is None:
        return
    with guarded("recording a cost"), _adding:
        span = get_current_span()
        own = _attributes(span)
        sums = {names.COST_USD: spent_usd, names.COST_HUMAN_USD: people_usd or None}
        added = {key: own.get(key, 0.0) + given for key, given in sums.items() if given is not None}
        paid_for = [*filter(None, [own.get(names.COST_WHAT)]), *filter(None, [text(what)])]
        _say(span, {**added, names.COST_WHAT: ", ".join(dict.fromkeys(paid_for)) or None})


def cache_hit(
    *,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    by: str = "",
) -> None:
    """Record that the model or tool call that this code is in was answered from a cache of the agent's own.

    It then costs nothing, and what it would have cost is shown as saved: for a tool its ``cost_usd``, for a model
    the tokens of the answer that was kept.

    Args:
        input_tokens: Of the call that the answer is from, prompt caches included.
        output_tokens: Of that answer.
        by: Which cache, in a few words.
    """
    if _recorder.active() is None:
        return
    _spending.answered_by_cache()
    with guarded("recording a cached answer"):
        said = {
            names.CACHED: True,
            names.GEN_AI_USAGE_INPUT_TOKENS: input_tokens,
            names.GEN_AI_USAGE_OUTPUT_TOKENS: output_tokens,
            names.CACHED_BY: text(by),
        }
        _say(get_current_span(), said)


def say_answered() -> None:
    """On the effect under way: a recording has its answer, so nothing happens and nothing is paid."""
    _say(get_current_span(), {names.CACHED: True, names.CACHED_BY: "the recording"})


def _attributes(span: Span) -> Mapping[str, Any]:
    return getattr(span, "attributes", None) or {}


def _say(span: Span, facts: Mapping[str, Any]) -> None:
    if not span.is_recording():
        # Outside of everything recorded: a fact by itself.
        begin("other", "cost", facts).end()
        return
    for key, value in fit(facts).items():
        span.set_attribute(key, value)


def _renew_lock() -> None:
    global _adding
    _adding = Mutex()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
