"""``tacho resume RUN``: go on with a run whose process was killed."""

from __future__ import annotations

import argparse

from tachograph.cli.fork import add_code, fork_result, go_on, told
from tachograph.cli.problem import ANSWER_IS_NO, Problem
from tachograph.cli.recordings import package_of
from tachograph.cli.replay import recording_of
from tachograph.cli.replay_records import remember
from tachograph.cli.terminal import print_json
from tachograph_schemas.words import plain


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "resume",
        help="go on with a run whose process was killed",
        description="Run the agent again up to where its recording ends, answered from the recording, and go on live "
        "from there. What had come out never happens again. A write that was under way may have happened: the "
        "resumption stops there and says so, unless --allow-writes has it done.",
    )
    parser.add_argument(
        "run_id",
        metavar="RUN",
        help="its id, the beginning of it, `last`, or a .tape or .tacho file",
    )
    parser.add_argument(
        "--allow-writes", action="store_true", help="let effects change the world from there on"
    )
    add_code(parser)
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """Resume: 0 the run ended well, 1 it did not.

    Raises:
        Problem: the recording cannot be used, or is of a run that has ended.
    """
    plan = {"live_from_step": None, "results": {}, "allow_writes": arguments.allow_writes}
    package = package_of(arguments.run_id)
    recording = recording_of(package)
    if recording.complete:
        raise Problem(
            f"The run {recording.run_id} is over: there is nothing to resume. `tacho replay` drives it again, `tacho fork` "
            "goes on otherwise from a step of it.",
            code=ANSWER_IS_NO,
        )
    answer = go_on(package, arguments, plan)
    remember(recording.run_id, "resume", {}, fork_result(answer))
    if arguments.json:
        print_json(answer)
    else:
        print(f"{answer['run_id'][:8]}  {answer['outcome']:<4} {plain(told(answer)[:300])}")
    return 0 if answer["outcome"] == "ok" else ANSWER_IS_NO
