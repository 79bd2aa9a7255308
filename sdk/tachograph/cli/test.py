"""``tacho test RUN -o tests/``: a regression test from a run."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from tachograph.cli.problem import ANSWER_IS_NO, Problem
from tachograph.cli.recordings import package_of
from tachograph.cli.replay import recording_of

_TEXT = '''"""A run of {agent}, recorded as {run_id}, must go as it went. Written by `tacho test`."""

import pytest


@pytest.mark.tacho("tapes/{name}.tacho")
def test_{name}(tacho_replay):
    tacho_replay.assert_identical()
'''


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "test",
        help="make a pytest file of a run",
        description="Write the recording of a run, masked by the rules of today, and a test that replays it offline: green as long as the agent does "
        "what it did, red with the first difference when it does something else.",
    )
    parser.add_argument(
        "run_id", metavar="RUN", help="its id, the beginning of it, `last`, or a .tacho file"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("tests"), metavar="DIR", help="default: tests"
    )
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """Write the two files; 1 when there is no such recording.

    Raises:
        Problem: there is none, or the files cannot be written.
    """
    from tachograph.replay._recording import RecordingError
    from tachograph.replay._redacted import redacted

    recording = recording_of(package_of(arguments.run_id))
    try:
        recording.check_replayable()
    except RecordingError as error:
        raise Problem(f"This run makes no test: {error}.", code=ANSWER_IS_NO) from error
    if not recording.complete:
        raise Problem(
            f"{recording.run_id} has not ended, or was killed: there is nothing to hold the agent to.",
            code=ANSWER_IS_NO,
        )
    agent = str(recording.run.get("agent", "agent"))
    name = re.sub(r"\W+", "_", f"{agent}_{recording.run_id[:8]}").strip("_").lower()
    folder: Path = arguments.output
    test = folder / f"test_{name}.py"
    try:
        (folder / "tapes").mkdir(parents=True, exist_ok=True)
        (folder / "tapes" / f"{name}.tacho").write_bytes(redacted(recording))
        shown = re.sub(r"[^\w .-]", "_", agent)
        test.write_text(
            _TEXT.format(agent=shown, run_id=recording.run_id, name=name), encoding="utf-8"
        )
    except OSError as error:
        raise Problem(f"{folder} cannot be written: {error}", code=ANSWER_IS_NO) from error
    print(f"Wrote {test} and its recording. Run it with: pytest {test}")
    return 0
