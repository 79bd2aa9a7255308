"""``tacho runs``: the recorded runs as a table."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tachograph.cli.connection import find_place, reading, settings
from tachograph.cli.problem import ANSWER_IS_NO, USAGE, Problem
from tachograph.cli.run_filters import add_filters, run_filter
from tachograph.cli.table import Cell, Column
from tachograph.cli.table import table as aligned
from tachograph.cli.terminal import (
    Paint,
    at_most,
    columns_of,
    paint_for,
    print_json,
    print_lines,
    width,
)
from tachograph_schemas import words
from tachograph_schemas.names import OUTCOMES

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from tachograph_schemas.find import Cursor, Order, RunFilter, RunPage
    from tachograph_schemas.rows import RunRow

_MARKS = {
    "success": ("✓", "good"),
    "failure": ("✗", "bad"),
    "stopped": ("■", "warn"),
    "interrupted": ("!", "bad"),
    "running": ("…", "plain"),
}
_ORDERS = ("newest", "oldest", "slowest", "most-expensive", "most-tokens", "most-errors")
_SPAN = re.compile(r"(\d+)\s*(m|min|h|d|w)")
_SECONDS = {"m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_SHORTEST_ID = 8

_FIRST_RUN = """\
No runs are recorded yet. Record one from Python:

    import tachograph as tacho

    tacho.init()

    @tacho.run(agent="hello")
    def main(task: str) -> str:
        return task.upper()

    main("my first run")

or with `tacho demo`, or point any OpenTelemetry program at the collector:

    OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "runs",
        help="list recorded runs",
        description="List recorded runs, the newest first.",
    )
    parser.add_argument(
        "--agent", action="append", default=[], metavar="NAME", help="only this agent's; repeatable"
    )
    parser.add_argument(
        "--outcome",
        action="append",
        default=[],
        choices=OUTCOMES,
        help="only with this outcome; repeatable",
    )
    parser.add_argument(
        "--customer",
        action="append",
        default=[],
        metavar="NAME",
        help="only for this customer; repeatable",
    )
    parser.add_argument(
        "--since",
        type=moment,
        metavar="WHEN",
        help="24h, 7d, 30min, 2w, or a date such as 2026-11-01 (UTC)",
    )
    parser.add_argument("--until", type=moment, metavar="WHEN", help="as --since")
    add_filters(parser)
    parser.add_argument(
        "--after",
        metavar="RUN",
        help="only what comes behind this run in the list: the next page, as cheap as the first",
    )
    parser.add_argument(
        "--limit",
        type=at_most(10_000),
        default=50,
        metavar="N",
        help="at most this many (default: 50)",
    )
    parser.add_argument("--order", choices=_ORDERS, default="newest", help="default: newest")
    parser.add_argument("--width", type=int, metavar="COLUMNS", help="default: the terminal's")
    parser.add_argument(
        "--json", action="store_true", help="print the rows of the table `runs` as JSON"
    )
    parser.set_defaults(run=command)


def moment(text: str) -> datetime:
    """A time in the past: ``24h`` and the like back from now, or a date or time (UTC when no zone is given).

    Raises:
        argparse.ArgumentTypeError: it is neither.
    """
    match = _SPAN.fullmatch(text.strip())
    try:
        if match:
            return datetime.now(UTC) - timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
        when = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; write 24h, 7d, or a date such as 2026-11-01"
        ) from error
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)


def command(arguments: argparse.Namespace) -> int:
    """List the runs; an empty list is an answer too (exit code 0)."""
    with reading() as client:
        from tachograph_schemas import queries

        which = run_filter(arguments)
        orders = {order.replace(" ", "-"): order for order in queries.ORDERS}
        order = orders[arguments.order]
        after = _place(client, arguments.after, order)
        page = queries.RunPage(order=order, limit=arguments.limit, after=after)
        found = queries.runs(client, which, page)
        if arguments.json:
            print_json([columns_of(row) for row in found])
        elif found:
            print_lines(table(found, width(arguments.width), paint_for(sys.stdout)))
            _say_rest(client, which, page, found)
        else:
            _say_none(client, which)
    return 0


