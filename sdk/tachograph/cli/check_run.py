"""``tacho check RUN``: how replayable a run is, found out by replaying it."""

from __future__ import annotations

import argparse

from tachograph.cli.fork import add_code
from tachograph.cli.problem import ANSWER_IS_NO, Problem
from tachograph.cli.recordings import package_of
from tachograph.cli.replay import answer_of, recording_of
from tachograph.cli.terminal import print_json


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
    add_code(parser)
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """Check: 0 every replay was identical and nothing leaked, 1 otherwise.

    Raises:
        Problem: the recording cannot be used.
    """
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
        "complete": recording.complete,
        "hash_seed": seed,
        "divergence": next((a["divergence"] for a in answers if not a["identical"]), None),
    }
    if arguments.orders > 0:
        report["other_orders"] = _explored(package, arguments)
    if arguments.json:
        print_json(report)
    else:
        _print(report)
    return 0 if identical == count and not recording.leaks else ANSWER_IS_NO


def _explored(package: bytes, arguments: argparse.Namespace) -> dict[str, object]:
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
    if not report["complete"]:
        print("The recording has no end: the run was under way or was killed.")
    if report["hash_seed"] == "random":
        print("Recorded with a random hash seed: set PYTHONHASHSEED if the order of sets matters.")
    if isinstance(report["divergence"], dict):
        print(Divergence(**report["divergence"]).text())
    others = report.get("other_orders")
    if isinstance(others, dict):
        print(
            f"{len(others['found'])} of {others['orders']} other orders change what the agent does."
        )
        for found in others["found"][:1]:
            print(f"When outcomes come in the order of steps {found['order']}:")
            print(Divergence(**found["divergence"]).text())
