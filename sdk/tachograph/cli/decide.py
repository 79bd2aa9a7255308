"""``tacho approvals``, ``approve``, ``refuse`` and ``escalate``: what waits for a person, and the person's word."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from tachograph.cli.control_api import actor, add_actor, call, client
from tachograph.cli.problem import ANSWER_IS_NO, USAGE, Problem
from tachograph.cli.table import Column, listed
from tachograph.cli.terminal import at_most, print_json, print_lines
from tachograph_schemas import words
from tachograph_schemas.control import APPROVALS
from tachograph_schemas.control_client import ControlClient

_ID_CHARS = 16
_AT_ONCE = 1_000
"""Requests whose ids are asked for at once."""
_ANSWERS = {
    "approve": "let an agent do what it asked for",
    "refuse": "say no",
    "escalate": "pass a request on to somebody else, who then decides",
}
_WORDS = {"approve": "allow", "refuse": "deny", "escalate": "escalate"}
_COLUMNS = (
    Column("ID", 16),
    Column("STATUS", 8, spared=2),
    Column("ASKED", 23, spared=3),
    Column("RISK", 8, spared=1),
    Column("AGENT", 16, spared=1),
    Column("ACTION"),
)
_ALL = ("pending", "approved", "refused", "expired")


def add_parser(subparsers: Any) -> None:
    """Add the commands."""
    listing = subparsers.add_parser(
        "approvals",
        help="what waits for a person's decision",
        description="List the requests that wait, the oldest first, or show one whole.",
    )
    listing.add_argument(
        "id", nargs="?", metavar="ID", help="show this one whole; the beginning of its id will do"
    )
    listing.add_argument(
        "of", nargs="?", metavar="link ID", help="make two links with which a person decides on it"
    )
    listing.add_argument(
        "--for", dest="approver", metavar="NAME", help="link: whose they are (default: yours)"
    )
    listing.add_argument(
        "--hours", type=float, metavar="N", help="link: for how long (default: as long as it waits)"
    )
    listing.add_argument("--all", action="store_true", help="decided and expired ones too")
    listing.add_argument(
        "--limit",
        type=at_most(1_000),
        default=50,
        metavar="N",
        help="at most this many (default: 50)",
    )
    listing.add_argument("--json", action="store_true", help="the data, as JSON")
    add_actor(listing)
    listing.set_defaults(run=_list)
    for name, does in _ANSWERS.items():
        deciding = subparsers.add_parser(name, help=does, description=f"{does.capitalize()}.")
        deciding.add_argument("id", metavar="ID", help="of the request; its beginning will do")
        deciding.add_argument(
            "--reason", default="", metavar="TEXT", help="why; it is in the record of the run"
        )
        if name == "approve":
            deciding.add_argument(
                "--params", metavar="JSON", help="other arguments to go on with, as JSON"
            )
        else:
            deciding.set_defaults(params=None)
        deciding.add_argument("--json", action="store_true", help="the data, as JSON")
        add_actor(deciding)
        deciding.set_defaults(run=_decide, word=_WORDS[name])


def _list(arguments: argparse.Namespace) -> int:
    to = client()
    if arguments.id == "link":
        if not arguments.of:
            raise Problem("Say for which request: tacho approvals link ID.", code=USAGE)
        return _link(to, arguments)
    if arguments.of:
        raise Problem(f"{arguments.of!r} is one word too many; did you mean `link`?", code=USAGE)
    if arguments.id:
        found = _one(to, arguments.id, _ALL)
        if arguments.json:
            print_json(found)
        else:
            print_lines(_whole(found))
        return 0
    statuses = _ALL if arguments.all else ("pending",)
    found = call(to, "GET", APPROVALS, status=statuses, limit=arguments.limit)
    if arguments.json:
        print_json(dict(found))
        return 0
    rows = found["approvals"]
    if not rows:
        print("Nothing waits for a decision." if not arguments.all else "There are no requests.")
        return 0
    print_lines(listed(_COLUMNS, [_row(row) for row in rows]))
    if found["total"] > len(rows):
        print(f"… and {found['total'] - len(rows):,} more; --limit shows more of them.")
    return 0


def _link(to: ControlClient, arguments: argparse.Namespace) -> int:
    found = _one(to, arguments.of, ("pending",))
    body = {"approver": arguments.approver or actor(arguments)}
    if arguments.hours is not None:
        body["lifetime_s"] = arguments.hours * 3_600
    made = call(to, "POST", f"{APPROVALS}/{found['id']}/links", body)
    if arguments.json:
        print_json(dict(made))
        return 0
    whose, until = words.plain(made["approver"]), words.moment_ns(made["expires_ns"])
    print_lines(
        [
            f"For {whose}, until {until}; one of the two, once:",
            f"Approve  {made['approve']}",
            f"Refuse   {made['refuse']}",
        ]
    )
    return 0


def _decide(arguments: argparse.Namespace) -> int:
    to = client()
    edited = _edited(arguments.params)
    found = _one(to, arguments.id, _ALL)
    if (
        arguments.params is not None
        and _is_object(found["params"])
        and not isinstance(edited, dict)
    ):
        raise Problem(
            f"--params is a JSON object, as what was asked for is: {found['params'][:200]}",
            code=USAGE,
        )
    body = {
        "decision": arguments.word,
        "params_hash": found["params_hash"],
        "approver": actor(arguments),
        "reason": arguments.reason,
        "params": arguments.params,
    }
    decided = call(to, "POST", f"{APPROVALS}/{found['id']}/decision", body)
    if arguments.json:
        print_json(dict(decided))
    else:
        print_lines(_whole(decided))
    return 0


def _edited(params: str | None) -> Any:
    if params is None:
        return None
    try:
        return json.loads(params)
    except ValueError as error:
        raise Problem(f"--params is no JSON: {error}.", code=USAGE) from error


def _is_object(params: str) -> bool:
    """Whether the arguments of a request are an object; what was cut or masked may be no JSON at all."""
    try:
        return isinstance(json.loads(params), dict)
    except (TypeError, ValueError):
        return False


def _one(to: ControlClient, given: str, statuses: tuple[str, ...]) -> Mapping[str, Any]:
    """The request whose id is ``given`` or starts like that."""
    wanted = given.strip().lower()
    if len(wanted) < _ID_CHARS:
        ids = [each for each in _ids(to, statuses) if each.startswith(wanted)]
        if len(ids) != 1:
            problem = "Several requests start" if ids else "No request starts"
            raise Problem(
                f"{problem} with {given!r}; `tacho approvals --all` lists them.", code=ANSWER_IS_NO
            )
        wanted = ids[0]
    return call(to, "GET", f"{APPROVALS}/{wanted}")


def _ids(to: ControlClient, statuses: tuple[str, ...]) -> set[str]:
    """Of all requests; those that come or are decided meanwhile may be missing."""
    ids: set[str] = set()
    offset, total = 0, 1
    while offset < total:
        found = call(to, "GET", APPROVALS, status=statuses, limit=_AT_ONCE, offset=offset)
        ids.update(row["id"] for row in found["approvals"])
        offset, total = offset + _AT_ONCE, found["total"]
    return ids


def _row(row: Mapping[str, Any]) -> list[str]:
    asked = words.moment_ns(row["created_ns"])
    return [row["id"], row["status"], asked, row["risk"] or "-", row["agent"] or "-", row["action"]]


def _whole(found: Mapping[str, Any]) -> list[str]:
    rows = [
        ("Request", found["action"]),
        ("Id", found["id"]),
        ("Status", found["status"] + (", escalated" if found["escalated"] else "")),
        ("Agent", found["agent"]),
        ("Run", found["run_id"]),
        ("Risk", found["risk"]),
        ("Why", found["reason"]),
        ("Asked", words.moment_ns(found["created_ns"])),
        ("Expires", words.moment_ns(found["expires_ns"])),
        ("Arguments", found["params"] or "not recorded"),
        ("Context", found["context"]),
        ("Edited to", found["edited_params"]),
    ]
    needed = found["approvers_needed"]
    if needed > 1:
        rows.append(("Needs", f"{needed} approvals"))
    rows += [
        (
            each["decision"],
            f"{each['approver']} ({each['vouched']}): {each['reason']}".rstrip(": "),
        )
        for each in found["decisions"]
    ]
    # Whole, whatever its length: nobody should decide on half of it.
    return [f"{label:<10} {words.plain(str(text))}" for label, text in rows if text]
