"""``tacho pause``, ``unpause`` and ``stop``: orders to agents, obeyed at their next effect."""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import Any

from tachograph.cli.connection import reading
from tachograph.cli.control_api import actor, add_actor, call, client
from tachograph.cli.problem import ANSWER_IS_NO, USAGE, Problem
from tachograph.cli.terminal import note, print_json
from tachograph_schemas import words
from tachograph_schemas.control import ORDERS

_WHOLE_ID_CHARS = 32
"""A whole id is taken as it is: the order may come before the first span of its run, and needs no storage."""
_DOES = {
    "pause": "let an agent, a run or everything wait at its next effect",
    "unpause": "take a pause or a stop back",
    "stop": "end the runs of an agent, a run or everything at the next effect",
}


def add_parser(subparsers: Any) -> None:
    """Add the three commands."""
    for name, does in _DOES.items():
        parser = subparsers.add_parser(
            name,
            help=does,
            description=f"{does.capitalize()}. A stop holds for later runs too, until `tacho unpause`."
            if name == "stop"
            else f"{does.capitalize()}.",
        )
        parser.add_argument("agent", nargs="?", metavar="AGENT", help="the agent's name")
        parser.add_argument(
            "--run", dest="run_id", metavar="RUN", help="one run: its id, or the beginning of it"
        )
        parser.add_argument("--all", action="store_true", help="every agent")
        if name != "unpause":
            parser.add_argument("--reason", default="", help="why; it is in the record of each run")
        parser.add_argument("--json", action="store_true", help="the data, as JSON")
        add_actor(parser)
        parser.set_defaults(run=_order, command=name)


def _whole_id(given: str) -> str:
    """The id of the run meant: an order for a part of one would be obeyed by nobody, and nobody would know.

    Raises:
        Problem: no run, or several, begin so; or the storage, which knows them, cannot be reached.
    """
    if len(given) >= _WHOLE_ID_CHARS:
        return given
    with reading() as storage:
        from tachograph_schemas import queries

        try:
            found = queries.run(storage, given)
        except queries.AmbiguousRunError as error:
            raise Problem(str(error), code=USAGE) from error
    if found is None:
        raise Problem(
            f"There is no run {given!r}; `tacho runs --outcome running` lists those under way.",
            code=ANSWER_IS_NO,
        )
    return found.run_id


def _order(arguments: argparse.Namespace) -> int:
    aims = [
        ("agent", arguments.agent),
        ("run", arguments.run_id),
        ("all", "" if arguments.all else None),
    ]
    given = [(scope, target) for scope, target in aims if target is not None]
    if len(given) != 1:
        raise Problem("Name an agent, or --run RUN, or --all.", code=USAGE)
    scope, target = given[0]
    if scope == "run":
        target = _whole_id(target)
    aim = {"scope": scope, "target": target, "actor": actor(arguments)}
    what = "everything" if scope == "all" else f"{scope} {words.plain(target)}"
    if arguments.command == "unpause":
        ended = call(client(), "POST", f"{ORDERS}/end", aim)["ended"]
        if arguments.json:
            print_json({"ended": ended})
        else:
            print(f"{what} goes on." if ended else f"Nothing was ordered for {what}.")
        return 0 if ended else ANSWER_IS_NO
    order = call(
        client(), "POST", ORDERS, aim | {"action": arguments.command, "reason": arguments.reason}
    )
    unseen = scope == "agent" and _is_unseen(target)
    if arguments.json:
        print_json(dict(order))
    else:
        verb = "pauses" if arguments.command == "pause" else "stops"
        print(f"{what} {verb} at the next effect, within two seconds, until `tacho unpause`.")
    if unseen:
        note(
            f"no agent of the name {target!r} was seen so far; the order holds for runs to come. "
            "`tacho agents` lists those that ran."
        )
    return 0


def _is_unseen(agent: str) -> bool:
    """Whether storage knows nothing of an agent; an order is given where storage cannot be asked, too."""
    with suppress(Problem), reading() as storage:
        from tachograph_schemas import queries

        return not queries.agent_seen(storage, agent)
    return False
