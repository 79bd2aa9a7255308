"""``tacho approvals``, ``approve``, ``refuse`` and ``escalate``: what waits for a person, and the person's word."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from tachograph.cli.control_api import actor, add_actor, call, client
from tachograph.cli.problem import ANSWER_IS_NO, USAGE, Problem
from tachograph.cli.terminal import fit, print_json, print_lines, width
from tachograph_schemas import words
from tachograph_schemas.control import APPROVALS
from tachograph_schemas.control_client import ControlClient

_ID_CHARS = 16
_LOOKED_AT = 1_000
_ANSWERS = {
    "approve": "let an agent do what it asked for",
    "refuse": "say no",
    "escalate": "pass a request on to somebody else, who then decides",
}
_WORDS = {"approve": "allow", "refuse": "deny", "escalate": "escalate"}
_ALL = ("pending", "approved", "refused", "expired")


def add_parser(subparsers: Any) -> None:
    """Add the commands."""
    listing = subparsers.add_parser(
        "approvals",
        help="what waits for a person's decision",
        description="List the requests that wait, the oldest first, or show one whole.",
    )
    listing.add_argument(
        "id", nargs="?", help="show this one; the beginning of its id will do; or the word `link`"
    )
    listing.add_argument("of", nargs="?", help="`link ID`: make links with which a person decides")
    listing.add_argument("--for", dest="approver", help="whose links they are (default: yours)")
    listing.add_argument(
        "--hours", type=float, help="how long they hold at most (default: as long as it waits)"
    )
    listing.add_argument("--all", action="store_true", help="decided and expired ones too")
    listing.add_argument("--limit", type=int, default=50, help="at most so many (default 50)")
    listing.add_argument("--json", action="store_true", help="the data, as JSON")
    add_actor(listing)
    listing.set_defaults(run=_list)
    for name, does in _ANSWERS.items():
        deciding = subparsers.add_parser(name, help=does, description=f"{does.capitalize()}.")
        deciding.add_argument("id", help="of the request; its beginning will do")
        deciding.add_argument("--reason", default="", help="why, in a sentence")
        if name == "approve":
            deciding.add_argument("--params", help="other arguments to go on with, as JSON")
        else:
            deciding.set_defaults(params=None)
        add_actor(deciding)
        deciding.set_defaults(run=_decide, word=_WORDS[name])


def _list(arguments: argparse.Namespace) -> int:
    to = client()
    if arguments.id == "link" and arguments.of:
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
    listed = call(to, "GET", APPROVALS, status=statuses, limit=max(1, min(arguments.limit, 1_000)))
    if arguments.json:
        print_json(dict(listed))
        return 0
    rows = listed["approvals"]
    if not rows:
        print("Nothing waits for a decision." if not arguments.all else "There are no requests.")
        return 0
    print_lines(_row(row) for row in rows)
    if listed["total"] > len(rows):
        print(f"… and {listed['total'] - len(rows):,} more; --limit shows more of them.")
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
    if arguments.params is not None:
        try:
            json.loads(arguments.params)
        except ValueError as error:
            raise Problem(f"--params is no JSON: {error}.", code=USAGE) from error
    found = _one(to, arguments.id, _ALL)
    body = {
        "decision": arguments.word,
        "params_hash": found["params_hash"],
        "approver": actor(arguments),
        "reason": arguments.reason,
        "params": arguments.params,
    }
    decided = call(to, "POST", f"{APPROVALS}/{found['id']}/decision", body)
    print_lines(_whole(decided))
    return 0


def _one(to: ControlClient, given: str, statuses: tuple[str, ...]) -> Mapping[str, Any]:
    """The request whose id is ``given`` or starts like that."""
    wanted = given.strip().lower()
    if len(wanted) < _ID_CHARS:
        listed = call(to, "GET", APPROVALS, status=statuses, limit=_LOOKED_AT)
        ids = [row["id"] for row in listed["approvals"] if row["id"].startswith(wanted)]
        if len(ids) != 1:
            problem = "Several requests start" if ids else "No request starts"
            raise Problem(f"{problem} with {given!r}.", code=ANSWER_IS_NO)
        wanted = ids[0]
    return call(to, "GET", f"{APPROVALS}/{wanted}")


def _row(row: Mapping[str, Any]) -> str:
    waited = words.moment_ns(row["created_ns"])
    facts = [
        row["id"],
        fit(row["status"], 8),
        waited,
        fit(row["risk"] or "-", 8),
        fit(words.plain(row["agent"]) or "-", 16),
    ]
    left = max(20, width() - sum(map(len, facts)) - 2 * len(facts))
    return "  ".join([*facts, fit(words.excerpt(row["action"], left), left).rstrip()])


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
