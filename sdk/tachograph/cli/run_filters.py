"""Which runs a command is about: the filters of ``tacho runs`` as arguments."""

from __future__ import annotations

import argparse
import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tachograph_schemas.find import RunFilter

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|min|h|d)?")
_DURATIONS_NS = {"ms": 1e6, "s": 1e9, "m": 60e9, "min": 60e9, "h": 3600e9, "d": 86_400e9}
_MOST_NS = 2**63 - 1


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add the filters that are found by whole values, by words and by ranges."""
    parser.add_argument(
        "--text", default="", help="found in goal, input, output, reasons, ids or tags of the run"
    )
    parser.add_argument(
        "--search",
        default="",
        metavar="WORDS",
        help="all of these words are in the input and output of one span, in any order and case",
    )
    parser.add_argument("--tag", default="", help="only with this tag")
    parser.add_argument("--session", default="", metavar="ID", help="only of this session")
    parser.add_argument("--user", default="", metavar="ID", help="only of this user")
    for name in ("tool", "model"):
        parser.add_argument(
            f"--{name}",
            action="append",
            default=[],
            metavar="NAME",
            help=f"only that called this {name}; repeatable",
        )
    parser.add_argument(
        "--attribute",
        action="append",
        default=[],
        type=_pair,
        metavar="KEY=VALUE",
        help="only with a span that has this attribute; repeatable, and then all must be found",
    )
    for end, word in (("min", "least"), ("max", "most")):
        parser.add_argument(
            f"--{end}-cost", type=_usd, metavar="USD", help=f"only that cost at {word} this much"
        )
        parser.add_argument(
            f"--{end}-duration",
            type=_duration_ns,
            metavar="TIME",
            help=f"only that took at {word} this long: 500ms, 30s, 5min, 2h",
        )


def run_filter(arguments: argparse.Namespace) -> RunFilter:
    """The filter that the arguments make."""
    from tachograph_schemas.find import RunFilter

    return RunFilter(
        agents=tuple(arguments.agent),
        outcomes=tuple(arguments.outcome),
        customers=tuple(arguments.customer),
        since=arguments.since,
        until=arguments.until,
        text=arguments.text,
        min_cost_usd=arguments.min_cost,
        tag=arguments.tag,
        session_id=arguments.session,
        user_id=arguments.user,
        tools=tuple(arguments.tool),
        models=tuple(arguments.model),
        max_cost_usd=arguments.max_cost,
        min_duration_ns=arguments.min_duration,
        max_duration_ns=arguments.max_duration,
        attributes=tuple(arguments.attribute),
        search=arguments.search,
    )


def _usd(text: str) -> float:
    try:
        usd = float(text)
    except ValueError:
        usd = -1.0
    if not 0 <= usd < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount in USD; write 0.25")
    return usd


def _duration_ns(text: str) -> int:
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write 500ms, 30s, 5min, 2h")
    return min(round(float(match[1]) * _DURATIONS_NS[match[2] or "s"]), _MOST_NS)


def _pair(text: str) -> str:
    from tachograph_schemas.find import ATTRIBUTE_VALUE_BYTES

    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no attribute; write key=value")
    if len(value.encode(errors="replace")) > ATTRIBUTE_VALUE_BYTES:
        raise argparse.ArgumentTypeError(
            f"attributes are found by values of at most {ATTRIBUTE_VALUE_BYTES} bytes; try --search"
        )
    return text
