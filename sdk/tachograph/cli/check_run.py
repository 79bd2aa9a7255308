"""``tacho check RUN``: how replayable a run is, found out by replaying it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tachograph.cli.fork import add_code
from tachograph.cli.problem import ANSWER_IS_NO, Problem
from tachograph.cli.recordings import package_of
from tachograph.cli.replay import answer_of, recording_of
from tachograph.cli.terminal import print_json

if TYPE_CHECKING:
    from tachograph.replay._recording import Recording


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "check",
        help="say how replayable a run is",
        description="Replay a run several times, each in a fresh process, and name what was not recorded: wake-ups "
        "of the agent that no effect explains, with file and line.",
    )
    parser.add_argument(
        "run_id", metavar="RUN", help="its id, the beginning of it, `last`, or a .tacho file"
    )
    parser.add_argument("-n", type=int, default=3, help="how many replays; default 3")
    parser.add_argument(
        "--orders",
        type=int,
        default=0,
        metavar="N",
        help="also try N other legal orders of what came out, and name those that change what the agent does",
    )
    parser.add_argument(
        "--save",
        type=Path,
        metavar="FILE",
        help="with --orders: write the recording with the smallest order that changes something; `tacho replay FILE` and "
        "`tacho test FILE` use that order",
    )
    add_code(parser)
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """Check: 0 every replay was identical and nothing leaked, 1 otherwise.

    Raises:
        Problem: the recording cannot be used.
    """
    from tachograph.replay._turns import GivenUp

    package = package_of(arguments.run_id)
    recording = recording_of(package)
    count = max(arguments.n, 1)
    answers = [answer_of(package, arguments.code, arguments.entry) for _ in range(count)]
    identical = sum(bool(answer["identical"]) for answer in answers)
    seed = str(recording.run.get("env", {}).get("hash_seed", "random"))
    report = {
        "run_id": recording.run_id,
        "replays": count,
        "identical": identical,
        "leaks": recording.leaks,
        "forks": recording.forks,
        "turns_given_up": [turn.why for turn in recording.turns if isinstance(turn, GivenUp)],
        "complete": recording.complete,
        "hash_seed": seed,
        "divergence": next((a["divergence"] for a in answers if not a["identical"]), None),
    }
    if arguments.orders > 0:
        others = report["other_orders"] = _explored(package, arguments)
        report["saved"] = _saved(others, recording, arguments.save)
    if arguments.json:
        print_json(report)
    else:
        _print(report)
    is_whole = not (recording.leaks or recording.forks)
    return 0 if identical == count and is_whole else ANSWER_IS_NO


def _saved(others: dict[str, Any], recording: Recording, path: Path | None) -> str:
    """Write the first order that changes something; where, empty when there is none or nobody wants it."""
    if path is None or not others["found"]:
        return ""
    made = recording.in_order_of(others["found"][0]["overtakings"])
    try:
        path.write_bytes(made.packed())
    except OSError as error:
        raise Problem(f"{path} cannot be written: {error}", code=ANSWER_IS_NO) from error
    return str(path)


def _explored(package: bytes, arguments: argparse.Namespace) -> dict[str, Any]:
    from tachograph.replay._process import explored
    from tachograph.replay._recording import RecordingError

    try:
        return explored(package, arguments.code, arguments.entry, arguments.orders)
    except RecordingError as error:
        raise Problem(f"No other orders can be tried: {error}.", code=ANSWER_IS_NO) from error


def _print(report: dict[str, object]) -> None:
    from tachograph.replay._divergence import Divergence

    print(f"{report['identical']} of {report['replays']} replays were identical.")
    for leak in report["leaks"] if isinstance(report["leaks"], list) else []:
        print(f"Not recorded: something woke the agent at {leak}")
    for fork in report["forks"] if isinstance(report["forks"], list) else []:
        print(f"Not recorded: what a child process does that was forked at {fork}")
    for why in report["turns_given_up"] if isinstance(report["turns_given_up"], list) else []:
        print(f"From some point on its threads took no turns: {why}.")
    if not report["complete"]:
        print("The recording has no end: the run was under way or was killed.")
    if report["hash_seed"] == "random":
        print(
            "Recorded with a random hash seed: if the order of sets of strings matters, record with"
            " `tacho record -- COMMAND`."
        )
    if isinstance(report["divergence"], dict):
        print(Divergence(**report["divergence"]).text())
    others = report.get("other_orders")
    if isinstance(others, dict):
        print(
            f"{len(others['found'])} of {others['orders']} other orders change what the agent does."
        )
        for found in others["found"][:1]:
            print(f"When {', and '.join(found['because'])}:")
            print(Divergence(**found["divergence"]).text())
        if report["saved"]:
            print(
                f"Wrote {report['saved']}. Replay this order with: tacho replay {report['saved']}"
            )
