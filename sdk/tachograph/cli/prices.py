"""``tacho prices``: the user's own price list, and pricing what is stored anew."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tachograph.cli.control_api import actor, add_actor, call, client
from tachograph.cli.documents import read_document
from tachograph.cli.problem import ANSWER_IS_NO, USAGE, Problem
from tachograph.cli.table import Column, listed
from tachograph.cli.terminal import print_json, print_lines
from tachograph_schemas import words
from tachograph_schemas.control import PRICES

_CLASSES = {
    "input": "a million tokens of fresh input",
    "output": "a million tokens of output",
    "cache_read": "read from the provider's cache (default: as --input)",
    "cache_write": "written to it for 5 minutes (default: as --input)",
    "cache_write_1h": "written to it for an hour (default: as --cache-write)",
}
_NEEDED = ("input", "output")
_REPRICE_S = 600.0
_COLUMNS = (
    Column("MODEL"),
    Column("PROVIDER", 12, spared=1),
    Column("FROM", 10),
    *(
        Column(
            name.replace("_", " ").upper(),
            16,
            right=True,
            is_money=True,
            spared=0 if name in _NEEDED else 2,
        )
        for name in _CLASSES
    ),
)
_REPRICED = (
    Column("MODEL"),
    Column("CALLS", 12, right=True),
    Column("BEFORE", 16, right=True, is_money=True),
    Column("NOW", 16, right=True, is_money=True),
    Column("UNPRICED BEFORE", 15, right=True, spared=1),
    Column("UNPRICED NOW", 12, right=True, spared=1),
)


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "prices",
        help="your own price list: list, set, rm, import, reprice",
        description="Your own prices go before those of genai-prices, from their date on. Amounts are USD per million tokens.",
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    verbs.add_parser("list", help="your own prices").set_defaults(run=_list)
    put = verbs.add_parser("set", help="set the price of a model")
    put.add_argument("model", help="its name as spans say it")
    for name, does in _CLASSES.items():
        needed = name in _NEEDED
        option = f"--{name.replace('_', '-')}"
        put.add_argument(option, dest=name, type=float, required=needed, metavar="USD", help=does)
    put.set_defaults(run=_set)
    remove = verbs.add_parser("rm", help="take a price out of the list")
    remove.add_argument("model", help="as `tacho prices list` says it")
    remove.set_defaults(run=_remove)
    for verb in (put, remove):
        verb.add_argument("--provider", default="", help="default: of any provider")
        verb.add_argument(
            "--from", dest="begins", default="", metavar="DATE", help="default: always"
        )
    load = verbs.add_parser("import", help="take the prices of a YAML, TOML or JSON file")
    load.add_argument("file", type=Path, help="docs/budgets.md shows one")
    load.set_defaults(run=_import)
    again = verbs.add_parser("reprice", help="price what is stored anew, and say what changed")
    again.add_argument(
        "--since", required=True, metavar="DATE", help="calls that began from then on (UTC)"
    )
    again.set_defaults(run=_reprice)
    for verb in verbs.choices.values():
        verb.add_argument("--json", action="store_true", help="the data, as JSON")
        add_actor(verb)


def _list(arguments: argparse.Namespace) -> int:
    return _show(arguments, call(client(), "GET", PRICES)["prices"])


def _set(arguments: argparse.Namespace) -> int:
    given = {name: getattr(arguments, name) for name in _CLASSES}
    about = {"model": arguments.model, "provider": arguments.provider, "from": arguments.begins}
    return _put(arguments, [_price(about | given)])


def _remove(arguments: argparse.Namespace) -> int:
    about = {"model": arguments.model, "provider": arguments.provider, "from": arguments.begins}
    line = _line(about)
    known = call(client(), "GET", PRICES)["prices"]
    if not any(all(each[key] == value for key, value in line.items()) for each in known):
        raise Problem(
            f"There is no such price of {arguments.model!r}; `tacho prices list` shows yours. One with a date or a "
            "provider is removed by --from and --provider.",
            code=ANSWER_IS_NO,
        )
    return _put(arguments, [line], remove=True)


def _import(arguments: argparse.Namespace) -> int:
    document = read_document(arguments.file)
    listed = document.get("prices") if isinstance(document, Mapping) else document
    if not isinstance(listed, list) or not all(isinstance(each, Mapping) for each in listed):
        raise Problem(f"{arguments.file} holds `prices`: a list, each with a model.", code=USAGE)
    return _put(arguments, [_price(each) for each in listed])


def _price(given: Mapping[str, Any]) -> dict[str, Any]:
    """A line with amounts. What is left out would cost nothing, which nobody means by leaving it out."""
    line = _line(given)
    missing = [name for name in _NEEDED if f"{name}_usd" not in line]
    if missing:
        raise Problem(
            f"{given['model']}: `{missing[0]}` is missing, USD per million tokens; 0 if it costs nothing.",
            code=USAGE,
        )
    return line


def _line(given: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(map(str, given)) - {"model", "provider", "from", *_CLASSES})
    if unknown or not isinstance(given.get("model"), str):
        said = f"{', '.join(unknown)}: not known" if unknown else "`model` is missing"
        raise Problem(
            f"{said}; a price has model, provider, from, {', '.join(_CLASSES)}.", code=USAGE
        )
    begins = given.get("from")
    line = {
        "model": given["model"],
        "provider": given.get("provider") or "",
        "from_s": int(_moment(begins).timestamp()) if begins else 0,
    }
    for name in _CLASSES:
        amount = given.get(name)
        if amount is None:
            continue
        is_number = isinstance(amount, int | float) and not isinstance(amount, bool)
        if not is_number or not 0 <= amount < math.inf:
            raise Problem(
                f"{given['model']}: `{name}` is a number from 0 up, USD per million tokens.",
                code=USAGE,
            )
        line[f"{name}_usd"] = amount / 1e6
    return line


def _moment(said: object) -> datetime:
    """A date or time; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(str(said))
    except ValueError as error:
        raise Problem(f"{said!r} is no date like 2026-11-01.", code=USAGE) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _put(
    arguments: argparse.Namespace, lines: list[dict[str, Any]], *, remove: bool = False
) -> int:
    body = {"prices": lines, "remove": remove, "actor": actor(arguments)}
    return _show(arguments, call(client(), "POST", PRICES, body)["prices"])


