"""``tacho costs``: what was spent, by what, and how much of it for nothing."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tachograph.cli.connection import reading
from tachograph.cli.runs import moment
from tachograph.cli.table import Column, table
from tachograph.cli.terminal import paint_for, print_json, print_lines, width
from tachograph_schemas import words
from tachograph_schemas.rows_costs import COST_GROUPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tachograph_schemas.costs import CostGroup, Lost

_DEFAULT = timedelta(days=7)
_AMOUNT = 12
_COLUMNS = (
    Column("RUNS", 8, right=True, spared=1),
    Column("MODELS", _AMOUNT, right=True, is_money=True),
    Column("TOOLS", _AMOUNT, right=True, is_money=True, optional=True),
    Column("PEOPLE", _AMOUNT, right=True, is_money=True, optional=True),
    Column("SAVED", _AMOUNT, right=True, is_money=True, spared=3, optional=True),
    Column("PER SUCCESS", _AMOUNT, right=True, is_money=True, spared=2),
    Column("ON FAILURES", _AMOUNT, right=True, is_money=True, spared=4),
    Column("TOKENS", 14, right=True, spared=5),
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "costs",
        help="what was spent, by agent, model, customer, user, tool, step, session or version",
        description="What the runs that began in a time cost, the dearest first, and what was paid twice or for nothing.",
    )
    parser.add_argument("--by", choices=COST_GROUPS, default=COST_GROUPS[0], help="default: agent")
    parser.add_argument(
        "--since", type=moment, metavar="WHEN", help="24h, 7d, or a date (UTC); default: 7d"
    )
    parser.add_argument("--width", type=int, metavar="COLUMNS", help="default: the terminal's")
    parser.add_argument("--json", action="store_true", help="the data, as JSON")
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """Show them."""
    since = arguments.since or datetime.now(UTC) - _DEFAULT
    with reading() as client:
        from tachograph_schemas import costs

        groups = costs.costs_by(client, arguments.by, since)
        lost = costs.lost(client, since)
    if arguments.json:
        rows = [asdict(each) | {"per_success_usd": each.per_success_usd} for each in groups]
        print_json({"by": arguments.by, "groups": rows, "lost": asdict(lost)})
    elif not groups:
        print("Nothing was recorded in this time; --since looks further back.")
    else:
        columns = (Column(arguments.by.upper()), *_COLUMNS)
        rows_shown = [_row(each, arguments.by) for each in groups]
        paint = paint_for(sys.stdout)
        print_lines([*table(columns, rows_shown, width(arguments.width), paint), "", *told(lost)])
    return 0


def _row(each: CostGroup, by: str) -> list[str]:
    tokens = (
        each.input_tokens + each.cache_read_tokens + each.cache_write_tokens + each.output_tokens
    )
    models = "unpriced" if each.cost_usd is None and each.calls else _usd(each.cost_usd)
    return [
        each.key or f"(no {by})",
        f"{each.runs:,}",
        models + ("+" if each.cost_usd is not None and each.unpriced_calls else ""),
        _given(each.tool_cost_usd),
        _given(each.human_cost_usd),
        _given(each.saved_usd),
        _usd(each.per_success_usd),
        _usd(each.failed_cost_usd or None),
        words.tokens(tokens),
    ]


def _usd(amount: float | None) -> str:
    return words.UNKNOWN if amount is None else words.usd(amount)


def _given(amount: float | None) -> str:
    return "" if amount is None else words.usd(amount)


def told(lost: Lost) -> Sequence[str]:
    """What was paid twice or for nothing, a line each; nothing where nothing was."""
    repairs = lost.failed_repairs_usd + lost.repairs_usd
    found: list[tuple[Any, str]] = [
        (repairs, f"on repairs, {words.usd(lost.failed_repairs_usd)} of it in loops that gave up"),
        (lost.retried_usd, "on attempts that failed and were made again"),
        (lost.failed_calls_usd, "on model calls that ended with an error"),
        (lost.cache_missed_usd, "on context sent again that no cache was read for, an estimate"),
        (lost.saved_usd, "saved by answers from caches"),
    ]
    lines = [f"{words.usd(amount)} {what}" for amount, what in found if amount]
    if lost.odd_calls:
        lines.append(f"{words.count(lost.odd_calls, 'call')} with odd numbers of tokens")
    return lines
