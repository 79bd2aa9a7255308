"""The cards of figures on the page of agents: all agents together, and one agent over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tachograph_dashboard.agents_data import Course
from tachograph_dashboard.views.runs import card as figure
from tachograph_dashboard.views.runs import share
from tachograph_schemas import words
from tachograph_schemas.health import AgentHealth, BreakerTime, Window
from tachograph_schemas.rows import HarnessCounts

_MUCH, _SOME = 0.5, 0.1
"""Shares of something bad from which on it is red, and orange."""


def tone(bad: int, whole: int) -> str:
    """How a share of something bad looks; empty when there is little of it."""
    if not bad:
        return ""
    return "bad" if bad >= _MUCH * whole else "warn" if bad >= _SOME * whole else ""


def cost_per_success(found: AgentHealth) -> str:
    """Never 0 for unknown; a lower bound when calls could not be priced."""
    cost = found.runs.cost_per_success_usd
    if cost is None:
        return "unpriced" if found.runs.unpriced else words.UNKNOWN
    return words.usd(cost) + ("+" if found.runs.unpriced else "")


def cost_note(found: AgentHealth) -> str:
    """What the cost leaves out."""
    unpriced = found.runs.unpriced
    return f"{words.count(unpriced, 'call')} without a known price" if unpriced else ""


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


def figures(
    found: AgentHealth, course: Course, breakers: Sequence[BreakerTime], window: Window
) -> list[dict[str, Any]]:
    """The cards: the runs first, then what the harness around them did."""
    over = _Over(course, window)
    return [
        *_run_cards(found, course),
        *_check_cards(found, over),
        *_recovery_cards(found, breakers, over),
    ]


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
            tone=tone(ended_badly, runs.ended) or "plain",
            help_="Of the runs that have ended",
            course=[each.succeeded / each.runs if each.runs else None for each in course.runs],
        ),
        figure(
            "Cost per success",
            cost_per_success(found),
            cost_note(found),
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


def _check_cards(found: AgentHealth, over: _Over) -> list[dict[str, Any]]:
    harness, attempts = found.harness, found.attempts_to_success
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
    ]


def _recovery_cards(
    found: AgentHealth, breakers: Sequence[BreakerTime], over: _Over
) -> list[dict[str, Any]]:
    harness, wait = found.harness, found.mean_approval_wait_ns
    open_ns = sum(each.open_ns for each in breakers)
    stops = harness.stops + harness.budget_stops
    return [
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
