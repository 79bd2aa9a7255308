"""The page of costs: figures, the table, the course, and budgets as cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

from tachograph_dashboard.costs import CostsView
from tachograph_dashboard.navigation import Link
from tachograph_dashboard.views.runs import card, share
from tachograph_dashboard.views.sheet import cell, column
from tachograph_schemas import words
from tachograph_schemas.budgets import BudgetError, amount, rule_from
from tachograph_schemas.costs import CostGroup, Lost

_card = partial(card, kind="bars")
ROWS_MOST = 25
_ACCOUNTS_MOST = 3
_NAME_CHARS = 80
_NS = 1_000_000_000
_PAGES = {
    "agent": ("agents", "name"),
    "customer": ("", "customer"),
    "session": ("", "session"),
}
"""The page a row leads to, and the parameter that names it there."""
_UNNAMED = {
    "user": "no user named",
    "customer": "no customer named",
    "session": "no session",
    "step": "outside of steps",
}


def unnamed(group: str) -> str:
    """What a group is called that has no name."""
    return _UNNAMED.get(group, f"no {group}")


def figures(view: CostsView) -> list[dict[str, Any]]:
    """The cards of the strip. Unknown is said, never shown as nothing."""
    priced = [row.cost_usd for row in view.models if row.cost_usd is not None]
    spent = sum(priced) if priced else None
    beside = view.lost.tools_usd + view.lost.people_usd
    whole = spent if spent is None and not beside else (spent or 0.0) + beside
    succeeded = sum(row.succeeded for row in view.agents)
    failed = sum(row.failed_cost_usd or 0.0 for row in view.agents)
    notes = _notes(sum(row.unpriced_calls for row in view.models), view.lost.odd_calls)
    return [
        _card("Spent on models", _usd(spent), ", ".join(notes), course=_together(view)),
        _beside(view.lost),
        _card(
            "Cost of a success",
            _usd(whole / succeeded if whole is not None and succeeded else None),
            f"{words.count(succeeded, 'run')} succeeded" if succeeded else "no run succeeded",
            "All that was spent, tools, people and failures included, divided by the runs that succeeded",
        ),
        _card(
            "Spent on failures",
            words.usd(failed),
            _share(failed, spent),
            "Model calls of runs that failed or were interrupted",
            tone="bad" if failed else "plain",
        ),
        *_twice(view.lost),
    ]


def _beside(lost: Lost) -> dict[str, Any]:
    help_ = "What steps say that they cost beside tokens: cost_usd=... of a tool, tacho.cost(...)"
    if not lost.tools_usd and not lost.people_usd:
        return _card("Tools and people", words.UNKNOWN, "no step says what it cost", help_)
    said = [f"{words.usd(lost.tools_usd)} tools"] if lost.tools_usd else []
    said += [f"{words.usd(lost.people_usd)} people"] if lost.people_usd else []
    return _card(
        "Tools and people", words.usd(lost.tools_usd + lost.people_usd), ", ".join(said), help_
    )


def _twice(lost: Lost) -> list[dict[str, Any]]:
    """What was paid twice, or for nothing, and what was not paid at all."""
    repairs = f"{lost.failed_repairs:,} of {words.count(lost.repairs, 'loop')} gave up"
    return [
        _card(
            "Spent on repairs",
            words.usd(lost.failed_repairs_usd + lost.repairs_usd),
            repairs if lost.repairs else "no repair loops",
            f"Answers asked for again; {words.usd(lost.failed_repairs_usd)} of it in loops that gave up",
            tone="warn" if lost.failed_repairs_usd else "plain",
        ),
        _card(
            "Spent on retries",
            words.usd(lost.retried_usd),
            words.count(lost.retries, "retry", "retries"),
            "What attempts cost that failed and were made again: model calls within them, and their own cost. Model calls "
            f"that ended with an error cost {words.usd(lost.failed_calls_usd)}",
        ),
        _card(
            "Missed cache",
            words.usd(lost.cache_missed_usd),
            "could have been saved" if lost.cache_missed_usd else "",
            "Context sent again in the same run and not read from the provider's cache: an estimate, at the input's "
            "price less the cache's",
        ),
        _card(
            "Saved",
            words.usd(lost.saved_usd),
            "by answers from caches" if lost.saved_usd else "no cached answers",
            "What answers would have cost that came from a cache of the agent's own (tacho.cache_hit)",
            tone="good" if lost.saved_usd else "plain",
        ),
    ]


def _notes(unpriced: int, odd: int) -> list[str]:
    notes = [f"{words.count(unpriced, 'call')} unpriced"] if unpriced else []
    return notes + ([f"{words.count(odd, 'call')} with odd numbers"] if odd else [])


def _together(view: CostsView) -> list[float]:
    """What was spent in each slice, by everyone."""
    by_slice: dict[datetime, float] = {}
    for each in view.course:
        by_slice[each.slice] = by_slice.get(each.slice, 0.0) + each.cost_usd
    return [by_slice[at] for at in sorted(by_slice)]


def _usd(amount: float | None) -> str:
    return "unknown" if amount is None else words.usd(amount)


def _share(part: float, whole: float | None) -> str:
    return f"{part / whole * 100:.1f} % of all" if whole and part else ""


_DIGIT_WIDE = "\N{FIGURE SPACE}"


def table(rows: Sequence[CostGroup], group: str, chosen: str = "") -> dict[str, Any]:
    """The table, the dearest first; the row of ``chosen`` stands out."""
    most = max((row.whole_usd or 0.0 for row in rows), default=0.0)
    rest = len(rows) - ROWS_MOST
    is_beside = any(_beside_usd(row) is not None for row in rows)
    beside = [column("Tools, people", "What steps say that they cost beside tokens")]
    shown = [_row(row, group, most, is_beside=is_beside) for row in rows[:ROWS_MOST]]
    for cells in zip(*(row["cells"] for row in shown), strict=True):
        for each, text in zip(
            cells, words.at_point([each["text"] for each in cells], _DIGIT_WIDE), strict=True
        ):
            each["text"] = text
    return {
        "label": f"Costs by {group}",
        "columns": [
            column(group.capitalize(), number=False),
            column("Runs", rank=2),
            column("Cost", "Of model calls"),
            *(beside if is_beside else []),
            column("Per success", "What all runs cost, by the successful ones", rank=2),
            column("On failures", "By runs that failed or were interrupted", rank=3),
            column("Tokens", rank=3),
            column("From cache", "Of the tokens sent", rank=4),
        ],
        "rows": [
            drawn | {"chosen": bool(chosen) and row.key == chosen}
            for drawn, row in zip(shown, rows, strict=False)
        ],
        "more": f"… and {rest:,} more, each cheaper" if rest > 0 else "",
    }


def leads(group: str, key: str) -> Link | None:
    """Where a row of the table leads: an agent to its page, a customer or session to its runs."""
    if not key or group not in _PAGES:
        return None
    page, parameter = _PAGES[group]
    return Link(page, {parameter: key})


def _row(row: CostGroup, group: str, most: float, *, is_beside: bool) -> dict[str, Any]:
    whole = row.input_tokens + row.cache_read_tokens + row.cache_write_tokens
    name, to = words.excerpt(row.key, _NAME_CHARS), leads(group, row.key)
    return {
        "open": row.key if to else "",
        "href": f"/{to.page}?{urlencode(to.query)}" if to else "",
        "cells": [
            cell(name or unnamed(group), "" if name else "unknown")
            | {"share": (row.whole_usd or 0.0) / most if most else 0.0},
            cell(f"{row.runs:,}", "plain"),
            _cost_cell(row),
            *([_beside_cell(row)] if is_beside else []),
            cell(_usd_or_dash(row.per_success_usd)),
            cell(_usd_or_dash(row.failed_cost_usd or None)),
            cell(words.tokens(whole + row.output_tokens), "plain"),
            cell(share(row.cache_read_tokens, whole), "plain"),
        ],
    }


def _beside_usd(row: CostGroup) -> float | None:
    """What tools and people cost; None when nothing says so."""
    said = [usd for usd in (row.tool_cost_usd, row.human_cost_usd) if usd is not None]
    return sum(said) if said else None


def _beside_cell(row: CostGroup) -> dict[str, Any]:
    said = f"{_usd_or_dash(row.tool_cost_usd)} tools, {_usd_or_dash(row.human_cost_usd)} people"
    return cell(_usd_or_dash(_beside_usd(row)), title=said)


def _cost_cell(row: CostGroup) -> dict[str, Any]:
    if row.cost_usd is None:
        return cell("unpriced" if row.calls else words.UNKNOWN, "plain")
    odd = f"{words.count(row.odd_calls, 'call')} with odd numbers" if row.odd_calls else ""
    if not row.unpriced_calls:
        return cell(words.usd(row.cost_usd), "strong", title=odd)
    unpriced = f"{words.count(row.unpriced_calls, 'call')} without a known price"
    title = ", ".join(filter(None, [unpriced, odd]))
    return cell(f"{words.usd(row.cost_usd)}+", "strong", title=title)


def _usd_or_dash(amount: float | None) -> str:
    return words.UNKNOWN if amount is None else words.usd(amount)


def cards(budgets: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Budgets as cards, in their order."""
    return [_budget(each) for each in budgets]


