"""``tacho agents [AGENT]``: how well the harness around each agent does its work."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tachograph.cli.connection import reading
from tachograph.cli.problem import ANSWER_IS_NO, Problem
from tachograph.cli.runs import moment
from tachograph.cli.table import align
from tachograph.cli.terminal import (
    Paint,
    cells,
    columns_of,
    fit,
    paint_for,
    print_json,
    print_lines,
    width,
    wrapped,
)
from tachograph_schemas import words

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from tachograph_schemas.health import AgentHealth, BreakerTime, Window
    from tachograph_schemas.maturity import Scorecard

_DEFAULT = timedelta(days=7)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "agents",
        help="health and maturity of the harness around each agent",
        description="List the agents with their health; or one agent with its figures, the maturity of its "
        "harness, and the next thing to add.",
    )
    parser.add_argument("agent", nargs="?", metavar="AGENT", help="only this one, in detail")
    parser.add_argument(
        "--since", type=moment, metavar="WHEN", help="24h, 7d, or a date (UTC); default: 7d"
    )
    parser.add_argument("--width", type=int, metavar="COLUMNS", help="default: the terminal's")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """Show them; 1 when the agent had no run in the time."""
    with reading() as client:
        from tachograph_schemas.health import Window

        now = datetime.now(UTC)
        # A client's clock may be ahead of ours.
        window = Window(arguments.since or now - _DEFAULT, now + timedelta(days=1))
        if arguments.agent is None:
            return _all(client, window, arguments)
        return _one(client, window, arguments)


def _all(client: Client, window: Window, arguments: argparse.Namespace) -> int:
    from tachograph_schemas import health

    found = health.agents(client, window)
    if arguments.json:
        print_json([health_json(each) for each in found])
    elif found:
        print_lines(table(found, width(arguments.width), paint_for(sys.stdout)))
    else:
        print("No agent has run in this time; --since looks further back.")
    return 0


def _one(client: Client, window: Window, arguments: argparse.Namespace) -> int:
    from tachograph_schemas import health
    from tachograph_schemas.maturity import scorecard

    name = arguments.agent
    found = health.agent(client, name, window)
    if found is None:
        raise Problem(
            f"The agent {name!r} has not run in this time. `tacho agents` lists those that have.",
            code=ANSWER_IS_NO,
        )
    card = scorecard(health.evidence(client, name, window))
    breakers = health.breakers(client, name, window)
    if arguments.json:
        told = health_json(found)
        told["breakers"] = [asdict(each) for each in breakers]
        told["versions"] = [columns_of(each) for each in health.versions(client, name, window)]
        print_json(told | {"maturity": maturity_json(card)})
    else:
        print_lines(detail(found, card, breakers, width(arguments.width), paint_for(sys.stdout)))
    return 0


def health_json(found: AgentHealth) -> dict[str, Any]:
    """Counts and the rates made of them; rates are ``null`` where there was nothing to count."""
    runs, harness = found.runs, found.harness
    return {
        **columns_of(runs),
        "success_rate": runs.success_rate,
        "cost_per_success_usd": runs.cost_per_success_usd,
        "harness": columns_of(harness),
        "validation_failure_rate": harness.validation_failure_rate,
        "repair_success_rate": harness.repair_success_rate,
        "attempts_to_success": found.attempts_to_success,
        "retry_rate": found.retry_rate,
        "fallback_rate": found.fallback_rate,
        "mean_approval_wait_ns": found.mean_approval_wait_ns,
    }


def maturity_json(card: Scorecard) -> dict[str, Any]:
    """The level, its signs, and the next thing to add (``null`` at the last level)."""
    following = card.next
    return {
        "level": card.level,
        "name": card.name,
        "runs": card.runs,
        "signs": [asdict(sign) for sign in card.signs],
        "layers": dict(card.layers),
        "next": None if following is None else asdict(following),
    }


def _share(part: float | None) -> str:
    return words.UNKNOWN if part is None else f"{100 * part:.0f} %"


def _cells(found: AgentHealth) -> list[str]:
    runs, harness = found.runs, found.harness
    return [
        words.plain(runs.agent) or "(no name)",
        f"{runs.runs:,}",
        _share(runs.success_rate),
        _share(harness.validation_failure_rate),
        _share(harness.repair_success_rate),
        f"{harness.gates_denied:,}",
        f"{harness.retries:,}",
        f"{harness.breaker_trips:,}",
        f"{harness.stops + harness.budget_stops:,}",
        words.usd(runs.cost_per_success_usd)
        if runs.cost_per_success_usd is not None
        else words.UNKNOWN,
        words.ago(runs.last_started_at),
    ]


_HEADS = (
    "AGENT", "RUNS", "OK", "CHECKS FAILED", "REPAIRED", "DENIED", "RETRIES", "TRIPS", "STOPS", "COST/SUCCESS", "LAST RUN",
)  # fmt: skip
_WIDEST_NAME = 32


def table(found: list[AgentHealth], columns: int, paint: Paint) -> list[str]:
    """The agents as aligned lines; the columns at the right are left out where the terminal is narrow."""
    rows = [_cells(each) for each in found]
    align(rows, _HEADS.index("COST/SUCCESS"))
    sizes = [
        min(max(cells(head), *(cells(row[at]) for row in rows)), _WIDEST_NAME)
        for at, head in enumerate(_HEADS)
    ]
    shown = 1
    while shown < len(_HEADS) and sum(sizes[: shown + 1]) + 2 * shown <= columns:
        shown += 1
    sizes[0] = min(sizes[0], columns)

    def line(texts: tuple[str, ...] | list[str]) -> str:
        parts = [fit(texts[at], sizes[at], right=at > 0) for at in range(shown)]
        return "  ".join(parts).rstrip()

    return [paint(line(_HEADS), "dim"), *(line(row) for row in rows)]


def detail(
    found: AgentHealth, card: Scorecard, breakers: list[BreakerTime], columns: int, paint: Paint
) -> list[str]:
    """One agent: figures, the level of its harness, and what to add next."""
    lines = [paint(line, "bold") for line in wrapped(words.plain(found.runs.agent), columns)]
    lines += [fit(f"  {label:<26} {value}", columns).rstrip() for label, value in _figures(found)]
    for each in breakers:
        said = f"{words.count(each.trips, 'trip')}, open for {words.duration(each.open_ns)}"
        refused = f", {words.count(each.refused, 'call')} not tried" if each.refused else ""
        name = words.excerpt(each.name, 24)
        lines.append(fit(f"  {f'Breaker {name}':<26} {said}{refused}", columns).rstrip())
    lines += [
        "",
        paint(f"Harness level {card.level}: {card.name}", "bold"),
        paint(fit(f"  from the spans of {words.count(card.runs, 'run')}", columns).rstrip(), "dim"),
    ]
    for sign in card.signs:
        mark, tone = ("✓", "good") if sign.seen else ("·", "dim")
        text = f"  {mark} {sign.level}  {sign.title}: {sign.found if sign.seen else 'not seen'}"
        lines.append(paint(fit(text, columns).rstrip(), tone))
    if card.next is not None:
        lines += ["", *wrapped(f"Next: {card.next.title.lower()}", columns)]
        lines += wrapped(card.next.code, columns, indent="  ", first="  ")
    return lines


def _figures(found: AgentHealth) -> list[tuple[str, str]]:
    runs, harness = found.runs, found.harness
    attempts, wait = found.attempts_to_success, found.mean_approval_wait_ns
    ended = f"{runs.failed:,} failed, {runs.stopped:,} stopped, {runs.interrupted:,} interrupted"
    cost = runs.cost_per_success_usd
    return [
        ("Runs", f"{runs.runs:,}, {_share(runs.success_rate)} succeeded ({ended})"),
        ("Cost per success", words.UNKNOWN if cost is None else words.usd(cost)),
        (
            "Checks failed",
            f"{_share(harness.validation_failure_rate)} of {harness.validations:,}",
        ),
        (
            "Repairs that succeeded",
            f"{_share(harness.repair_success_rate)} of {harness.repairs:,}"
            + (f", in {attempts:.1f} attempts" if attempts is not None else ""),
        ),
        (
            "Gates",
            f"{harness.gates:,} asked, {harness.gates_denied:,} denied, {harness.gates_escalated:,} passed to a person",
        ),
        (
            "Approvals",
            f"{harness.approvals:,}, {harness.approvals_granted:,} granted"
            + (f", {words.duration(wait)} to wait" if wait is not None else ""),
        ),
        ("Retries, fallbacks", f"{harness.retries:,}, {harness.fallbacks:,}"),
        ("Restores, work lost", f"{harness.restores:,}, {words.count(harness.work_lost, 'step')}"),
        ("Stops by rule, by budget", f"{harness.stops:,}, {harness.budget_stops:,}"),
    ]
