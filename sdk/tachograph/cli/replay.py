"""``tacho replay RUN``: run the agent's code again on its recording, offline, and say where it differs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tachograph import _masks
from tachograph.cli.problem import ANSWER_IS_NO, USAGE, Problem
from tachograph.cli.recordings import package_of
from tachograph.cli.replay_many import add_many, replay_many
from tachograph.cli.replay_records import remember, replay_result
from tachograph.cli.terminal import print_json
from tachograph_schemas.words import plain

if TYPE_CHECKING:
    from tachograph.replay._recording import Recording
    from tachograph.replay._report import Report


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
        "run_id",
        metavar="RUN",
        nargs="?",
        help="its id, the beginning of it, `last`, or a .tacho file",
    )
    add_many(parser)
    parser.add_argument(
        "--code", type=Path, default=Path(), help="the program's folder; default: this one"
    )
    parser.add_argument(
        "--entry", default="", metavar="MODULE:FUNCTION", help="the run's function, if it has moved"
    )
    parser.add_argument(
        "--lenient",
        action="store_true",
        help="answer calls with other arguments than recorded all the same, and list them",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the report there too")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """Replay: 0 identical, 1 diverged or not replayable.

    Raises:
        Problem: there is no such recording, or its code cannot be found.
    """
    from tachograph.replay._report import explain, text

    if (arguments.run_id is None) == (arguments.since is None):
        raise Problem("Name one RUN, or say --since.", code=USAGE)
    if arguments.since is not None:
        return replay_many(arguments)
    package = package_of(arguments.run_id)
    recording = recording_of(package)
    _masks.prepare()
    answer = answer_of(package, arguments.code, arguments.entry, lenient=arguments.lenient)
    options = {"lenient": True} if arguments.lenient else {}
    remember(recording.run_id, "replay", options, replay_result(answer))
    named = recording.run_id if arguments.run_id == "last" else arguments.run_id
    report = explain(answer, recording, named, arguments.code)
    if arguments.html is not None:
        _write_html(report, arguments.html)
    if arguments.json:
        print_json(report.as_dict())
    else:
        print(plain(text(report), newlines=True))
    return 0 if report.identical else ANSWER_IS_NO


def _write_html(report: Report, path: Path) -> None:
    from tachograph.replay._report_html import page

    try:
        path.write_text(page(report), encoding="utf-8", errors="replace")
    except OSError as error:
        raise Problem(f"{path} cannot be written: {error}", code=USAGE) from error


def recording_of(package: bytes) -> Recording:
    """What is in a ``.tacho`` file.

    Raises:
        Problem: it is none, or a damaged one.
    """
    from tachograph.replay._recording import Recording, RecordingError

    try:
        return Recording.from_bytes(package)
    except RecordingError as error:
        raise Problem(f"This run cannot be replayed: {error}.", code=ANSWER_IS_NO) from error


def answer_of(package: bytes, code: Path, entry: str, *, lenient: bool = False) -> dict[str, Any]:
    """Replay in a process of its own.

    Raises:
        Problem: the recording cannot be used.
    """
    from tachograph.replay._process import replayed
    from tachograph.replay._recording import RecordingError

    try:
        return replayed(package, code, entry, lenient=lenient)
    except RecordingError as error:
        raise Problem(f"This run cannot be replayed: {error}.", code=ANSWER_IS_NO) from error
