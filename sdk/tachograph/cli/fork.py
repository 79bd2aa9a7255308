"""``tacho fork RUN --at STEP``: what if? The beginning from the recording, from a step on live."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from tachograph.cli.problem import ANSWER_IS_NO, USAGE, Problem
from tachograph.cli.recordings import package_of
from tachograph.cli.terminal import print_json


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "fork",
        help="run an agent again from a step on, with something changed",
        description="Answer the effects before a step from the recording and let the rest happen: with the code as it "
        "is now, or with other results for recorded steps. Models are asked and paid; effects that change the world "
        "happen only with --allow-writes. Each fork is a run of its own.",
    )
    parser.add_argument(
        "run_id", metavar="RUN", help="its id, the beginning of it, `last`, or a .tacho file"
    )
    parser.add_argument(
        "--at", type=int, required=True, metavar="STEP", help="the first live effect, from 1"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="STEP.result=JSON",
        help="answer a recorded step otherwise; @FILE reads the JSON from a file",
    )
    parser.add_argument("-n", type=int, default=1, help="how many forks; default 1")
    parser.add_argument("--allow-writes", action="store_true", help="let effects change the world")
    add_code(parser)
    parser.set_defaults(run=command)


def add_code(parser: argparse.ArgumentParser) -> None:
    """The arguments that say where the program is, and --json."""
    parser.add_argument(
        "--code", type=Path, default=Path(), help="the program's folder; default: this one"
    )
    parser.add_argument(
        "--entry", default="", metavar="MODULE:FUNCTION", help="the run's function, if it has moved"
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def command(arguments: argparse.Namespace) -> int:
    """Fork: 0 all forks ended well, 1 one did not.

    Raises:
        Problem: the recording cannot be used, or --set is malformed.
    """
    plan = {
        "live_from_step": arguments.at,
        "results": dict(_setting(text) for text in arguments.set),
        "allow_writes": arguments.allow_writes,
    }
    package = package_of(arguments.run_id)
    answers = [go_on(package, arguments, plan) for _ in range(max(arguments.n, 1))]
    if arguments.json:
        print_json(answers)
    else:
        for answer in answers:
            print(told(answer))
        if len(answers) > 1:
            outcomes = Counter(json.dumps(answer["output"]) for answer in answers)
            print(f"{len(outcomes)} different results in {len(answers)} forks.")
    return 0 if all(answer["outcome"] == "ok" for answer in answers) else ANSWER_IS_NO


def go_on(package: bytes, arguments: argparse.Namespace, plan: dict[str, Any]) -> dict[str, Any]:
    """Continue a recording in a process of its own.

    Raises:
        Problem: the recording cannot be used.
    """
    from tachograph.replay._process import continued
    from tachograph.replay._recording import RecordingError

    try:
        return continued(package, arguments.code, arguments.entry, plan)
    except RecordingError as error:
        raise Problem(f"This run cannot be continued: {error}.", code=ANSWER_IS_NO) from error


def told(answer: dict[str, Any]) -> str:
    """One line on a continued run."""
    ended = answer["error"] or json.dumps(answer["output"], ensure_ascii=False)
    return f"{answer['run_id'][:8]}  {answer['outcome']:<4} {ended[:300]}"


def _setting(text: str) -> tuple[str, Any]:
    place, equals, value = text.partition("=")
    step, dot, what = place.partition(".")
    if not (equals and dot and step.isdigit() and what == "result"):
        raise Problem(f"--set takes STEP.result=JSON, not {text!r}.", code=USAGE)
    try:
        if value.startswith("@"):
            value = Path(value[1:]).read_text(encoding="utf-8")
        return step, json.loads(value)
    except (OSError, ValueError) as error:
        raise Problem(f"--set {place}: {error}", code=USAGE) from error
