"""``tacho export RUN``: one portable file of all that replaying a run takes."""

from __future__ import annotations

import argparse
from pathlib import Path

from tachograph.cli.problem import ANSWER_IS_NO, Problem
from tachograph.cli.recordings import package_of


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "export",
        help="write the recording of a run into a file",
        description="Write the recording of a run into one file, which `tacho replay FILE` reads on any machine that "
        "has the code. Secrets were masked before they were recorded; look before you pass it on.",
    )
    parser.add_argument("run_id", metavar="RUN", help="its id, the beginning of it, or `last`")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: RUN.tacho")
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """Export; 1 when there is no such recording.

    Raises:
        Problem: there is none, or the file cannot be written.
    """
    package = package_of(arguments.run_id)
    path: Path = arguments.output or Path(f"{arguments.run_id}.tacho")
    try:
        path.write_bytes(package)
    except OSError as error:
        raise Problem(f"{path} cannot be written: {error}", code=ANSWER_IS_NO) from error
    print(f"Wrote {path} ({len(package):,} bytes).")
    return 0
