"""``tacho alert target``, ``test`` and ``apply``: who is told, and everything at once from a file."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tachograph.cli.control_api import actor, add_actor, call, client
from tachograph.cli.documents import read_document
from tachograph.cli.problem import ANSWER_IS_NO, USAGE, Problem
from tachograph.cli.table import Column, listed
from tachograph.cli.terminal import fit, print_json, print_lines
from tachograph_schemas import words
from tachograph_schemas.control import ALERTS

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_WEEKDAYS = tuple(
    f"every {day}"
    for day in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
)
_TARGETS = (Column("TARGET", 24), Column("KIND", 8, spared=1), Column("ADDRESS"))
_PARTS = ("targets", "rules", "windows", "digests")


def add_verbs(verbs: Any) -> None:
    """Add the verbs."""
    target = verbs.add_parser("target", help="who is told: set, list, rm")
    kinds = target.add_subparsers(metavar="VERB", required=True)
    setting = kinds.add_parser(
        "set",
        help="make a target, or give it another URL",
        description="https://... is a signed webhook; everything else is an Apprise URL (slack://, mailto://, pagerduty:// "
        "...). `-` reads the URL from standard input, which keeps it out of the shell's history.",
    )
    setting.add_argument("name", help="what rules call it (--to)")
    setting.add_argument("url", help="where messages go, or -")
    setting.set_defaults(run=_set_target)
    listing = kinds.add_parser("list", help="the targets, without their secrets")
    listing.set_defaults(run=_list_targets)
    removing = kinds.add_parser("rm", help="remove a target")
    removing.add_argument("name", help="of the target")
    removing.set_defaults(run=_remove_target)
    times = [
        verbs.add_parser(part, help=f"{what}, from files; --rm NAME removes one")
        for part, what in (("windows", "times in which nobody is told"), ("digests", "summaries"))
    ]
    for part, verb in zip(("windows", "digests"), times, strict=True):
        verb.add_argument("--rm", metavar="NAME", help="remove this one")
        verb.set_defaults(run=_times, part=part)
    testing = verbs.add_parser(
        "test", help="send a test to a target; exit code 1 when it does not arrive"
    )
    testing.add_argument("name", help="the target")
    testing.set_defaults(run=_test)
    applying = verbs.add_parser(
        "apply",
        help="targets, rules, windows and digests from a YAML, TOML or JSON file",
        description="Make what the file holds so; what it does not name stays. ${NAME} in a URL is read from the environment.",
    )
    applying.add_argument(
        "-f", "--file", required=True, metavar="FILE", help="docs/alerts.md shows one"
    )
    applying.set_defaults(run=_apply)
    for verb in (setting, listing, removing, testing, applying, *times):
        verb.add_argument("--json", action="store_true", help="the data, as JSON")
        add_actor(verb)


def _set_target(arguments: argparse.Namespace) -> int:
    url = _line_of_stdin() if arguments.url == "-" else arguments.url
    body = {"name": arguments.name, "url": url, "actor": actor(arguments)}
    made = call(client(), "POST", f"{ALERTS}/targets", body)
    if arguments.json:
        print_json(dict(made))
        return 0
    print(f"{words.plain(made['name'])}: {words.plain(made['url'])}. The URL is not shown again.")
    if made["secret"]:
        print(f"{made['secret']}\nKeep it now: receivers check the signature with it.")
    return 0


def _line_of_stdin() -> str:
    try:
        return input()
    except EOFError as error:
        raise Problem("Nothing came from standard input; a URL is one line.", code=USAGE) from error


def _list_targets(arguments: argparse.Namespace) -> int:
    targets = call(client(), "GET", f"{ALERTS}/targets")["targets"]
    if arguments.json:
        print_json({"targets": targets})
        return 0
    if targets:
        rows = [(each["name"], each["kind"], each["url"]) for each in targets]
        print_lines(listed(_TARGETS, rows))
    else:
        print("There are no targets. `tacho alert target set NAME URL` makes one.")
    return 0


def _remove_target(arguments: argparse.Namespace) -> int:
    gone = call(client(), "DELETE", f"{ALERTS}/targets", name=arguments.name, by=actor(arguments))
    return _printed(arguments, gone, [f"{words.plain(gone['name'])} is removed."])


def _times(arguments: argparse.Namespace) -> int:
    path = f"{ALERTS}/{arguments.part}"
    if arguments.rm:
        gone = call(client(), "DELETE", path, name=arguments.rm, by=actor(arguments))
        return _printed(arguments, gone, [f"{words.plain(gone['name'])} is removed."])
    found = call(client(), "GET", path)
    lines = [_time(each) for each in found[arguments.part]]
    return _printed(
        arguments,
        found,
        lines or [f"There are no {arguments.part}. `tacho alert apply -f FILE` makes them."],
    )


def _time(each: Mapping[str, Any]) -> str:
    """A window, or a digest, in a line."""
    name = fit(words.plain(each["name"]), 24)
    if "minute" in each:
        hour = f"{each['minute'] // 60:02}:{each['minute'] % 60:02} UTC"
        day = f"every {each['every']}" if each["every"] == "day" else _WEEKDAYS[each["weekday"]]
        return f"{name}  {day}, {hour}  to {words.plain(', '.join(each['targets']))}"
    starts, ends = (words.moment_ns(each[f"{end}_ns"]).split() for end in ("starts", "ends"))
    # To the minute, and the day once: the line fits a terminal.
    day = "" if starts[0] == ends[0] else f"{ends[0]} "
    span = f"{starts[0]} {starts[1][:5]} to {day}{ends[1][:5]} UTC"
    again = f", every {each['every']}" if each["every"] else ""
    agents = words.plain(", ".join(each["agents"])) or "all rules"
    return f"{name}  {span}{again}  {agents}"


def _printed(arguments: argparse.Namespace, data: Mapping[str, Any], lines: list[str]) -> int:
    if arguments.json:
        print_json(dict(data))
    else:
        print_lines(lines)
    return 0


def _test(arguments: argparse.Namespace) -> int:
    body = {"name": arguments.name, "actor": actor(arguments)}
    # Shorter than the client waits for an answer.
    sent = call(client(), "POST", f"{ALERTS}/test", body, wait_s=9)
    if arguments.json:
        print_json(dict(sent))
    else:
        print(f"{sent['status']}: {words.plain(sent['said']) or 'still under way'}")
    return 0 if sent["status"] == "sent" else ANSWER_IS_NO


def _apply(arguments: argparse.Namespace) -> int:
    wanted = _read(Path(arguments.file))
    to, who = client(), actor(arguments)
    made: dict[str, list[Any]] = {part: [] for part in _PARTS}
    for part in _PARTS:
        for number, item in enumerate(wanted[part], start=1):
            try:
                body = {**_BODIES[part](item), "actor": who}
                made[part].append(dict(call(to, "POST", f"{ALERTS}/{part}", body)))
            except Problem as problem:
                name = words.plain(str(item.get("name") or ""))
                which = f"{part.removesuffix('s')} {name or f'number {number}'}"
                kept = sum(map(len, made.values()))
                before = f" (kept: the {words.count(kept, 'item')} before it)" if kept else ""
                raise Problem(f"{which}: {problem}{before}", code=problem.code) from problem
    if arguments.json:
        print_json(made)
        return 0
    for part in _PARTS:
        for each in made[part]:
            print(f"{part.removesuffix('s')} {words.plain(each['name'])}")
            if each.get("secret"):
                print(f"  signed with {each['secret']}; it is not shown again")
    return 0


def _target(item: Mapping[str, Any]) -> dict[str, Any]:
    return {**item, "url": _with_variables(str(item.get("url", "")))}


def _window(item: Mapping[str, Any]) -> dict[str, Any]:
    body = dict(item)
    for name in ("starts", "ends"):
        body[f"{name}_ns"] = _moment_ns(body.pop(name, None), name)
    return body


_BODIES: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
    "targets": _target,
    "rules": lambda item: {"rule": item},
    "windows": _window,
    "digests": dict,
}
"""What is sent for an item of each part."""


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The parts of a file.

    Raises:
        Problem: it cannot be read, or holds something else.
    """
    found = read_document(path) or {}
    unknown = set(found) - set(_PARTS) if isinstance(found, Mapping) else {"no mapping"}
    if unknown:
        sentence = f"{path} holds {min(unknown)!r}; there can be {', '.join(_PARTS)}."
        raise Problem(sentence, code=USAGE)
    parts = {part: found.get(part) or [] for part in _PARTS}
    for part, rows in parts.items():
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Problem(f"{path}: {part} is a list of tables.", code=USAGE)
    return parts


def _with_variables(url: str) -> str:
    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise Problem(f"The file asks for {match[1]}, which the environment lacks.", code=USAGE)
        return found

    return _VARIABLE.sub(value, url)


def _moment_ns(given: object, name: str) -> int:
    """A moment as YAML and TOML read it, or as text; without a zone it is this machine's."""
    try:
        moment = given if isinstance(given, datetime) else datetime.fromisoformat(str(given))
    except ValueError as error:
        raise Problem(
            f"A window {name} at a moment, such as 2026-12-24T18:00:00Z.", code=USAGE
        ) from error
    return int(moment.timestamp() * 1e9)
