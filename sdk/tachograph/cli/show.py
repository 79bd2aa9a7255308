"""``tacho show RUN``: the readable account of one run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tachograph.cli.connection import reading
from tachograph.cli.problem import ANSWER_IS_NO, USAGE, Problem
from tachograph.cli.terminal import (
    Paint,
    cells,
    columns_of,
    fit,
    paint_for,
    print_json,
    width,
    wrapped,
)
from tachograph_schemas import words
from tachograph_schemas.account import Account, Line, build

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from tachograph_schemas.comparison import Parted
    from tachograph_schemas.rows import RunRow
    from tachograph_schemas.rows_costs import BillLine

_MARKS = {"plain": "·", "good": "✓", "warn": "~", "bad": "✗", "waiting": "?"}
_STORY_LINES, _SECTION_LINES = 60, 10


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "show",
        help="tell what happened in a run",
        description="Tell what happened in a run: the story, and the answers to the eight questions.",
    )
    parser.add_argument("run_id", metavar="RUN", help="its id, the beginning of it, or `last`")
    parser.add_argument(
        "--full",
        action="store_true",
        help="every line of the account, and details in whole lines instead of their beginnings",
    )
    parser.add_argument("--width", type=int, metavar="COLUMNS", help="default: the terminal's")
    parser.add_argument("--json", action="store_true", help="print the run and its account as JSON")
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """Show the account; 1 when there is no such run, 2 when several ids begin like this."""
    with reading() as client:
        from tachograph_schemas import comparison, queries

        run = _find(client, arguments.run_id)
        spans = queries.account_spans(client, run.run_id)
        account = build(run, spans, comparison.usual(client, run))
        nearest = comparison.parted(client, run, spans)
        bill = queries.bill(client, run.run_id, run.project)
    if arguments.json:
        told = account_json(account)
        told["nearest_success"] = None if nearest is None else nearest.as_json()
        print_json({"run": columns_of(run), "account": told, "bill": list(map(asdict, bill))})
        return 0
    columns = width(arguments.width)
    paint = paint_for(sys.stdout)
    print(account_text(run, account, full=arguments.full, columns=columns, paint=paint))
    if nearest is not None:
        print("\n".join(_compared(nearest, columns, paint, full=arguments.full)))
    if arguments.full:
        print("\n".join(bill_text(bill, columns)))
    return 0


def bill_text(bill: Sequence[BillLine], columns: int) -> list[str]:
    """The sum behind the cost: tokens times rate, class by class; numbers stay below each other where there is room."""
    lines = ["", "The sum"] if bill else []
    for each in bill:
        price = words.plain(each.price_id) or "no list knows its price"
        lines.append(f"  {words.plain(each.model)}: {words.count(each.calls, 'call')}, {price}")
        for name, tokens, rate in each.classes:
            cost = f" x ${rate * 1e6:g} a million = ${tokens * rate:.6f}" if each.price_id else ""
            lines.append(f"    {tokens:>12,} {name}{cost}")
        if each.price_id and abs(each.difference_usd) > 1e-9:
            said = "not priced per token, or at other rates than today's"
            lines.append(f"    {'':>12} {said}: ${each.difference_usd:.6f}")
        if each.cost_usd is not None:
            lines.append(f"    {'':>12} together ${each.cost_usd:.6f}")
        if each.client_cost_usd is not None:
            lines.append(f"    {'':>12} the sender's own sum is ${each.client_cost_usd:.6f}")
    return [part for line in lines for part in _within(line, columns)]


def _within(line: str, columns: int) -> list[str]:
    return [line] if cells(line) <= columns else wrapped(line.strip(), columns, indent="    ")


def _find(client: Client, run_id: str) -> RunRow:
    from tachograph_schemas import queries

    if run_id == "last":
        newest = queries.runs(client, queries.RunFilter(), queries.RunPage(limit=1))
        if not newest:
            raise Problem("No runs are recorded yet; `tacho demo` records some.", code=ANSWER_IS_NO)
        # The list cuts long payloads; the account wants them whole.
        run_id = newest[0].run_id
    try:
        found = queries.run(client, run_id.strip().lower()) or queries.run(client, run_id)
    except queries.AmbiguousRunError as error:
        raise Problem(str(error), code=USAGE) from error
    if found is None:
        raise Problem(
            f"There is no run {run_id!r}. `tacho runs` lists the recorded ones; old ones are deleted after "
            "TACHO_RETENTION_DAYS.",
            code=ANSWER_IS_NO,
        )
    return found


def account_json(account: Account) -> dict[str, Any]:
    """The account as JSON-ready values; times in nanoseconds."""
    return {
        "title": account.title,
        "verdict": account.verdict,
        "tone": account.tone,
        "story": [asdict(line) for line in account.story],
        "sections": {
            section.key: [asdict(line) for line in section.lines] for section in account.sections
        },
        "warnings": list(account.warnings),
        "why": [asdict(line) for line in account.why],
        "signs": [asdict(sign) for sign in account.signs],
        "numbers": dict(account.numbers),
    }


def account_text(
    run: RunRow,
    account: Account,
    *,
    full: bool = False,
    columns: int = 100,
    paint: Paint | None = None,
) -> str:
    """The account for a terminal of ``columns`` columns, display-safe; ``full`` shows every line of it."""
    paint = paint or Paint(on=False)
    lines = [paint(line, "bold") for line in wrapped(account.title, columns)]
    verdict = wrapped(account.verdict, columns, indent="  ", first=f"{_MARKS[account.tone]} ")
    lines += [paint(line, account.tone) for line in verdict]
    lines += [paint(line, "dim") for line in wrapped(_facts(run), columns, indent="  ", first="  ")]
    for warning in account.warnings:
        lines += [
            paint(each, "warn") for each in wrapped(warning, columns, indent="  ", first="! ")
        ]
    if account.signs:
        lines += ["", paint("Worth a look", "bold")]
        lines += _section([sign.line for sign in account.signs], columns, paint, full=full)
    if len(account.why) > 1:
        lines += ["", paint("Why it ended", "bold")]
        lines += _section(account.why, columns, paint, full=full)
    lines += ["", paint("What happened", "bold")]
    lines += _story(account.story, columns, paint, full=full)
    for section in account.sections:
        lines += ["", paint(section.question, "bold")]
        lines += _section(section.lines, columns, paint, full=full)
    return "\n".join(lines)


def _compared(nearest: Parted, columns: int, paint: Paint, *, full: bool) -> list[str]:
    said = f"The nearest successful run: {nearest.title} ({nearest.run_id[:8]})"
    return [
        "",
        *(paint(line, "bold") for line in wrapped(said, columns)),
        *_section(nearest.lines, columns, paint, full=full),
    ]


def _facts(run: RunRow) -> str:
    parts = [f"run {run.run_id}", f"started {words.moment(run.started_at)}"]
    parts.append(words.count(run.model_calls, "model call"))
    parts.append(words.count(run.tool_calls, "tool call"))
    if run.total_tokens is not None:
        parts.append(f"{words.tokens(run.total_tokens)} tokens")
    if run.model_calls:
        least = "at least " if run.unpriced_calls and run.cost_usd is not None else ""
        parts.append(f"{least}{words.usd(run.cost_usd)}")
    return ", ".join(parts)


def _story(story: Sequence[Line], columns: int, paint: Paint, *, full: bool) -> list[str]:
    lines: list[str] = []
    times = [
        f"+{words.duration(line.offset_ns)}" if line.offset_ns is not None else "" for line in story
    ]
    margin = max((cells(each) for each in times), default=0)
    for at, line in _chosen(story, _STORY_LINES, full=full):
        if line is None:
            lines.append(
                paint(f"{'':{margin}}   … {at:,} more steps; --full tells them all", "dim")
            )
        else:
            lines += _told(line, columns, paint, fit(times[at], margin, right=True), full=full)
    return lines


def _section(answer: Sequence[Line], columns: int, paint: Paint, *, full: bool) -> list[str]:
    lines: list[str] = []
    for at, line in _chosen(answer, _SECTION_LINES, full=full):
        if line is None:
            lines.append(paint(f"  … {at:,} more; --full tells them all", "dim"))
        else:
            lines += _told(line, columns, paint, "", full=full)
    return lines


def _chosen(lines: Sequence[Line], most: int, *, full: bool) -> list[tuple[int, Line | None]]:
    """Lines with their places; in a long list the middle is one ``None`` with how many it stands for."""
    numbered: list[tuple[int, Line | None]] = list(enumerate(lines))
    if full or len(numbered) <= most:
        return numbered
    half = most // 2
    return [*numbered[:half], (len(numbered) - 2 * half, None), *numbered[-half:]]


def _told(line: Line, columns: int, paint: Paint, when: str, *, full: bool) -> list[str]:
    lead = f"{when} " if when else ""
    indent = " " * (cells(lead) + 2)
    repeated = f" \u00d7{line.count:,}" if line.count > 1 else ""
    text = wrapped(f"{line.text}{repeated}", columns, indent, f"{lead}{_MARKS[line.tone]} ")
    lines = [paint(each, line.tone) for each in text]
    if not line.detail:
        return lines
    if full:
        detail = wrapped(line.detail, columns, f"{indent}  ")
    else:
        detail = [fit(f"{indent}  {words.plain(line.detail)}", columns).rstrip()]
    return lines + [paint(each, "dim") for each in detail]
