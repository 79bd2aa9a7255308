"""``tacho audit``: who changed and decided what, and whether that log is what was written."""

from __future__ import annotations

import argparse
from typing import Any

from tachograph.cli.control_api import call, client
from tachograph.cli.problem import ANSWER_IS_NO
from tachograph.cli.terminal import fit, print_json, print_lines, width
from tachograph_schemas import words
from tachograph_schemas.control import AUDIT


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "audit",
        help="the log of changes and decisions",
        description="The newest changes and decisions; --verify follows the chain of the whole log.",
    )
    parser.add_argument("--verify", action="store_true", help="check that nothing was altered")
    parser.add_argument("--limit", type=int, default=50, help="at most so many (default 50)")
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
    entries = call(client(), "GET", AUDIT, limit=max(1, min(arguments.limit, 1_000)))["entries"]
    if arguments.json:
        print_json({"entries": entries})
        return 0
    print_lines(
        "  ".join(
            [
                fit(str(entry["seq"]), 6, right=True),
                words.moment_ns(entry["at_ns"]),
                fit(entry["action"], 16),
                fit(words.plain(entry["subject"]), 16),
                words.excerpt(f"{entry['actor']}  {entry['detail']}", max(20, width() - 70)),
            ]
        )
        for entry in entries
    )
    return 0