def ranked(budgets: Sequence[Mapping[str, Any]], wanted: str = "") -> list[Mapping[str, Any]]:
    """Budgets with ``wanted`` in their name or target: those that are used up first, then those that are used."""
    part = wanted.strip().casefold()
    found = [
        each
        for each in budgets
        if any(part in each["rule"][of].casefold() for of in ("name", "target"))
    ]
    return sorted(
        found, key=lambda each: (not each["exceeded"], not each["accounts"], each["rule"]["name"])
    )


def _budget(state: Mapping[str, Any]) -> dict[str, Any]:
    rule, listed = state["rule"], state["accounts"]
    if rule["window"] == "run":
        word, tone, note = rule["action"] + "s", "plain", "Counted in each run by itself"
    elif state["exceeded"]:
        is_empty = any(each["left"] <= 0 for each in listed)
        word, tone, note = "used up" if is_empty else "no room", "bad", _ends(state)
    else:
        word, tone, note = rule["action"] + "s", "plain", _ends(state)
    if rule["action"] == "ask" and not state["exceeded"]:
        word = "asks"
    more = len(listed) - _ACCOUNTS_MOST
    if more > 0:
        note = f"{more:,} more accounts. {note}"
    if not listed and rule["window"] != "run":
        note = f"Nothing was spent yet. {note}"
    return {
        "name": rule["name"],
        "says": f"{state['says']}; then it {_DOES[rule['action']]}",
        "state": word,
        "tone": tone,
        "note": note,
        "accounts": [_account(each, rule) for each in listed[:_ACCOUNTS_MOST]],
    }


