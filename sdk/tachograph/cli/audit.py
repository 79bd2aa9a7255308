"""``tacho audit``: who changed and decided what, and whether that log is what was written."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from tachograph.cli.control_api import call, client
from tachograph.cli.problem import ANSWER_IS_NO
from tachograph.cli.table import Column, listed
from tachograph.cli.terminal import at_most, print_json, print_lines
from tachograph_schemas import words
from tachograph_schemas.control import AUDIT

_COLUMNS = (
    Column("NO", 8, right=True, spared=4),
    Column("WHEN", 23),
    Column("ACTION", 19),
    Column("SUBJECT", 16, spared=3),
    Column("WHO", 20, spared=1),
    Column("DETAIL", spared=2),
)


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "audit",
        help="the log of changes and decisions",
        description="The newest changes and decisions; --verify follows the chain of the whole log.",
    )
    parser.add_argument("--verify", action="store_true", help="check that nothing was altered")
    parser.add_argument(
        "--limit",
        type=at_most(1_000),
        default=50,
        metavar="N",
        help="at most this many (default: 50)",
    )
    parser.add_argument("--json", action="store_true", help="the data, as JSON")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    return _verify(arguments) if arguments.verify else _list(arguments)


def _verify(arguments: argparse.Namespace) -> int:
    verdict = call(client(), "GET", f"{AUDIT}/verify")
    if arguments.json:
        print_json(dict(verdict))
    elif verdict["sound"]:
        print(f"Sound: {words.count(verdict['entries'], 'entry', 'entries')}, unbroken.")
    else:
        print(f"Not sound: {verdict['problem']}.")
    return 0 if verdict["sound"] else ANSWER_IS_NO


def _list(arguments: argparse.Namespace) -> int:
    entries = call(client(), "GET", AUDIT, limit=arguments.limit)["entries"]
    if arguments.json:
        print_json({"entries": entries})
        return 0
    if entries:
        print_lines(listed(_COLUMNS, [_row(entry) for entry in entries]))
    else:
        print("Nothing has been changed or decided yet.")
    return 0


def _row(entry: Mapping[str, Any]) -> list[str]:
    return [
        str(entry["seq"]),
        words.moment_ns(entry["at_ns"]),
        entry["action"],
        entry["subject"],
        entry["actor"],
        entry["detail"],
    ]
