"""``tacho budget``: limits that the collector keeps for every process, and what is left of them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

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
    amount,
    rule_from,
    rules_from,
)
from tachograph_schemas.control import BUDGETS

if TYPE_CHECKING:
    from tachograph_schemas.control_client import ControlClient

_LIMITS = {
    "usd": "at most so many dollars for models and tools; give one limit",
    "tokens": "tokens of models, in and out",
    "model_calls": "calls of models",
    "tool_calls": "calls of tools",
    "steps": "steps of agents",
    "wall_s": "seconds by the clock",
    "working_s": "seconds, without those spent waiting for people",
}
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
    show.add_argument("name", help="of the budget")
    show.set_defaults(run=_show)
    _add_set(verbs)
    remove = verbs.add_parser("rm", help="take a budget out of force")
    remove.add_argument("name", help="of the budget")
    remove.set_defaults(run=_remove)
    apply = verbs.add_parser("apply", help="put the budgets of a YAML, TOML or JSON file in force")
    apply.add_argument("-f", "--file", required=True, type=Path, help="docs/budgets.md shows one")
    apply.add_argument("--prune", action="store_true", help="remove budgets the file does not name")
    apply.set_defaults(run=_apply)
    for verb in (listing, show, *(verbs.choices[name] for name in ("set", "rm", "apply"))):
        verb.add_argument("--json", action="store_true", help="the data, as JSON")
        add_actor(verb)


def _add_set(verbs: Any) -> None:
    put = verbs.add_parser(
        "set",
        help="make a budget, or change what is given of one",
        description="Make a budget, or change what is given of the one of that name; the rest of it stays.",
    )
    put.add_argument("name", help="what people call it")
    for unit in UNITS:
        put.add_argument(
            f"--{unit.replace('_', '-')}",
            dest=f"limit_{unit}",
            type=float,
            metavar="N",
            help=_LIMITS[unit],
        )
    put.add_argument("--scope", choices=SCOPES, help="default: project")
    put.add_argument("--target", help="which agent, tool, customer or user; default: each one")
    put.add_argument("--window", choices=WINDOWS, help="default: month; run for what lies in runs")
    put.add_argument(
        "--rolling-s", type=int, metavar="SECONDS", help="length of the window rolling"
    )
    put.add_argument("--action", choices=ACTIONS, help="when it is used up; default: stop")
    put.add_argument(
        "--unreachable", choices=UNREACHABLE, help="without the collector; default: share"
    )
    put.set_defaults(run=_set)


def _set(arguments: argparse.Namespace) -> int:
    limits = {unit: getattr(arguments, f"limit_{unit}") for unit in UNITS}
    given = [(unit, limit) for unit, limit in limits.items() if limit is not None]
    options = {name: getattr(arguments, name) for name in _OPTIONS}
    changed = {name: value for name, value in options.items() if value is not None}
    to = client()
    before = _in_force(to)
    rule = _with_changes(before.get(arguments.name, {}), changed)
    if len(given) > 1 or not (given or rule.get("limit")):
        raise Problem("Give one limit, as --usd 20 or --tool-calls 100.", code=USAGE)
    for unit, limit in given:
        rule |= {"unit": unit, "limit": limit}
    return _put(arguments, to, before, [_checked({"name": arguments.name, **rule})])


def _with_changes(was: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """A budget with other options: what is not said stays, unless it belongs to what is another one now."""
    kept = {name: value for name, value in was.items() if name != "version"}
    if changed.get("scope", kept.get("scope")) != kept.get("scope"):
        for name in ("target", "window", "rolling_s"):
            kept.pop(name, None)
    if changed.get("window", kept.get("window")) != kept.get("window"):
        kept.pop("rolling_s", None)
    return {**kept, **changed}


def _in_force(to: ControlClient) -> dict[str, Mapping[str, Any]]:
    return {each["rule"]["name"]: each["rule"] for each in call(to, "GET", BUDGETS)["budgets"]}


def _of(name: str) -> str:
    """The path of a budget."""
    if "/" in name:
        raise Problem(f"There is no budget {name!r}; no name has a slash.", code=ANSWER_IS_NO)
    return f"{BUDGETS}/{quote(name, safe='')}"


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
    to = client()
    return _put(arguments, to, _in_force(to), wanted, prune=arguments.prune)


def _put(
    arguments: argparse.Namespace,
    to: ControlClient,
    before: Mapping[str, Mapping[str, Any]],
    wanted: list[dict[str, Any]],
    *,
    prune: bool = False,
) -> int:
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
    gone = call(client(), "DELETE", _of(arguments.name), by=actor(arguments))
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
    state_word = _state_word(state)
    lines = [
        f"{fit(words.plain(rule['name']), 24)}  {fit(state_word, 8)}{words.plain(state['says'])}"
    ]
    for each in found[:most]:
        spent, limit, held, left, forecast = (
            amount(number, rule["unit"])
            for number in (
                each["spent"],
                rule["limit"],
                each["held"],
                each["left"],
                each["forecast"],
            )
        )
        account = fit(words.plain(each["account"]) or "all", 22)
        lines.append(f"  {account}  {spent} of {limit} used, {left} left")
        lines.append(f"  {'':<22}  {held} held, {forecast} at the end if it goes on")
        if each.get("lost", 0) > 0:  # older collectors do not say it
            lost = amount(each["lost"], rule["unit"])
            lines.append(f"  {'':<22}  {lost} of it went with processes that fell silent")
    if len(found) > most:
        lines.append(f"  … and {len(found) - most} more: `tacho budget show {rule['name']}`")
    return lines


def _state_word(state: Mapping[str, Any]) -> str:
    """A budget stops as soon as a call does not fit whole, so there may be something left."""
    if not state["exceeded"]:
        return str(state["rule"]["action"])
    is_empty = any(each["left"] <= 0 for each in state["accounts"])
    return "USED UP" if is_empty else "NO ROOM"


def _show(arguments: argparse.Namespace) -> int:
    found = call(client(), "GET", _of(arguments.name))
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