_DOES = {"stop": "stops", "ask": "asks people", "degrade": "goes the cheaper way", "warn": "warns"}


def _ends(state: Mapping[str, Any]) -> str:
    if state["rule"]["window"] == "rolling":
        return ""
    end = datetime.fromtimestamp(state["ends_ns"] / _NS, UTC)
    return f"Starts anew on {end:%d %b, %H:%M} UTC"


def _account(account: Mapping[str, Any], rule: Mapping[str, Any]) -> dict[str, Any]:
    limit = rule["limit"] or 1.0
    used = min(account["spent"] / limit, 1.0)
    ahead = account["forecast"]
    over = ahead > rule["limit"] and account["spent"] < rule["limit"]
    tone = "bad" if account["spent"] >= rule["limit"] else "warn" if over or used > 0.8 else "live"
    heading = (
        f"Heading for {amount(ahead, rule['unit'])} at the end of the {rule['window']}"
        if over
        else ""
    )
    if account["refused_ns"] and account["spent"] < rule["limit"]:
        heading = "A call did not fit into what was left"
        tone = "bad"
    if account.get("lost", 0) > 0:  # older collectors do not say it
        lost = f"{amount(account['lost'], rule['unit'])} of it went with processes that fell silent"
        heading = f"{heading}; {lost}" if heading else lost
    return {
        "name": words.excerpt(account["account"], _NAME_CHARS) or "all",
        "used": used,
        "held": min(account["held"] / limit, 1.0 - used),
        "forecast": ahead / limit if rule["window"] != "rolling" else None,
        "text": f"{amount(account['spent'], rule['unit'])} of {amount(rule['limit'], rule['unit'])}",
        "ahead": heading,
        "tone": tone,
    }


def problem(definition: Mapping[str, Any]) -> str:
    """What is wrong with a budget somebody typed, in a sentence; empty when nothing is."""
    try:
        rule_from(definition)
    except BudgetError as error:
        return str(error)
    return ""
