"""``tacho import FILE``: a recording from another machine, into this storage."""

from __future__ import annotations

import argparse
from pathlib import Path

from tachograph.cli.control_api import client
from tachograph.cli.problem import ANSWER_IS_NO, UNREACHABLE, Problem
from tachograph.cli.recordings import package_of
from tachograph.cli.replay import recording_of
from tachograph_schemas.words import plain

_TIMEOUT_S = 60.0


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "import",
        help="store the recording in a file",
        description="Give a recording that `tacho export` wrote to the collector, so that the run can be replayed, "
        "forked and compared by its id. Importing it again changes nothing. Its spans are not part of it: the run "
        "has no page until they arrive.",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="a .tacho file")
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """Import; 1 when it is no recording, or is refused.

    Raises:
        Problem: see there; 3 when nobody answers.
    """
    package = package_of(str(arguments.file.absolute()))
    recording = recording_of(package)
    answer = client().send_recording(recording.run_id, package, timeout_s=_TIMEOUT_S)
    if not answer:
        code = UNREACHABLE if answer.may_change else ANSWER_IS_NO
        raise Problem(f"{arguments.file} was not imported: {answer.why}", code=code)
    said = "Imported" if answer.data.get("added") else "Known already:"
    print(plain(f"{said} {recording.run_id}, {len(recording.calls):,} effects."))
    return 0
