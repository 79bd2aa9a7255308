"""``tacho export RUN``: one portable file of all that replaying and showing a run takes."""

from __future__ import annotations

import argparse
from pathlib import Path

from tachograph.cli.problem import ANSWER_IS_NO, Problem
from tachograph.cli.recordings import package_of
from tachograph.cli.replay import recording_of
from tachograph.cli.spans_file import spans_of
from tachograph_schemas import tapes, words
from tachograph_schemas.words import plain


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "export",
        help="write the recording and the spans of a run into a file",
        description="Write the recording of a run and its spans into one file. `tacho replay FILE` reads it on any "
        "machine that has the code; `tacho import FILE` makes the run's page there. Secrets were masked before they "
        "were recorded, and are once more in the spans; look before you pass it on.",
    )
    parser.add_argument("run_id", metavar="RUN", help="its id, the beginning of it, or `last`")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="default: the first 8 digits of its id, and .tacho",
    )
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """Export; 1 when there is no such recording.

    Raises:
        Problem: there is none, or the file cannot be written.
    """
    package = package_of(arguments.run_id)
    run_id = recording_of(package).run_id
    try:
        spans, count = spans_of(run_id)
        beside = (
            f" with {words.count(count, 'span')}" if count else ", without spans: none are stored"
        )
    except Problem as problem:
        spans, beside = b"", f", without its spans: {str(problem).rstrip('.')}"
    if spans:
        package = tapes.with_spans(package, spans)
    path: Path = arguments.output or Path(f"{run_id[:8]}.tacho")
    try:
        path.write_bytes(package)
    except OSError as error:
        raise Problem(f"{path} cannot be written: {error}", code=ANSWER_IS_NO) from error
    print(plain(f"Wrote {path} ({len(package):,} bytes){beside}."))
    return 0
