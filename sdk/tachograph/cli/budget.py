"""``tacho budget``: limits that the collector keeps for every process, and what is left of them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tachograph.cli.control_api import actor, add_actor, call, client
from tachograph.cli.documents import read_document
from tachograph.cli.problem import ANSWER_IS_NO, USAGE, Problem
from tachograph.cli.terminal import fit, print_json, print_lines
from tachograph_schemas import words
from tachograph_schemas.budgets import (
    ACTIONS,
    SCOPES,
    UNITS,
    UNREACHABLE,
    WINDOWS,
    BudgetError,
    rule_from,
    rules_from,
)
from tachograph_schemas.control import BUDGETS

_OPTIONS = ("scope", "target", "window", "rolling_s", "action", "unreachable")


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "budget",
        help="shared budgets: list, show, set, rm, apply",
        description="Budgets that stop spending before it happens, for all processes together. `list` and `show` exit "
        "with 1 when one is used up.",
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="every budget, and what is left of it")
    listing.set_defaults(run=_list)
    show = verbs.add_parser("show", help="one budget: accounts, versions")
    show.add_argument("name")
    show.set_defaults(run=_show)
    _add_set(verbs)
    remove = verbs.add_parser("rm", help="take a budget out of force")
    remove.add_argument("name")
    remove.set_defaults(run=_remove)
    apply = verbs.add_parser("apply", help="put the budgets of a YAML, TOML or JSON file in force")
    apply.add_argument("-f", "--file", required=True, type=Path)
    apply.add_argument("--prune", action="store_true", help="remove budgets the file does not name")
    apply.set_defaults(run=_apply)
    for verb in (listing, show, *(verbs.choices[name] for name in ("set", "rm", "apply"))):
        verb.add_argument("--json", action="store_true", help="the data, as JSON")
        add_actor(verb)


def _add_set(verbs: Any) -> None:
    put = verbs.add_parser("set", help="make or change a budget")
    put.add_argument("name")
    for unit in UNITS:
        put.add_argument(
            f"--{unit.replace('_', '-')}", dest=f"limit_{unit}", type=float, metavar="N"
        )
    put.add_argument("--scope", choices=SCOPES, help="default: project")
    put.add_argument("--target", help="which agent, tool, customer or user; default: each one")
    put.add_argument("--window", choices=WINDOWS, help="default: month; run for what lies in runs")
    put.add_argument("--rolling-s", type=int, metavar="SECONDS", help="length of a rolling window")
    put.add_argument("--action", choices=ACTIONS, help="when it is used up; default: stop")
    put.add_argument(
        "--unreachable", choices=UNREACHABLE, help="without the collector; default: share"
    )
    put.set_defaults(run=_set)


def _set(arguments: argparse.Namespace) -> int:
    limits = {unit: getattr(arguments, f"limit_{unit}") for unit in UNITS}
    given = {unit: limit for unit, limit in limits.items() if limit is not None}
    if len(given) != 1:
        raise Problem("Give one limit, as --usd 20 or --tool-calls 100.", code=USAGE)
    ((unit, limit),) = given.items()
    options = {name: getattr(arguments, name) for name in _OPTIONS}
    body = {"name": arguments.name, "unit": unit, "limit": limit, **options}
    return _put(arguments, [_checked(body)], prune=False)


def _checked(body: Mapping[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in body.items() if value is not None}
    try:
        rule_from(given)
    except BudgetError as error:
        raise Problem(f"{error}.", code=USAGE) from error
    return given


def _apply(arguments: argparse.Namespace) -> int:
    document = read_document(arguments.file)
    try:
        rules = rules_from(document)
    except BudgetError as error:
        raise Problem(f"{arguments.file}: {error}.", code=USAGE) from error
    wanted = [{k: v for k, v in rule.as_dict().items() if k != "version"} for rule in rules]
    return _put(arguments, wanted, prune=arguments.prune)


def _put(arguments: argparse.Namespace, wanted: list[dict[str, Any]], *, prune: bool) -> int:
    to = client()
    before = {each["rule"]["name"]: each["rule"] for each in call(to, "GET", BUDGETS)["budgets"]}
    body = {"budgets": wanted, "prune": prune, "actor": actor(arguments)}
    after = {rule["name"]: rule for rule in call(to, "POST", BUDGETS, body)["budgets"]}
    if arguments.json:
        print_json({"budgets": list(after.values())})
        return 0
    for name in sorted(before.keys() | {each["name"] for each in wanted}):
        now, was = after.get(name), before.get(name)
        if now is None:
            print(f"{words.plain(name)}: removed.")
        elif was is None or was["version"] != now["version"]:
            print(
                f"{words.plain(name)}: {'set' if was is None else 'changed'}, version {now['version']}."
            )
        elif any(each["name"] == name for each in wanted):
            print(f"{words.plain(name)}: unchanged, version {now['version']}.")
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    gone = call(client(), "DELETE", f"{BUDGETS}/{arguments.name}", by=actor(arguments))
    if arguments.json:
        print_json(dict(gone))
    else:
        print(f"{words.plain(arguments.name)}: removed.")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    found = call(client(), "GET", BUDGETS)["budgets"]
    if arguments.json:
        print_json({"budgets": found})
    elif not found:
        print("There are no shared budgets. `tacho budget set NAME --usd 20` makes one.")
    else:
        print_lines(line for each in found for line in _lines(each, most=3))
    return ANSWER_IS_NO if any(each["exceeded"] for each in found) else 0


def _lines(state: Mapping[str, Any], most: int) -> list[str]:
    rule, found = state["rule"], state["accounts"]
    state_word = "USED UP" if state["exceeded"] else rule["action"]
    lines = [
        f"{fit(words.plain(rule['name']), 24)}  {fit(state_word, 8)}{words.plain(state['says'])}"
    ]
    for each in found[:most]:
        unit = rule["unit"]
        lines.append(
            f"  {fit(words.plain(each['account']) or 'all', 22)}  {each['spent']:g} of {rule['limit']:g} {unit} used, "
            f"{each['held']:g} held, {each['left']:g} left, {each['forecast']:.4g} at the end if it goes on"
        )
    if len(found) > most:
        lines.append(f"  … and {len(found) - most} more: `tacho budget show {rule['name']}`")
    return lines


def _show(arguments: argparse.Namespace) -> int:
    found = call(client(), "GET", f"{BUDGETS}/{arguments.name}")
    if arguments.json:
        print_json(dict(found))
        return ANSWER_IS_NO if found.get("exceeded") else 0
    lines = [] if found["removed"] else _lines(found, most=200)
    if found["removed"]:
        lines.append(f"{words.plain(arguments.name)} is removed.")
    lines.append("versions:")
    for each in found["versions"]:
        said = _definition(each["rule"]) if each["rule"] else "removed"
        who = words.plain(each["actor"])
        lines.append(f"  {each['version']:>3}  {words.moment_ns(each['at_ns'])}  {who}: {said}")
    print_lines(iter(lines))
    return ANSWER_IS_NO if found.get("exceeded") else 0


def _definition(rule: Mapping[str, Any]) -> str:
    target = f" {words.plain(rule['target'])}" if rule["target"] else ""
    return f"{rule['limit']:g} {rule['unit']}, {rule['scope']}{target}, {rule['window']}, {rule['action']}"
