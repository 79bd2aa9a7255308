"""``tacho key``: make, list and revoke API keys."""

from __future__ import annotations

import argparse
import re
from typing import Any

from tachograph.cli.control_api import actor, add_actor, call, client
from tachograph.cli.problem import USAGE, Problem
from tachograph.cli.table import Column, listed
from tachograph.cli.terminal import print_json, print_lines
from tachograph_schemas import words
from tachograph_schemas.control import KEYS

_ROLES = ("ingest", "read", "operate", "admin")
_ID = re.compile(r"[0-9a-f]{12}")
_COLUMNS = (
    Column("ID", 12),
    Column("STATE", 7),
    Column("ROLE", 7),
    Column("PROJECT", 16, spared=1),
    Column("CREATED", 23, spared=2),
    Column("NAME"),
)


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "key",
        help="API keys: list, create, revoke",
        description="API keys of the collector. Roles: ingest (agents), read, operate (decide, pause), admin (all).",
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    create = verbs.add_parser("create", help="make a key; it is shown once")
    create.add_argument("name", help="who or what will use it")
    create.add_argument("--role", choices=_ROLES, default="ingest", help="default: ingest")
    create.add_argument("--project", default="", help="default: the project of your own key")
    create.set_defaults(run=_create)
    listing = verbs.add_parser("list", help="every key there is or was")
    listing.set_defaults(run=_list)
    revoke = verbs.add_parser("revoke", help="end a key, within a second and for good")
    revoke.add_argument("id", help="the 12 digits behind tacho_")
    revoke.set_defaults(run=_revoke)
    for verb in (create, listing, revoke):
        verb.add_argument("--json", action="store_true", help="the data, as JSON")
        add_actor(verb)


def _create(arguments: argparse.Namespace) -> int:
    if not arguments.name.strip():
        raise Problem("Say who or what will use the key: tacho key create NAME.", code=USAGE)
    wanted = {"name": arguments.name, "role": arguments.role, "project": arguments.project}
    made = call(client(), "POST", KEYS, wanted | {"actor": actor(arguments)})
    if arguments.json:
        print_json(dict(made))
        return 0
    print(made["key"])
    print(f"Keep it now: it is not shown again. Role {made['role']}, project {made['project']}.")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    keys = call(client(), "GET", KEYS)["keys"]
    if arguments.json:
        print_json({"keys": keys})
        return 0
    rows = [
        (
            key["id"],
            "revoked" if key["revoked_ns"] else "active",
            key["role"],
            key["project"],
            words.moment_ns(key["created_ns"]),
            key["name"],
        )
        for key in keys
    ]
    if rows:
        print_lines(listed(_COLUMNS, rows))
    else:
        print("There are no keys. `tacho key create NAME` makes one.")
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    key_id = arguments.id.removeprefix("tacho_").partition("_")[0]
    if not _ID.fullmatch(key_id):
        raise Problem(
            f"{arguments.id!r} is no id of a key, which has 12 digits; `tacho key list` shows them.",
            code=USAGE,
        )
    ended = call(client(), "DELETE", f"{KEYS}/{key_id}", by=actor(arguments))
    if arguments.json:
        print_json(dict(ended))
    else:
        print(f"Key {ended['id']} ({words.plain(ended['name'])}) is revoked.")
    return 0
