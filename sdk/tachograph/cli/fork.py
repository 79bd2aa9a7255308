"""``tacho fork RUN --at STEP``: what if? The beginning from the recording, from a step on live."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tachograph.cli.fork_settings import settings_of
from tachograph.cli.outcomes import Outcome, outcomes_of, table
from tachograph.cli.problem import ANSWER_IS_NO, Problem
from tachograph.cli.recordings import package_of
from tachograph.cli.replay import recording_of
from tachograph.cli.replay_records import remember
from tachograph.cli.terminal import print_json, print_lines
from tachograph_schemas import words
from tachograph_schemas.words import plain

if TYPE_CHECKING:
    from tachograph.replay._process import Processes
    from tachograph.replay._recording import Recording

TIMEOUT_S = 3_600.0
"""Of one of several forks."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "fork",
        help="run an agent again from a step on, with something changed",
        description="Answer the effects before a step from the recording and let the rest happen: with the code as it "
        "is now, with other results for recorded steps, or with another model. Models are asked and paid; effects "
        "that change the world happen only with --allow-writes. Each fork is a run of its own, and at the end they "
        "are compared with what was recorded.",
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
        metavar="PLACE=JSON",
        help="STEP.result=JSON answers a recorded step otherwise (@FILE reads it from a file); STEP.args.NAME=JSON and "
        "STEP.messages[0].content=JSON give a live step other arguments; += puts something behind what is there",
    )
    parser.add_argument(
        "--model", default="", metavar="NAME", help="send live model calls to this model instead"
    )
    parser.add_argument(
        "--tools",
        choices=("live", "tape"),
        default="live",
        help="tape: tools answer from the recording after STEP too, as long as their arguments were recorded",
    )
    parser.add_argument("-n", type=int, default=1, help="how many forks; default 1")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="forks at a time"
    )
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
    """Fork: 0 all forks ended well and came to everything that was set, 1 one did not.

    Raises:
        Problem: the recording cannot be used, or --set is malformed.
    """
    package = package_of(arguments.run_id)
    recording = recording_of(package)
    results, edits = settings_of(arguments.set, arguments.at, recording)
    plan = {
        "live_from_step": arguments.at,
        "results": results,
        "edits": [edit.as_list() for edit in edits],
        "allow_writes": arguments.allow_writes,
        "model": arguments.model,
        "tools_from_tape": arguments.tools == "tape",
    }
    answers = _forks(package, arguments, plan)
    for answer in answers:
        remember(recording.run_id, "fork", _remembered(arguments), fork_result(answer))
    found = outcomes_of([recording.run_id, *(answer["run_id"] for answer in answers)])
    if arguments.json:
        print_json([_as_json(answer, found.get(answer["run_id"])) for answer in answers])
    else:
        print_lines(_told(recording, answers, found))
    went_well = all(each["outcome"] == "ok" and not each["unreached"] for each in answers)
    return 0 if went_well else ANSWER_IS_NO


def _remembered(arguments: argparse.Namespace) -> dict[str, Any]:
    """The plan without the values that were set."""
    places = [text.partition("=")[0].rstrip("+") for text in arguments.set]
    said = {
        "at": arguments.at,
        "set": places,
        "model": arguments.model,
        "tools": arguments.tools,
        "allow_writes": arguments.allow_writes,
    }
    return {name: value for name, value in said.items() if value and value != "live"}


def _forks(
    package: bytes, arguments: argparse.Namespace, plan: dict[str, Any]
) -> list[dict[str, Any]]:
    from tachograph.replay._process import Processes

    count = max(arguments.n, 1)
    if count == 1:
        return [go_on(package, arguments, plan)]
    processes = Processes(TIMEOUT_S)
    with ThreadPoolExecutor(max(min(arguments.jobs, count), 1), "tacho-fork") as pool:
        try:
            waiting = [
                pool.submit(go_on, package, arguments, plan, processes) for _ in range(count)
            ]
            return [future.result() for future in waiting]
        except BaseException:
            processes.end()
            raise


def go_on(
    package: bytes,
    arguments: argparse.Namespace,
    plan: dict[str, Any],
    among: Processes | None = None,
) -> dict[str, Any]:
    """Continue a recording in a process of its own.

    Raises:
        Problem: the recording cannot be used.
    """
    from tachograph.replay._process import continued
    from tachograph.replay._recording import RecordingError

    try:
        return continued(package, arguments.code, arguments.entry, plan, among)
    except RecordingError as error:
        raise Problem(f"This run cannot be continued: {error}.", code=ANSWER_IS_NO) from error


def fork_result(answer: dict[str, Any]) -> dict[str, Any]:
    """What is remembered of a continued run."""
    return {
        "run_id": answer["run_id"],
        "outcome": answer["outcome"],
        "error": (answer["error"] or "")[:300],
    }


def told(answer: dict[str, Any]) -> str:
    """How a continued run came out, without its id."""
    return answer["error"] or json.dumps(answer["output"], ensure_ascii=False)


def recorded_result(end: dict[str, Any]) -> str:
    """What came of the recorded run, from the end of its tape."""
    value = end.get("v")
    if isinstance(value, dict) and value.get("$") == "error":
        return f"{str(value.get('t')).rpartition(':')[2]}: {value.get('m')}"
    return json.dumps(value, ensure_ascii=False)


def _as_json(answer: dict[str, Any], outcome: Outcome | None) -> dict[str, Any]:
    money = outcome or Outcome("", "")
    return {**answer, "cost_usd": money.cost_usd, "tokens": money.tokens, "steps": money.steps}


def _told(
    recording: Recording, answers: list[dict[str, Any]], found: dict[str, Outcome]
) -> Iterator[str]:
    ended = recording.end
    then = found.get(recording.run_id) or Outcome(recording.run_id, ended.get("o", ""))
    then.result = recorded_result(ended)
    rows = [("recorded", then)]
    for number, answer in enumerate(answers, 1):
        row = found.get(answer["run_id"]) or Outcome(answer["run_id"], answer["outcome"])
        row.result = told(answer)
        row.took_s = answer["took_s"] if row.took_s is None else row.took_s
        rows.append((f"fork {number}", row))
    yield from table(rows)
    for number, answer in enumerate(answers, 1):
        if answer["error"]:
            yield f"fork {number}: {plain(answer['error'])}"
        for place in answer["unreached"]:
            yield f"fork {number}: --set {plain(place)} changed nothing: the run did not come to that step."
    if len(answers) > 1:
        different = len({told(answer) for answer in answers})
        yield f"{words.count(different, 'different result')} in {len(answers)} forks."
