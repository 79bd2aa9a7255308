"""``tacho recover``: send what programs that are gone left in their spools."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from tachograph.cli.problem import ANSWER_IS_NO, UNREACHABLE
from tachograph.cli.terminal import print_json
from tachograph_schemas import words

if TYPE_CHECKING:
    from tachograph._orphans import Recovery

_TIMEOUT_S = 10.0


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "recover",
        help="send what killed or offline programs left behind",
        description="Send the spans that programs which are gone (killed, crashed, ended while the collector was "
        "away) left under TACHO_HOME/spool to the collector at TACHO_ENDPOINT, with TACHO_API_KEY. Runs that were "
        "not over are marked as interrupted. Programs that still run send theirs themselves. Programs that "
        "record here do the same in the background; this command does it now.",
        epilog="Exit codes: 0 all of it was sent, 1 some was left where it is, 3 the collector cannot be reached.",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="also what was meant for another collector or another API key",
    )
    parser.add_argument("--json", action="store_true", help="print an object with the counts")
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """Send everything that can be sent, and say what was not. Blocks until then."""
    recovery = _recovery(everything=arguments.all)
    why = ""
    for delivery in recovery.steps():
        if delivery.why:
            why = delivery.why
    unreachable = recovery.waiting is not None
    result: dict[str, Any] = {
        "endpoint": recovery.transport.url,
        "spools": recovery.spools,
        "spans": recovery.spans,
        "interrupted": recovery.interrupted,
        "lost": recovery.lost,
        "held": [{"spool": str(orphan.folder), "why": said} for orphan, said in recovery.held],
        "problem": why if unreachable else "",
    }
    if arguments.json:
        print_json(result)
    else:
        _say(result)
    if unreachable:
        return UNREACHABLE
    return ANSWER_IS_NO if result["held"] or result["lost"] else 0


def _recovery(*, everything: bool) -> Recovery:
    from tachograph import _config
    from tachograph._orphans import Recovery, destination_of
    from tachograph._redact import Redactor
    from tachograph._setup import transport_for
    from tachograph_schemas.settings import home

    config = _config.read({})
    transport = transport_for(config)
    redactor = Redactor(paths=config.redact_paths, emails=config.redact_emails)
    destination = destination_of(transport, redactor)
    return Recovery(
        home(config.home), transport, redactor, destination, lambda: _TIMEOUT_S, everything
    )


def _say(result: dict[str, Any]) -> None:
    sent = result["spans"] or result["interrupted"]
    if result["spans"]:
        spans, programs = _count(result["spans"], "span"), _count(result["spools"], "program")
        print(f"Sent {spans} that {programs} left behind to {result['endpoint']}.")
    if result["interrupted"]:
        opened = _count(result["interrupted"], "span")
        print(f"Marked {opened} as interrupted: open when their program died.")
    if result["lost"]:
        print(f"{_count(result['lost'], 'span')} were refused by the collector and are lost.")
    if result["problem"]:
        said = words.plain(result["problem"])
        print(f"The collector at {result['endpoint']} does not take more ({said}).")
        print("What is left stays where it is; run this again when the collector is back.")
    for held in result["held"]:
        print(f"Left {held['spool']}: {words.plain(held['why'])}.")
    if not sent and not result["held"] and not result["problem"] and not result["lost"]:
        print("Nothing was left behind.")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
