"""``tacho drift``: which agents have changed, by how much and since when; ``tacho drift ack`` ends an alarm."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tachograph.cli.control_api import actor, add_actor, call, client
from tachograph.cli.problem import ANSWER_IS_NO, USAGE, Problem
from tachograph.cli.terminal import print_json, print_lines, width, wrapped
from tachograph_schemas import words
from tachograph_schemas.control import DRIFT

# As in `tacho runs`.
_ID_CHARS = 8


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "drift",
        help="which agents behave differently than before",
        description="Open alarms, and how each agent is watched. `tacho drift ack ID` ends an alarm: with --learn what "
        "is now becomes the new normal of all metrics, with --learn-metric of this one alone; with --dismiss the baseline stays.",
    )
    parser.add_argument("words", nargs="*", metavar="ack ID", help="end an alarm")
    parser.add_argument("--agent", default="", help="this agent alone")
    parser.add_argument("--all", action="store_true", help="acknowledged alarms too")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--learn", action="store_true", help="ack: learn a new baseline from it")
    kind.add_argument(
        "--learn-metric", action="store_true", help="ack: the same of this metric alone"
    )
    kind.add_argument("--dismiss", action="store_true", help="ack: keep the baseline")
    parser.add_argument("--note", default="", help="ack: why, for the record")
    parser.add_argument("--json", action="store_true", help="the data, as JSON")
    add_actor(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    answers = arguments.learn or arguments.learn_metric or arguments.dismiss
    if not (arguments.words or answers):
        return _list(arguments)
    if arguments.words[:1] != ["ack"] or len(arguments.words) != 2:
        raise Problem("`tacho drift`, or `tacho drift ack ID --learn` or `--dismiss`.", code=USAGE)
    if not answers:
        raise Problem(
            "Say --learn or --learn-metric (this is the new normal) or --dismiss (keep the baseline).",
            code=USAGE,
        )
    return _acknowledge(arguments, arguments.words[1])


def _acknowledge(arguments: argparse.Namespace, beginning: str) -> int:
    to = client()
    listed = call(to, "GET", f"{DRIFT}/alarms", limit=1_000)["alarms"]
    found = [alarm for alarm in listed if alarm["id"].startswith(beginning)]
    if len(found) != 1:
        raise Problem(
            f"{words.count(len(found), 'alarm')} with an id that begins so; `tacho drift` lists them.",
            code=ANSWER_IS_NO,
        )
    said = {"learn": not arguments.dismiss, "note": arguments.note, "actor": actor(arguments)}
    if arguments.learn_metric:
        said["metric_only"] = True
    ended = call(to, "POST", f"{DRIFT}/alarms/{found[0]['id']}/ack", said)
    if arguments.json:
        print_json(dict(ended))
    elif arguments.learn:
        print(f"Learning again what is normal for {words.plain(ended['agent'])}.")
    elif arguments.learn_metric:
        what = ended["title"][0].lower() + ended["title"][1:]
        print(f"Learning again what is normal for {words.plain(ended['agent'])}: {what}.")
    else:
        print("Dismissed; the baseline stays.")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    to = client()
    state = "" if arguments.all else "open"
    alarms = call(to, "GET", f"{DRIFT}/alarms", state=state, agent=arguments.agent)["alarms"]
    watched = call(to, "GET", f"{DRIFT}/agents", agent=arguments.agent)
    if arguments.json:
        print_json({"alarms": alarms, **watched})
    else:
        if watched.get("behind_s"):  # older collectors do not say it
            print_lines(wrapped(words.drift_is_behind(watched["behind_s"]), width()))
        print_lines(_lines(alarms, watched["agents"]))
    return 0


def _lines(
    alarms: Sequence[Mapping[str, Any]], agents: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    if not agents:
        said = "No runs have been looked at yet. Runs are looked at a minute after they have ended."
        yield from wrapped(said, width())
    for alarm in alarms:
        yield from _alarm(alarm)
    for agent in agents:
        name = words.plain(agent["agent"])
        yield from wrapped(f"{name}: {agent['says']}", width())


def _ids(runs: Sequence[Mapping[str, Any]]) -> str:
    return " ".join(run["run_id"][:_ID_CHARS] for run in runs)


def _alarm(alarm: Mapping[str, Any]) -> Iterator[str]:
    from tachograph_schemas.drift import sentences

    state = "" if alarm["state"] == "open" else f" [{alarm['state']}]"
    yield from wrapped(
        f"{alarm['id']}  {words.plain(alarm['agent'])}  {sentences.headline(alarm)}{state}", width()
    )
    details = (
        f"{sentences.size(alarm['effect'], alarm['unit'])}, {sentences.since(alarm)}",
        sentences.how_sure(alarm),
        *alarm["checked"],
        f"Runs before: {_ids(alarm['before'])}",
        f"Runs since:  {_ids(alarm['after'])}",
    )
    for line in details:
        yield from wrapped(line, width(), "    ", "    ")
    yield ""