def _show(arguments: argparse.Namespace, prices: list[dict[str, Any]]) -> int:
    if arguments.json:
        print_json({"prices": prices})
        return 0
    if not prices:
        print("There are no prices of your own; those of genai-prices hold.")
    else:
        print_lines(listed(_COLUMNS, [_row(each) for each in prices]))
    return 0


def _row(each: Mapping[str, Any]) -> list[str]:
    since = datetime.fromtimestamp(each["from_s"], UTC).date() if each["from_s"] else "always"
    rates = [_rate(each[f"{name}_usd"]) for name in _CLASSES]
    return [each["model"], each["provider"] or "any", str(since), *rates]


def _rate(usd: float) -> str:
    """USD for a million tokens from those for one. Not rounded to cents: it is what somebody typed."""
    whole, _, fraction = f"{usd * 1e6:,.8f}".partition(".")
    return f"${whole}.{fraction.rstrip('0').ljust(2, '0')}"


def _reprice(arguments: argparse.Namespace) -> int:
    body = {"since": _moment(arguments.since).isoformat(), "actor": actor(arguments)}
    changed = call(client(), "POST", f"{PRICES}/reprice", body, timeout_s=_REPRICE_S)["changed"]
    if arguments.json:
        print_json({"changed": changed})
    elif changed:
        print_lines(listed(_REPRICED, [_repriced(each) for each in changed]))
    else:
        print("Nothing changed.")
    return 0


def _repriced(each: Mapping[str, Any]) -> list[str]:
    return [
        each["model"],
        f"{each['calls']:,}",
        *(words.usd(each[name]) for name in ("before_usd", "after_usd")),
        *(f"{each[name]:,}" for name in ("unpriced_before", "unpriced_after")),
    ]