def _place(client: Client, run_id: str | None, order: Order) -> Cursor | None:
    from tachograph_schemas import queries

    if run_id is None:
        return None
    try:
        row = queries.run(client, run_id)
    except queries.AmbiguousRunError as error:
        raise Problem(str(error), code=USAGE) from error
    place = queries.cursor_after(client, row, order) if row is not None else None
    if place is None:
        raise Problem(
            f"No run {run_id!r} is recorded to go on behind. Give an id of the list.",
            code=ANSWER_IS_NO,
        )
    return place


def _say_rest(client: Client, which: RunFilter, page: RunPage, found: Sequence[RunRow]) -> None:
    from tachograph_schemas import queries

    if page.after is not None:
        if len(found) == page.limit:
            print(f"\nMore may follow: --after {found[-1].run_id}")
        return
    total = queries.runs_summary(client, which).runs
    if total > len(found):
        print(f"\n{len(found):,} of {words.count(total, 'run')}; --limit shows more.")


def _say_none(client: Client, which: object) -> None:
    from tachograph_schemas import queries

    everything = queries.RunFilter()
    total = queries.runs_summary(client, everything).runs if which != everything else 0
    if total:
        print(f"No run matches. Without the filters there are {total:,}.")
    else:
        instance = find_place().instance
        endpoint = instance.collector if instance is not None else str(settings()["endpoint"])
        print(_FIRST_RUN.format(endpoint=endpoint))


# --- the table ----------------------------------------------------------------------------------


def _tokens(row: RunRow) -> str:
    return words.tokens(row.total_tokens)


def _cost(row: RunRow) -> str:
    if not row.model_calls:
        return words.UNKNOWN
    least = "≥" if row.unpriced_calls and row.cost_usd is not None else ""
    return f"{least}{words.usd(row.cost_usd)}"


def _name(row: RunRow) -> str:
    from tachograph_schemas.account import title

    return title(row, 200)


_NARROWEST_REST = 27
"""Columns of outcome and the least of a task, with the gaps: what an unusually long id must leave."""


def _columns(id_chars: int) -> list[Column]:
    return [
        Column("RUN", id_chars),
        Column("OUTCOME", 13),
        Column("AGENT", 20, spared=1),
        Column("TASK"),
        Column("CUSTOMER", 16, spared=6, optional=True),
        Column("STARTED", 11, spared=2),
        Column("TOOK", 12, right=True, spared=3),
        Column("MODEL", 6, right=True, spared=8),
        Column("TOOL", 6, right=True, spared=7),
        Column("TOKENS", 12, right=True, spared=5),
        Column("COST", 15, right=True, spared=4, is_money=True),
    ]


def _cells(row: RunRow, id_chars: int, now: datetime) -> list[Cell]:
    mark, style = _MARKS.get(row.outcome, ("?", "plain"))
    return [
        row.run_id[:id_chars],
        (f"{mark} {row.outcome}", style),
        row.agent,
        _name(row),
        row.customer,
        words.ago(row.started_at, now),
        words.duration(row.duration_ns),
        f"{row.model_calls:,}",
        f"{row.tool_calls:,}",
        _tokens(row),
        _cost(row),
    ]


def table(
    rows: Sequence[RunRow], columns: int, paint: Paint, now: datetime | None = None
) -> list[str]:
    """The runs as aligned lines of at most ``columns`` columns, display-safe, with a heading."""
    chars = min(_distinct(rows), max(columns - _NARROWEST_REST, _SHORTEST_ID))
    when = now or datetime.now(UTC)
    lines = [_cells(row, chars, when) for row in rows]
    return aligned(_columns(chars), lines, columns, paint)


def _distinct(rows: Sequence[RunRow]) -> int:
    """How many characters of the ids tell these runs apart, at least eight."""
    ids = {row.run_id for row in rows}
    longest = max(map(len, ids))
    chars = _SHORTEST_ID
    while chars < longest and len({run_id[:chars] for run_id in ids}) < len(ids):
        chars += 1
    return chars
