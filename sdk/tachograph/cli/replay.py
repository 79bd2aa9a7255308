"""``tacho replay RUN``: run the agent's code again on its recording, offline, and say where it differs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tachograph.cli.problem import ANSWER_IS_NO, Problem
from tachograph.cli.recordings import package_of
from tachograph.cli.terminal import print_json


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "replay",
        help="run an agent again on its recording, offline",
        description="Run the agent's code as it is now on the recording of a run. Every effect is answered from "
        "the recording: nothing is sent, written or paid, and nobody waits. Exit code 0: identical; 1: it differs, "
        "and the first difference is shown.",
    )
    parser.add_argument(
        "run_id", metavar="RUN", help="its id, the beginning of it, `last`, or a .tacho file"
    )
    parser.add_argument(
        "--code", type=Path, default=Path(), help="the program's folder; default: this one"
    )
    parser.add_argument(
        "--entry", default="", metavar="MODULE:FUNCTION", help="the run's function, if it has moved"
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """Replay: 0 identical, 1 diverged or not replayable.

    Raises:
        Problem: there is no such recording, or its code cannot be found.
    """
    answer = answer_of(package_of(arguments.run_id), arguments.code, arguments.entry)
    if arguments.json:
        print_json(answer)
    elif answer["identical"]:
        print(f"Identical: {answer['effects']} effects answered from the recording, nothing live.")
    else:
        from tachograph.replay._divergence import Divergence

        print(Divergence(**answer["divergence"]).text())
    return 0 if answer["identical"] else ANSWER_IS_NO


def answer_of(package: bytes, code: Path, entry: str) -> dict[str, Any]:
    """Replay in a process of its own.

    Raises:
        Problem: the recording cannot be used.
    """
    from tachograph.replay._process import replayed
    from tachograph.replay._recording import RecordingError

    try:
        return replayed(package, code, entry)
    except RecordingError as error:
        raise Problem(f"This run cannot be replayed: {error}.", code=ANSWER_IS_NO) from error
