"""``tacho alert``: rules, what fires, who is told."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import Any

from tachograph.cli import alert_show, alert_targets
from tachograph.cli.control_api import actor, add_actor, call, client
from tachograph.cli.problem import ANSWER_IS_NO, USAGE, Problem
from tachograph.cli.terminal import at_most, print_json, print_lines
from tachograph_schemas import words
from tachograph_schemas.control import ALERTS
from tachograph_schemas.control_client import ControlClient

_SPAN = re.compile(r"(\d{1,7}(?:\.\d{1,6})?)\s*(s|m|min|h|d|w)?")
_TIMES = {
    "window": "over how long the figure is computed (default: 5m)",
    "for": "it has to hold so long before anybody is told",
    "recover-for": "it has to be over so long before anybody is told",
    "renotify": "tell again so often while nobody has acknowledged",
}
_FIGURES = {
    "warning": "from this figure on; with --below from it down",
    "critical": "likewise, and worse",
    "recovery": "over only once it has come back to this figure",
}
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "alert",
        help="alert rules: list, set, snooze, test, history ...",
        description="Rules over figures, what fires, and who is told. docs/alerts.md explains them.",
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    plain = (
        ("list", "the rules, and which of them fire", _list),
        ("firing", "what is not well at this moment; exit code 1 when something is", _firing),
        ("metrics", "the figures that rules can watch", _metrics),
    )
    for name, does, run in plain:
        verb = verbs.add_parser(name, help=does)
        verb.add_argument("--json", action="store_true", help="the data, as JSON")
        verb.set_defaults(run=run)
    _add_set(verbs)
    _add_on_rules(verbs)
    alert_targets.add_verbs(verbs)


def _add_set(verbs: Any) -> None:
    verb = verbs.add_parser(
        "set",
        help="make a rule, or change what is given of one",
        description="Make a rule, or change what is given of the one of that name. Figures: dollars, seconds "
        "(90, 5m), shares (0.05, 5%), counts.",
    )
    verb.add_argument("name", help="what people call it")
    verb.add_argument("--metric", help="what it watches; `tacho alert metrics` lists them")
    verb.add_argument(
        "--by",
        dest="group_by",
        metavar="GROUP",
        help="a state of its own for each agent, customer, model, tool or version",
    )
    verb.add_argument(
        "--only", action="append", metavar="COLUMN=NAME", help="count nothing else; repeatable"
    )
    for option, does in _TIMES.items():
        name = f"{option.replace('-', '_')}_s"
        verb.add_argument(f"--{option}", dest=name, type=_seconds, metavar="TIME", help=does)
    verb.add_argument("--below", action="store_true", default=None, help="alert when it is low")
    for option, does in _FIGURES.items():
        verb.add_argument(f"--{option}", type=_figure, metavar="FIGURE", help=does)
    verb.add_argument(
        "--no-data",
        choices=["ok", "keep", "alert"],
        help="nothing to measure is no alert, changes nothing, or is one (default: ok)",
    )
    verb.add_argument(
        "--min-samples", type=int, metavar="N", help="fewer runs, calls or spans are no figure"
    )
    verb.add_argument(
        "--to", dest="targets", action="append", metavar="TARGET", help="who is told; repeatable"
    )
    verb.add_argument("--note", help="what to know or do; part of every message")
    switch = verb.add_mutually_exclusive_group()
    switch.add_argument(
        "--off", dest="enabled", action="store_false", default=None, help="do not look at it"
    )
    switch.add_argument(
        "--on", dest="enabled", action="store_true", default=None, help="look at it again"
    )
    verb.add_argument("--dry-run", action="store_true", help="only say what it would find now")
    verb.add_argument("--json", action="store_true", help="the data, as JSON")
    add_actor(verb)
    verb.set_defaults(run=_set)


def _add_on_rules(verbs: Any) -> None:
    for name, does, run in (
        ("show", "one rule and how each of its groups stands", _show),
        ("rm", "remove a rule; its history stays", _remove),
        ("snooze", "tell nobody about a rule for a while", _snooze),
        ("history", "what fired and recovered, the newest first", _history),
        ("ack", "say that you take care of what fires", _acknowledge),
    ):
        verb = verbs.add_parser(name, help=does)
        verb.add_argument("rule", nargs="?" if name == "history" else None, help="its name or id")
        if name == "snooze":
            verb.add_argument("time", type=_seconds, nargs="?", default=3_600.0, help="default: 1h")
            verb.add_argument("--end", action="store_true", help="end a snooze")
        if name in {"snooze", "ack"}:
            verb.add_argument("--group", help="only this agent, customer ...")
        if name == "ack":
            verb.add_argument("--note", default="", help="for the others")
        if name == "history":
            verb.add_argument(
                "--limit",
                type=at_most(1_000),
                default=50,
                metavar="N",
                help="at most this many (default: 50)",
            )
            verb.add_argument("--deliveries", action="store_true", help="what was sent to whom")
        verb.add_argument("--json", action="store_true", help="the data, as JSON")
        add_actor(verb)
        verb.set_defaults(run=run)


def _list(arguments: argparse.Namespace) -> int:
    rules = call(client(), "GET", f"{ALERTS}/rules")["rules"]
    return _answer(arguments, {"rules": rules}, alert_show.rules(rules))


def _firing(arguments: argparse.Namespace) -> int:
    firing = call(client(), "GET", f"{ALERTS}/firing")["firing"]
    _answer(arguments, {"firing": firing}, alert_show.firing(firing))
    return ANSWER_IS_NO if firing else 0


def _metrics(arguments: argparse.Namespace) -> int:
    metrics = call(client(), "GET", f"{ALERTS}/metrics")["metrics"]
    return _answer(arguments, {"metrics": metrics}, alert_show.metrics(metrics))


def _set(arguments: argparse.Namespace) -> int:
    to = client()
    known = next((rule for rule in _rules(to) if rule["name"] == arguments.name), None)
    if known is None and not arguments.metric:
        raise Problem("A new rule needs --metric; `tacho alert metrics` lists them.", code=USAGE)
    rule = (
        {name: known[name] for name in alert_show.DEFINITION} if known else {"name": arguments.name}
    )
    rule |= {
        name: value
        for name in alert_show.DEFINITION
        if name != "name" and (value := getattr(arguments, name, None)) is not None
    }
    if arguments.only is not None:
        rule["only"] = _only(arguments.only)
    if arguments.below:
        rule["direction"] = "below"
    body = {"rule": rule, "actor": actor(arguments)}
    if arguments.dry_run:
        groups = call(to, "POST", f"{ALERTS}/preview", body)["groups"]
        return _answer(arguments, {"groups": groups}, alert_show.preview(groups))
    kept = call(to, "POST", f"{ALERTS}/rules", body)
    return _answer(
        arguments, kept, [f"{words.plain(kept['name'])}: {words.plain(kept['summary'])}"]
    )


def _show(arguments: argparse.Namespace) -> int:
    to = client()
    found = call(to, "GET", f"{ALERTS}/rules/{_rule(to, arguments.rule)['id']}")
    return _answer(arguments, found, alert_show.rule(found))


def _remove(arguments: argparse.Namespace) -> int:
    to = client()
    found = _rule(to, arguments.rule)
    gone = call(to, "DELETE", f"{ALERTS}/rules/{found['id']}", by=actor(arguments))
    return _answer(arguments, gone, [f"{words.plain(gone['name'])} is removed."])


def _snooze(arguments: argparse.Namespace) -> int:
    to = client()
    found = _rule(to, arguments.rule)
    body = {
        "for_s": 0 if arguments.end else arguments.time,
        "group": arguments.group,
        "actor": actor(arguments),
    }
    kept = call(to, "POST", f"{ALERTS}/rules/{found['id']}/snooze", body)
    span = words.duration(arguments.time * 1e9)
    said = "people are told again." if arguments.end else f"nobody is told for {span}."
    return _answer(arguments, kept, [f"{words.plain(kept['name'])}: {said}"])


def _history(arguments: argparse.Namespace) -> int:
    to = client()
    if arguments.deliveries:
        sent = call(to, "GET", f"{ALERTS}/deliveries", limit=arguments.limit)["deliveries"]
        return _answer(arguments, {"deliveries": sent}, alert_show.deliveries(sent))
    rule_id = _rule(to, arguments.rule)["id"] if arguments.rule else None
    events = call(to, "GET", f"{ALERTS}/history", limit=arguments.limit, rule_id=rule_id)["events"]
    return _answer(arguments, {"events": events}, alert_show.events(events))


def _acknowledge(arguments: argparse.Namespace) -> int:
    to = client()
    rule_id = _rule(to, arguments.rule)["id"]
    wanted = [
        state
        for state in call(to, "GET", f"{ALERTS}/firing")["firing"]
        if state["rule_id"] == rule_id and arguments.group in {None, state["group"]}
    ]
    if not wanted:
        raise Problem("Nothing of it fires at this moment.", code=ANSWER_IS_NO)
    body = {"note": arguments.note, "actor": actor(arguments)}
    done = [
        dict(call(to, "POST", f"{ALERTS}/events/{state['event_id']}/ack", body)) for state in wanted
    ]
    lines = [f"{words.plain(each['sentence'])}: {words.plain(each['acked_by'])}" for each in done]
    return _answer(arguments, {"events": done}, lines)


def _answer(arguments: argparse.Namespace, data: Mapping[str, Any], lines: list[str]) -> int:
    if arguments.json:
        print_json(dict(data))
    else:
        print_lines(lines)
    return 0


def _rules(to: ControlClient) -> list[dict[str, Any]]:
    return list(call(to, "GET", f"{ALERTS}/rules")["rules"])


def _rule(to: ControlClient, given: str) -> dict[str, Any]:
    for rule in _rules(to):
        if given in {rule["name"], rule["id"]}:
            return rule
    raise Problem(f"There is no rule {given!r}; `tacho alert list` shows them.", code=ANSWER_IS_NO)


def _only(given: list[str]) -> dict[str, list[str]]:
    only: dict[str, list[str]] = {}
    for pair in given:
        column, equals, name = pair.partition("=")
        if not equals:
            raise Problem(f"--only {pair!r}: write agent=billing.", code=USAGE)
        only.setdefault(column, []).append(name)
    return only


def _seconds(text: str) -> float:
    match = _SPAN.fullmatch(text.strip())
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 30s, 5m, 2h, 1d")
    return float(match[1]) * _SECONDS[match[2] or "s"]


def _figure(text: str) -> float:
    try:
        if text.endswith("%"):
            return float(text[:-1]) / 100
        return float(text.removeprefix("$"))
    except ValueError:
        try:
            return _seconds(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no figure; write 5, 0.25, 25%, 90s or 5m"
            ) from error
