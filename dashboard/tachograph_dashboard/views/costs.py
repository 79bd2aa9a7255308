"""The page of costs: figures, the table, the course, and budgets as cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from tachograph_dashboard.costs import CostsView
from tachograph_dashboard.navigation import Link
from tachograph_dashboard.views.runs import share
from tachograph_dashboard.views.sheet import cell, column
from tachograph_schemas import words
from tachograph_schemas.budgets import BudgetError, rule_from
from tachograph_schemas.costs import OTHERS, CostGroup

ROWS_MOST = 25
_ACCOUNTS_MOST = 3
_BAR_PX = 13
"""Of forty slices side by side, with some air."""
_NAME_CHARS = 80
_NS = 1_000_000_000
# Apart in both looks, and none of them the red of failures; the last is for all others.
PALETTE = ("#2E7FD9", "#8257DB", "#1F9E8F", "#E8890C", "#B9559E", "#7F9A1E", "#5166C7", "#9BA5B5")
_PAGES = {
    "agent": ("agents", "name"),
    "customer": ("", "customer"),
    "session": ("", "session"),
}
"""The page a row leads to, and the parameter that names it there."""
_UNNAMED = {"user": "no user named", "customer": "no customer named", "session": "no session"}


def figures(view: CostsView) -> list[dict[str, Any]]:
    """The cards of the strip. Unknown is said, never shown as nothing."""
    priced = [row.cost_usd for row in view.models if row.cost_usd is not None]
    spent = sum(priced) if priced else None
    unpriced = sum(row.unpriced_calls for row in view.models)
    succeeded = sum(row.succeeded for row in view.agents)
    failed = sum(row.failed_cost_usd or 0.0 for row in view.agents)
    lost = view.lost
    notes = _notes(unpriced, lost.doubtful_calls)
    a_success = None if spent is None or not succeeded else spent / succeeded
    repairs = f"{lost.failed_repairs:,} of {words.count(lost.repairs, 'loop')} gave up"
    return [
        _card("Spent", _usd(spent), ", ".join(notes), course=_together(view)),
        _card(
            "Cost of a success",
            _usd(a_success),
            f"{words.count(succeeded, 'run')} succeeded" if succeeded else "no run succeeded",
            "All that was spent, failures included, divided by the runs that succeeded",
        ),
        _card(
            "Spent on failures",
            words.usd(failed),
            _share(failed, spent),
            "By runs that failed or were interrupted",
            tone="bad" if failed else "plain",
        ),
        _card(
            "Spent on repairs",
            words.usd(lost.failed_repairs_usd + lost.repairs_usd),
            repairs if lost.repairs else "no repair loops",
            f"Answers asked for again; {words.usd(lost.failed_repairs_usd)} of it in loops that gave up",
            tone="warn" if lost.failed_repairs_usd else "plain",
        ),
        _card(
            "Calls that failed",
            words.usd(lost.failed_calls_usd),
            words.count(lost.retries, "retry", "retries"),
            "Paid for model calls that ended with an error",
        ),
        _card(
            "Missed cache",
            words.usd(lost.cache_missed_usd),
            "could have been saved" if lost.cache_missed_usd else "",
            "Context sent again in the same run and not read from the provider's cache: an estimate, at the input's "
            "price less the cache's",
        ),
    ]


def _notes(unpriced: int, doubtful: int) -> list[str]:
    notes = [f"{words.count(unpriced, 'call')} unpriced"] if unpriced else []
    return notes + ([f"{words.count(doubtful, 'call')} with odd token counts"] if doubtful else [])


def _together(view: CostsView) -> list[float]:
    """What was spent in each slice, by everyone."""
    by_slice: dict[datetime, float] = {}
    for each in view.course:
        by_slice[each.slice] = by_slice.get(each.slice, 0.0) + each.cost_usd
    return [by_slice[at] for at in sorted(by_slice)]


def _card(
    label: str,
    value: str,
    note: str,
    help_: str = "",
    *,
    tone: str = "plain",
    course: Sequence[float] = (),
) -> dict[str, Any]:
    return {
        "label": label,
        "value": value,
        "note": note,
        "tone": tone,
        "help": help_,
        "course": list(course),
        "kind": "bars",
    }


def _usd(amount: float | None) -> str:
    return "unknown" if amount is None else words.usd(amount)


def _share(part: float, whole: float | None) -> str:
    return f"{part / whole * 100:.1f} % of all" if whole and part else ""


def table(rows: Sequence[CostGroup], group: str, chosen: str = "") -> dict[str, Any]:
    """The table, the dearest first; the row of ``chosen`` stands out."""
    most = max((row.cost_usd or 0.0 for row in rows), default=0.0)
    rest = len(rows) - ROWS_MOST
    return {
        "label": f"Costs by {group}",
        "columns": [
            column(group.capitalize(), number=False),
            column("Runs", rank=2),
            column("Cost"),
            column("Per success", "What all runs cost, by the successful ones", rank=2),
            column("On failures", "By runs that failed or were interrupted", rank=3),
            column("Tokens", rank=3),
            column("From cache", "Of the tokens sent", rank=4),
        ],
        "rows": [
            _row(row, group, most) | {"chosen": bool(chosen) and row.key == chosen}
            for row in rows[:ROWS_MOST]
        ],
        "more": f"… and {rest:,} more, each cheaper" if rest > 0 else "",
    }


def leads(group: str, key: str) -> Link | None:
    """Where a row of the table leads: an agent to its page, a customer or session to its runs."""
    if not key or group not in _PAGES:
        return None
    page, parameter = _PAGES[group]
    return Link(page, {parameter: key})


def _row(row: CostGroup, group: str, most: float) -> dict[str, Any]:
    whole = row.input_tokens + row.cache_read_tokens + row.cache_write_tokens
    name, to = words.excerpt(row.key, _NAME_CHARS), leads(group, row.key)
    return {
        "open": row.key if to else "",
        "href": f"/{to.page}?{urlencode(to.query)}" if to else "",
        "cells": [
            cell(name or _UNNAMED.get(group, f"no {group}"), "" if name else "unknown")
            | {"share": (row.cost_usd or 0.0) / most if most else 0.0},
            cell(f"{row.runs:,}", "plain"),
            _cost_cell(row),
            cell(_usd_or_dash(row.per_success_usd)),
            cell(_usd_or_dash(row.failed_cost_usd or None)),
            cell(words.tokens(whole + row.output_tokens), "plain"),
            cell(share(row.cache_read_tokens, whole), "plain"),
        ],
    }


def _cost_cell(row: CostGroup) -> dict[str, Any]:
    if row.cost_usd is None:
        return cell("unpriced" if row.calls else words.UNKNOWN, "plain")
    if not row.unpriced_calls:
        return cell(words.usd(row.cost_usd), "strong")
    unpriced = words.count(row.unpriced_calls, "call")
    return cell(f"{words.usd(row.cost_usd)}+", "strong", title=f"{unpriced} without a known price")


def _usd_or_dash(amount: float | None) -> str:
    return words.UNKNOWN if amount is None else words.usd(amount)


def course(
    view: CostsView, group: str, since: datetime, until: datetime, slice_s: int
) -> dict[str, Any]:
    """The chart: stacked bars as wide as their slices, the dearest group at the bottom."""
    spent: dict[str, float] = {}
    for each in view.course:
        spent[each.key] = spent.get(each.key, 0.0) + each.cost_usd
    ranked = sorted(spent, key=lambda key: (key == OTHERS, -spent[key]))
    named = {key: words.excerpt(key, 40) or _UNNAMED.get(group, f"no {group}") for key in ranked}
    colours = [*PALETTE[: len(ranked)]]
    if OTHERS in spent:
        colours[-1] = PALETTE[-1]
    values = [
        {
            # As text: large whole numbers do not reach the browser as numbers.
            "middle": (each.slice + timedelta(seconds=slice_s / 2)).isoformat(),
            "from": each.slice.isoformat(),
            "usd": each.cost_usd,
            "of": named[each.key],
            "rank": ranked.index(each.key),
        }
        for each in view.course
    ]
    scale = {"domain": [named[key] for key in ranked], "range": colours}
    return {
        "data": {"values": values},
        "mark": {"type": "bar", "width": _BAR_PX},
        "encoding": _axes(since, until) | _colours(scale, group),
    }


def _moment(at: datetime) -> dict[str, Any]:
    """A time as Vega-Lite takes it in a scale: a number there is no time."""
    parts = {"year": at.year, "month": at.month, "date": at.day}
    return parts | {"hours": at.hour, "minutes": at.minute, "seconds": at.second, "utc": True}


def _axes(since: datetime, until: datetime) -> dict[str, Any]:
    return {
        "x": {
            "field": "middle",
            "type": "temporal",
            "title": None,
            "scale": {"domain": [_moment(since), _moment(until)]},
            "axis": {
                "grid": False,
                "format": "%d %b" if until - since > timedelta(days=2) else "%H:%M",
            },
        },
        "y": {
            "field": "usd",
            "type": "quantitative",
            "stack": "zero",
            "title": None,
            "axis": {"format": "$,.4~g", "tickCount": 4},
        },
    }


def _colours(scale: dict[str, Any], group: str) -> dict[str, Any]:
    return {
        "color": {
            "field": "of",
            "type": "nominal",
            "scale": scale,
            "legend": None
            if len(scale["domain"]) < 2
            else {"orient": "bottom", "title": None, "columns": 4, "symbolType": "square"},
        },
        "order": {"field": "rank"},
        "tooltip": [
            {"field": "of", "title": group.capitalize()},
            {"field": "from", "type": "temporal", "title": "From", "format": "%d %b %H:%M"},
            {"field": "usd", "title": "Cost", "format": "$,.4~g"},
        ],
    }


def cards(budgets: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Budgets, those that are used up first."""
    ranked = sorted(budgets, key=lambda each: (not each["exceeded"], each["rule"]["name"]))
    return [_budget(each) for each in ranked]


def _budget(state: Mapping[str, Any]) -> dict[str, Any]:
    rule, listed = state["rule"], state["accounts"]
    if rule["window"] == "run":
        word, tone, note = rule["action"] + "s", "plain", "Counted in each run by itself"
    elif state["exceeded"]:
        word, tone, note = "used up", "bad", _ends(state)
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
    return {
        "name": words.excerpt(account["account"], _NAME_CHARS) or "all",
        "used": used,
        "held": min(account["held"] / limit, 1.0 - used),
        "forecast": ahead / limit if rule["window"] != "rolling" else None,
        "text": f"{amount(account['spent'], rule['unit'])} of {amount(rule['limit'], rule['unit'])}",
        "ahead": heading,
        "tone": tone,
    }


def amount(size: float, unit: str) -> str:
    """``$1.20``, ``12,000 tokens``."""
    if unit == "usd":
        return words.usd(size)
    return f"{size:,.0f} {unit.replace('_', ' ')}"


def problem(definition: Mapping[str, Any]) -> str:
    """What is wrong with a budget somebody typed, in a sentence; empty when nothing is."""
    try:
        rule_from(definition)
    except BudgetError as error:
        return str(error)
    return ""
