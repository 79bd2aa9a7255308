"""``tacho guard``: has a version changed how an agent behaves? A gate for deployments."""

from __future__ import annotations

import argparse
from typing import Any

from tachograph.cli.connection import reading
from tachograph.cli.control_api import call, client
from tachograph.cli.problem import ANSWER_IS_NO, USAGE, Problem, require_server
from tachograph.cli.terminal import print_json, print_lines, width, wrapped
from tachograph_schemas import words
from tachograph_schemas.control import DRIFT

_LOOKED_AT_RUNS = 10_000


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "guard",
        help="compare a version of an agent with the one before it",
        description="Exit 0: no change seen; 1: changed; 2: no such version, or not enough runs to tell. A version is a "
        "fingerprint or a part of one: a version number, a commit, model=NAME, prompt=HASH, tools=HASH. Without --agent: "
        "what the collector has found by itself about new versions of every agent.",
    )
    parser.add_argument("--agent", default="", help="the agent's name")
    parser.add_argument(
        "--baseline", help="the version before (default: the one before the candidate)"
    )
    parser.add_argument("--candidate", help="the new version (default: the newest)")
    parser.add_argument("--json", action="store_true", help="the data, as JSON")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.agent:
        return _compare(arguments)
    if arguments.baseline or arguments.candidate:
        raise Problem("--baseline and --candidate are versions of an agent: name it.", code=USAGE)
    guards = call(client(), "GET", f"{DRIFT}/guards")["guards"]
    if arguments.json:
        print_json({"guards": guards})
    elif not guards:
        print("No new version has had enough runs yet to be compared.")
    for each in [] if arguments.json else guards:
        print_lines(_kept(each))
    return 0


def _kept(found: dict[str, Any]) -> list[str]:
    from tachograph_schemas.drift import sentences

    before, after = sentences.versions_apart(found["baseline"], found["candidate"])
    lines = wrapped(f"{words.plain(found['agent'])}  {before} → {after}", width())
    return [*lines, *wrapped(found["says"], width(), "    ", "    ")]


def _compare(arguments: argparse.Namespace) -> int:
    require_server()
    from dataclasses import asdict

    from tachograph_schemas.drift.guard import guard, of_version, versions
    from tachograph_schemas.drift.reading import agent_runs
    from tachograph_schemas.queries import DEFAULT_PROJECT

    with reading() as store:
        points = agent_runs(store, DEFAULT_PROJECT, arguments.agent, _LOOKED_AT_RUNS)
    known = versions(points)
    if not known:
        raise Problem(f"No finished run of an agent {arguments.agent!r} is stored.", code=USAGE)
    candidate = arguments.candidate or known[-1]
    after = _runs(of_version(points, candidate), candidate, known)
    first = known.index(after[0].fingerprint)
    if not arguments.baseline and not first:
        raise Problem("There is only one version; name another one with --baseline.", code=USAGE)
    baseline = arguments.baseline or known[first - 1]
    before = _runs(of_version(points, baseline), baseline, known)
    found = guard(before, after)
    if arguments.json:
        print_json({"baseline": baseline, "candidate": candidate} | asdict(found))
    else:
        print_lines(wrapped(f"{baseline} → {candidate}", width()) + wrapped(found.says, width()))
        print_lines(_changed(asdict(each)) for each in found.findings if each.changed)
    return {"changed": ANSWER_IS_NO, "no change seen": 0}.get(found.verdict, USAGE)


def _runs(points: list[Any], version: str, known: list[str]) -> list[Any]:
    if not points:
        newest = "; ".join(words.plain(each) for each in known[-5:])
        raise Problem(f"No run of the version {version!r}. The newest are: {newest}", code=USAGE)
    return points


def _changed(finding: dict[str, Any]) -> str:
    from tachograph_schemas.drift import sentences

    return f"  {sentences.headline(finding)}, {sentences.size(finding['effect'], finding['unit'])}"
