"""What the page of agents draws: the list with its health, one agent over time, how mature its harness is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any
from urllib.parse import urlencode

from tachograph_dashboard.icons import LAYER_WORDS
from tachograph_dashboard.navigation import link
from tachograph_dashboard.views import times
from tachograph_dashboard.views.agent_figures import cost_note, cost_per_success, tone
from tachograph_dashboard.views.runs import share
from tachograph_dashboard.views.sheet import cell, column
from tachograph_schemas import words
from tachograph_schemas.health import AgentHealth, AgentVersion, BreakerTime
from tachograph_schemas.maturity import LEVELS, Scorecard

_NAME_CHARS = 80
NO_NAME = "(no name)"


# --- the list -------------------------------------------------------------------------------------


def table(found: Sequence[AgentHealth], now: datetime) -> dict[str, Any]:
    """Every agent with its health."""
    return {
        "label": "Agents",
        "columns": [
            column("Agent", number=False),
            column("Runs"),
            column("Succeeded", "Of the runs that have ended"),
            column("Checks failed", "Validation failure rate", rank=2),
            column("Repaired", "Repair loops that succeeded, of those needed", rank=3),
            column("Gates denied", "Of what gates were asked about", rank=3),
            column("Retries", "A run", rank=4),
            column("Breaker trips", "Circuit breakers that opened", rank=4),
            column("Stopped", "By a stop rule or a budget", rank=4),
            column("Cost per success", "What all runs cost, by the successful ones", rank=2),
            column("Last run", rank=3),
        ],
        "rows": [_row(each, now) for each in found],
    }


def _row(found: AgentHealth, now: datetime) -> dict[str, Any]:
    runs, harness = found.runs, found.harness
    stops = harness.stops + harness.budget_stops
    return {
        "open": runs.agent,
        "href": f"/agents?{urlencode({'name': runs.agent})}",
        "cells": [
            cell(words.excerpt(runs.agent, _NAME_CHARS) or NO_NAME),
            cell(f"{runs.runs:,}", note=f"{runs.running:,} running" if runs.running else ""),
            _success_cell(runs.succeeded, runs.failed + runs.interrupted, runs.ended),
            _share_cell(harness.validations_failed, harness.validations),
            _share_cell(harness.repairs_succeeded, harness.repairs, good=True),
            _share_cell(harness.gates_denied, harness.gates, judged=False),
            cell(f"{found.retry_rate:.1f}" if harness.retries else words.UNKNOWN),
            cell(_number(harness.breaker_trips), "bad" if harness.breaker_trips else "plain"),
            cell(_number(stops)),
            cell(cost_per_success(found), title=cost_note(found)),
            cell(words.ago(runs.last_started_at, now), "plain"),
        ],
    }


def _share_cell(
    part: int, whole: int, *, good: bool = False, judged: bool = True
) -> dict[str, Any]:
    """A share with a bar; ``good``: much of it is good. What is neither good nor bad is not coloured."""
    if not whole:
        return cell(words.UNKNOWN)
    bad = (whole - part if good else part) if judged else 0
    told = cell(share(part, whole), tone(bad, whole), title=f"{part:,} of {whole:,}")
    return told | {"share": part / whole}


def _success_cell(succeeded: int, failed: int, ended: int) -> dict[str, Any]:
    """The share that succeeded; a run that a rule stopped on purpose is no failure."""
    told = _share_cell(succeeded, ended, judged=False)
    return told | {"tone": tone(failed, ended)} if ended else told


def _number(count: int) -> str:
    return f"{count:,}" if count else words.UNKNOWN


# --- one agent ------------------------------------------------------------------------------------


def head(
    found: AgentHealth,
    versions: Sequence[AgentVersion],
    window: str,
    where: tzinfo,
    now: datetime,
) -> dict[str, Any]:
    """Its name, what is said first, and what else is known of it in the same time."""
    runs = found.runs
    newest = versions[0].label if versions else ""
    last = times.short(runs.last_started_at, where, now)
    facts = [
        ("Last run", last, words.ago(runs.last_started_at, now)),
        ("Version", words.excerpt(newest, 40) or "not said", _others(len(versions) - 1)),
    ]
    return {
        "title": words.excerpt(runs.agent, 160) or NO_NAME,
        "back": link("agents", window=window),
        "links": [
            {"label": "Its runs", "link": link("", agent=runs.agent, window=window)},
            {"label": "Its costs", "link": link("costs", name=runs.agent, window=window)},
            {"label": "Its drift", "link": link("drift", agent=runs.agent)},
        ],
        "facts": [{"label": label, "value": value, "note": note} for label, value, note in facts],
    }


def _others(others: int) -> str:
    return f"{words.count(others, 'other')} in this time" if others > 0 else ""


def maturity(card: Scorecard) -> dict[str, Any]:
    """The ladder of levels."""
    following = card.next
    return {
        "level": card.level,
        "name": f"Level {card.level}: {card.name}",
        "basis": f"from the spans of the last {words.count(card.runs, 'run')}",
        "levels": [
            {
                "number": number,
                "name": name,
                "reached": number <= card.level,
                "signs": [
                    {"title": sign.title, "seen": sign.seen, "found": sign.found, "code": sign.code}
                    for sign in card.signs
                    if sign.level == number
                ],
            }
            for number, name in enumerate(LEVELS)
        ],
        "next": None if following is None else {"title": following.title, "code": following.code},
    }


def layers(card: Scorecard) -> dict[str, Any]:
    """Which layers of the harness were seen at work, and how often."""
    return {
        "layers": [
            {"layer": layer, "word": LAYER_WORDS[layer], "count": count}
            for layer, count in card.layers
        ]
    }


def versions_table(found: Sequence[AgentVersion], where: tzinfo, now: datetime) -> dict[str, Any]:
    """Its versions, the newest first."""
    rows = []
    for each in found:
        ended = each.runs - each.running
        named = words.excerpt(each.label, _NAME_CHARS) or "not said"
        commits = ", ".join(words.excerpt(commit, 20) for commit in each.commits[:2])
        rows.append(
            {
                "open": "",
                "href": "",
                "cells": [
                    cell(named, note="" if commits == named else commits),
                    cell(f"{each.runs:,}"),
                    _success_cell(each.succeeded, each.failed, ended),
                    cell(
                        words.usd(each.mean_cost_usd)
                        if each.mean_cost_usd is not None
                        else words.UNKNOWN
                    ),
                    cell(words.duration(each.median_work_ns)),
                    cell(times.short(each.first_at, where, now), "plain"),
                ],
            }
        )
    return {
        "label": "Versions",
        "columns": [
            column("Version", number=False),
            column("Runs"),
            column("Succeeded", "Of the runs that have ended"),
            column("Cost", "A run, on the average", rank=2),
            column("Half take", "Without waiting for people", rank=2),
            column("First seen"),
        ],
        "rows": rows,
    }


def breakers_table(found: Sequence[BreakerTime]) -> dict[str, Any]:
    """The circuit breakers around it."""
    return {
        "label": "Circuit breakers",
        "columns": [
            column("Circuit breaker", number=False),
            column("Trips"),
            column("Open for"),
            column("Not tried", "Calls that an open breaker refused", rank=2),
        ],
        "rows": [
            {
                "open": "",
                "href": "",
                "cells": [
                    cell(words.excerpt(each.name, _NAME_CHARS) or "unnamed"),
                    cell(f"{each.trips:,}", "bad" if each.trips else ""),
                    cell(words.duration(each.open_ns)),
                    cell(_number(each.refused)),
                ],
            }
            for each in found
        ],
    }
