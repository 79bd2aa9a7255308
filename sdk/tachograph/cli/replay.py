"""``tacho replay RUN``: run the agent's code again on its recording, offline, and say where it differs."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tachograph.cli.problem import ANSWER_IS_NO, Problem
from tachograph.cli.recordings import package_of
from tachograph.cli.terminal import print_json

_SECRETS = ("KEY", "TOKEN", "SECRET", "PASSWORD")


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
    answer = replayed(package_of(arguments.run_id), arguments.code, arguments.entry)
    if arguments.json:
        print_json(answer)
    elif answer["identical"]:
        print(f"Identical: {answer['effects']} effects answered from the recording, nothing live.")
    else:
        from tachograph.replay._divergence import Divergence

        print(Divergence(**answer["divergence"]).text())
    return 0 if answer["identical"] else ANSWER_IS_NO


def replayed(package: bytes, code: Path, entry: str = "") -> dict[str, Any]:
    """Replay in a process of its own, with the hash seed of the recording; blocks until it is done.

    Raises:
        Problem: the recording cannot be used.
    """
    from tachograph.replay._recording import Recording, RecordingError

    try:
        recording = Recording.from_bytes(package)
    except RecordingError as error:
        raise Problem(f"{error}.", code=ANSWER_IS_NO) from error
    with tempfile.TemporaryDirectory(prefix="tacho-") as folder:
        file = Path(folder) / "recording.tacho"
        file.write_bytes(package)
        words = [sys.executable, "-m", "tachograph.replay", str(file), "--code", str(code)]
        process = subprocess.run(
            [*words, "--entry", entry] if entry else words,
            env=_environment(str(recording.run.get("env", {}).get("hash_seed", "random"))),
            stdout=subprocess.PIPE,
            check=False,
        )
    try:
        answer: dict[str, Any] = json.loads(process.stdout)
    except ValueError:
        raise Problem(
            f"The replay ended without an answer (exit code {process.returncode}).",
            code=ANSWER_IS_NO,
        ) from None
    if "problem" in answer:
        raise Problem(f"This run cannot be replayed: {answer['problem']}.", code=ANSWER_IS_NO)
    return answer


def _environment(hash_seed: str) -> dict[str, str]:
    """Ours without keys, so that none can be used, and with the recording's hash seed."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not any(word in name.upper() for word in _SECRETS)
    }
    if hash_seed.isdigit():
        kept["PYTHONHASHSEED"] = hash_seed
    else:
        kept.pop("PYTHONHASHSEED", None)
    return kept
