"""What a run cost beside the model's tokens, what it did not have to pay, and numbers that do not add up."""

from __future__ import annotations

from collections.abc import Callable

from tachograph_schemas import names, words
from tachograph_schemas.account.model import Line
from tachograph_schemas.account.timeline import Timeline, fact, label
from tachograph_schemas.rows import AccountSpan
from tachograph_schemas.rows_costs import ODD_USAGE

_MOST_NAMES = 5


def lines(view: Timeline) -> list[Line]:
    """Sentences; none where there is nothing to say."""
    return [*_paid(view), *_saved(view), *_odd(view)]


def _paid(view: Timeline) -> list[Line]:
    run, found = view.run, []
    if run.tool_cost_usd is not None:
        names_of = _dearest(view, lambda span: span.tool_cost_usd)
        text = f"{words.usd(run.tool_cost_usd)} for tools and services beside the model: {names_of}"
        found.append(Line(text, "tool"))
    if run.human_cost_usd is not None:
        names_of = _dearest(view, lambda span: span.human_cost_usd)
        text = f"{words.usd(run.human_cost_usd)} for the time of people: {names_of}"
        found.append(Line(text, "approval"))
    if found and run.cost_usd is not None:
        whole = run.cost_usd + (run.tool_cost_usd or 0.0) + (run.human_cost_usd or 0.0)
        least = "at least " if run.unpriced_calls else ""
        found.append(Line(f"All together {least}{words.usd(whole)}", "run"))
    return found


def _dearest(view: Timeline, amount: Callable[[AccountSpan], float | None]) -> str:
    spent: dict[str, float] = {}
    for span in view.spans:
        usd = amount(span)
        if usd is not None:
            name = label(span.tool or fact(span, names.COST_WHAT) or span.name)
            spent[name] = spent.get(name, 0.0) + usd
    ranked = sorted(spent.items(), key=lambda item: -item[1])
    said = [f"{name} {words.usd(usd)}" for name, usd in ranked[:_MOST_NAMES]]
    if len(ranked) > _MOST_NAMES:
        said.append(f"{len(ranked) - _MOST_NAMES:,} more")
    return ", ".join(said)


def _saved(view: Timeline) -> list[Line]:
    spans = [span for span in view.spans if fact(span, names.CACHED)]
    if not spans:
        return []
    answers = words.count(len(spans), "answer")
    saved = view.run.saved_usd
    if saved is None:
        return [Line(f"{answers} came from a cache and cost nothing", "model")]
    return [Line(f"{answers} came from a cache: {words.usd(saved)} saved", "model", "good")]


def _odd(view: Timeline) -> list[Line]:
    if not view.run.odd_calls:
        return []
    why = {ODD_USAGE.get(span.odd_usage, span.odd_usage) for span in view.spans if span.odd_usage}
    calls = words.count(view.run.odd_calls, "call")
    text = f"{calls} with odd numbers of tokens, so the cost may be wrong: {', '.join(sorted(why))}"
    return [Line(text, "model", "warn")]
