"""What the page of agents draws: the list with its health, one agent over time, how mature its harness is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from typing import Any
from urllib.parse import urlencode

from tachograph_dashboard.agents_data import Course
from tachograph_dashboard.icons import LAYER_WORDS
from tachograph_dashboard.views import times
from tachograph_dashboard.views.runs import card as figure
from tachograph_dashboard.views.runs import share
from tachograph_schemas import words
from tachograph_schemas.health import AgentHealth, AgentVersion, BreakerTime, Window
from tachograph_schemas.maturity import LEVELS, Scorecard
from tachograph_schemas.rows import HarnessCounts

_NAME_CHARS = 80
NO_NAME = "(no name)"
_MUCH, _SOME = 0.5, 0.1
"""Shares of something bad from which on it is red, and orange."""


# --- the list -------------------------------------------------------------------------------------


def table(found: Sequence[AgentHealth], now: datetime) -> dict[str, Any]:
    """Every agent with its health."""
    return {
        "label": "Agents",
        "columns": [
            _column("Agent", number=False),
            _column("Runs"),
            _column("Succeeded", "Of the runs that have ended"),
            _column("Checks failed", "Validation failure rate", rank=2),
            _column("Repaired", "Repair loops that succeeded, of those needed", rank=3),
            _column("Gates denied", "Of what gates were asked about", rank=3),
            _column("Retries", "A run", rank=4),
            _column("Breaker trips", "Circuit breakers that opened", rank=4),
            _column("Stopped", "By a stop rule or a budget", rank=4),
            _column("Cost per success", "What all runs cost, by the successful ones", rank=2),
            _column("Last run", rank=3),
        ],
        "rows": [_row(each, now) for each in found],
    }


def _column(label: str, help_: str = "", *, number: bool = True, rank: int = 1) -> dict[str, Any]:
    """``rank``: columns of a higher rank leave first where there is little room."""
    return {"label": label, "help": help_, "number": number, "rank": rank}


def _row(found: AgentHealth, now: datetime) -> dict[str, Any]:
    runs, harness = found.runs, found.harness
    stops = harness.stops + harness.budget_stops
    return {
        "open": runs.agent,
        "href": f"/agents?{urlencode({'name': runs.agent})}",
        "cells": [
            _cell(words.excerpt(runs.agent, _NAME_CHARS) or NO_NAME),
            _cell(f"{runs.runs:,}", note=f"{runs.running:,} running" if runs.running else ""),
            _success_cell(runs.succeeded, runs.failed + runs.interrupted, runs.ended),
            _share_cell(harness.validations_failed, harness.validations),
            _share_cell(harness.repairs_succeeded, harness.repairs, good=True),
            _share_cell(harness.gates_denied, harness.gates, judged=False),
            _cell(f"{found.retry_rate:.1f}" if harness.retries else words.UNKNOWN),
            _cell(_number(harness.breaker_trips), "bad" if harness.breaker_trips else "plain"),
            _cell(_number(stops)),
            _cell(cost_per_success(found), title=_cost_note(found)),
            _cell(words.ago(runs.last_started_at, now), "plain"),
        ],
    }


def _cell(text: str, tone: str = "", *, note: str = "", title: str = "") -> dict[str, Any]:
    unknown = text == words.UNKNOWN
    return {"text": text, "tone": "plain" if unknown else tone, "note": note, "title": title}


def _share_cell(
    part: int, whole: int, *, good: bool = False, judged: bool = True
) -> dict[str, Any]:
    """A share with a bar; ``good``: much of it is good. What is neither good nor bad is not coloured."""
    if not whole:
        return _cell(words.UNKNOWN)
    bad = (whole - part if good else part) if judged else 0
    told = _cell(share(part, whole), _tone(bad, whole), title=f"{part:,} of {whole:,}")
    return told | {"share": part / whole}


def _success_cell(succeeded: int, failed: int, ended: int) -> dict[str, Any]:
    """The share that succeeded; a run that a rule stopped on purpose is no failure."""
    told = _share_cell(succeeded, ended, judged=False)
    return told | {"tone": _tone(failed, ended)} if ended else told


def _tone(bad: int, whole: int) -> str:
    if not bad:
        return ""
    return "bad" if bad >= _MUCH * whole else "warn" if bad >= _SOME * whole else ""


def _number(count: int) -> str:
    return f"{count:,}" if count else words.UNKNOWN


def cost_per_success(found: AgentHealth) -> str:
    """Never 0 for unknown; a lower bound when calls could not be priced."""
    cost = found.runs.cost_per_success_usd
    if cost is None:
        return "unpriced" if found.runs.unpriced else words.UNKNOWN
    return words.usd(cost) + ("+" if found.runs.unpriced else "")


def _cost_note(found: AgentHealth) -> str:
    unpriced = found.runs.unpriced
    return f"{words.count(unpriced, 'call')} without a known price" if unpriced else ""


# --- one agent ------------------------------------------------------------------------------------


def head(
    found: AgentHealth, versions: Sequence[AgentVersion], where: tzinfo, now: datetime
) -> dict[str, Any]:
    """Its name and what is said first."""
    runs = found.runs
    newest = versions[0].label if versions else ""
    last = times.short(runs.last_started_at, where, now)
    facts = [
        ("Last run", last, words.ago(runs.last_started_at, now)),
        ("Version", words.excerpt(newest, 40) or "not said", _others(len(versions) - 1)),
    ]
    return {
        "agent": runs.agent,
        "title": words.excerpt(runs.agent, 160) or NO_NAME,
        "facts": [{"label": label, "value": value, "note": note} for label, value, note in facts],
    }


def _others(others: int) -> str:
    return f"{words.count(others, 'other')} in this time" if others > 0 else ""


def figures(
    found: AgentHealth, course: Course, breakers: Sequence[BreakerTime], window: Window
) -> list[dict[str, Any]]:
    """The cards: the runs first, then what the harness around them did."""
    harness = found.harness
    over = _Over(course, window)
    return [*_run_cards(found, course), *_harness_cards(found, harness, breakers, over)]


class _Over:
    """A figure of the harness in every slice of the time."""

    def __init__(self, course: Course, window: Window) -> None:
        first = window.since.timestamp() // course.slice_s
        last = window.until.timestamp() // course.slice_s
        self._slices = range(int(first), int(last) + 1)
        self._known = {
            int(each.slice.timestamp() // course.slice_s): each.counts for each in course.harness
        }

    def count(self, read: Callable[[HarnessCounts], int]) -> list[float | None]:
        return [read(self._known[at]) if at in self._known else 0 for at in self._slices]

    def rate(self, read: Callable[[HarnessCounts], float | None]) -> list[float | None]:
        return [read(self._known[at]) if at in self._known else None for at in self._slices]


def _run_cards(found: AgentHealth, course: Course) -> list[dict[str, Any]]:
    runs = found.runs
    ended_badly = runs.failed + runs.interrupted
    return [
        figure(
            "Runs",
            f"{runs.runs:,}",
            f"{runs.running:,} running now" if runs.running else "",
            course=[each.runs for each in course.runs],
            kind="bars",
        ),
        figure(
            "Succeeded",
            share(runs.succeeded, runs.ended),
            ", ".join(
                part
                for part in (
                    f"{ended_badly:,} failed" if ended_badly else "",
                    f"{runs.stopped:,} stopped" if runs.stopped else "",
                )
                if part
            ),
            tone=_tone(ended_badly, runs.ended) or "plain",
            help_="Of the runs that have ended",
            course=[each.succeeded / each.runs if each.runs else None for each in course.runs],
        ),
        figure(
            "Cost per success",
            cost_per_success(found),
            _cost_note(found),
            help_="What all runs cost, by the successful ones",
            course=[each.slice_cost_usd for each in course.runs],
            kind="bars",
        ),
        figure(
            "Slowest 5 %",
            words.duration(runs.p95_work_ns),
            f"half take {words.duration(runs.median_work_ns)}",
            help_="Without the time that people took to decide",
            course=[each.p95_ns if each.runs else None for each in course.runs],
        ),
    ]


def _harness_cards(
    found: AgentHealth, harness: HarnessCounts, breakers: Sequence[BreakerTime], over: _Over
) -> list[dict[str, Any]]:
    attempts, wait = found.attempts_to_success, found.mean_approval_wait_ns
    open_ns = sum(each.open_ns for each in breakers)
    stops = harness.stops + harness.budget_stops
    return [
        figure(
            "Checks failed",
            share(harness.validations_failed, harness.validations),
            f"of {harness.validations:,}" if harness.validations else "no checks seen",
            help_="Validation failure rate",
            course=over.rate(lambda each: each.validation_failure_rate),
        ),
        figure(
            "Repairs that succeeded",
            share(harness.repairs_succeeded, harness.repairs),
            f"in {attempts:.1f} attempts on the average" if attempts else "none needed",
            help_="Of the repair loops that had something to repair",
            course=over.rate(lambda each: each.repair_success_rate),
        ),
        figure(
            "Gates denied",
            share(harness.gates_denied, harness.gates),
            f"of {harness.gates:,}, {harness.gates_escalated:,} passed to a person"
            if harness.gates
            else "no gates seen",
            course=over.count(lambda each: each.gates_denied),
            kind="bars",
        ),
        figure(
            "Approvals granted",
            share(harness.approvals_granted, harness.approvals),
            f"{words.duration(wait)} to wait" if wait is not None else "nobody was asked",
            help_="People asked, and how long they took on the average",
            course=over.count(lambda each: each.approvals),
            kind="bars",
        ),
        figure(
            "Retries and fallbacks",
            f"{harness.retries + harness.fallbacks:,}",
            f"{harness.retries:,} retries, {harness.fallbacks:,} fallbacks",
            course=over.count(lambda each: each.retries + each.fallbacks),
            kind="bars",
        ),
        figure(
            "Breaker trips",
            f"{harness.breaker_trips:,}",
            f"open for {words.duration(open_ns)}" if harness.breaker_trips else "",
            tone="bad" if harness.breaker_trips else "plain",
            course=over.count(lambda each: each.breaker_trips),
            kind="bars",
        ),
        figure(
            "Stopped by rule",
            f"{stops:,}",
            f"{harness.budget_stops:,} by a budget" if harness.budget_stops else "",
            course=over.count(lambda each: each.stops + each.budget_stops),
            kind="bars",
        ),
        figure(
            "Restores",
            f"{harness.restores:,}",
            f"{words.count(harness.work_lost, 'step')} done again"
            if harness.restores
            else f"{words.count(harness.checkpoints, 'checkpoint')} saved",
            help_="Runs taken up at a checkpoint, and the work that was lost",
            course=over.count(lambda each: each.restores),
            kind="bars",
        ),
    ]


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
                    _cell(named, note="" if commits == named else commits),
                    _cell(f"{each.runs:,}"),
                    _success_cell(each.succeeded, each.failed, ended),
                    _cell(
                        words.usd(each.mean_cost_usd)
                        if each.mean_cost_usd is not None
                        else words.UNKNOWN
                    ),
                    _cell(words.duration(each.median_work_ns)),
                    _cell(times.short(each.first_at, where, now), "plain"),
                ],
            }
        )
    return {
        "label": "Versions",
        "columns": [
            _column("Version", number=False),
            _column("Runs"),
            _column("Succeeded", "Of the runs that have ended"),
            _column("Cost", "A run, on the average", rank=2),
            _column("Half take", "Without waiting for people", rank=2),
            _column("First seen"),
        ],
        "rows": rows,
    }


def breakers_table(found: Sequence[BreakerTime]) -> dict[str, Any]:
    """The circuit breakers around it."""
    return {
        "label": "Circuit breakers",
        "columns": [
            _column("Circuit breaker", number=False),
            _column("Trips"),
            _column("Open for"),
            _column("Not tried", "Calls that an open breaker refused", rank=2),
        ],
        "rows": [
            {
                "open": "",
                "href": "",
                "cells": [
                    _cell(words.excerpt(each.name, _NAME_CHARS) or "unnamed"),
                    _cell(f"{each.trips:,}", "bad" if each.trips else ""),
                    _cell(words.duration(each.open_ns)),
                    _cell(_number(each.refused)),
                ],
            }
            for each in found
        ],
    }


def totals(found: Sequence[AgentHealth]) -> list[dict[str, Any]]:
    """The strip over the list: all agents together."""
    runs = sum(each.runs.runs for each in found)
    ended = sum(each.runs.ended for each in found)
    succeeded = sum(each.runs.succeeded for each in found)
    absorbed = sum(each.absorbed for each in found)
    checks = sum(each.harness.validations for each in found)
    failed = sum(each.harness.validations_failed for each in found)
    asked = sum(each.harness.approvals for each in found)
    waited = sum(each.harness.approval_waiting_ns for each in found)
    return [
        figure("Agents", f"{len(found):,}", f"{words.count(runs, 'run')}", course=()),
        figure("Succeeded", share(succeeded, ended), "of the runs that have ended", course=()),
        figure(
            "Absorbed", f"{absorbed:,}", "repaired, retried, fell back", course=(),
            help_="Troubles that the harness dealt with, so that the run went on",
        ),
        figure("Checks failed", share(failed, checks), f"of {checks:,}" if checks else "no checks seen", course=()),
        figure(
            "Waiting for people", words.duration(waited / asked) if asked else words.UNKNOWN,
            f"{words.count(asked, 'approval')}, on the average" if asked else "nobody was asked", course=(),
        ),
    ]  # fmt: skip
