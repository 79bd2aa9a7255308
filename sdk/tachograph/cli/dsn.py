"""``tacho dsn``: the address of the recorded runs for any ClickHouse client."""

from __future__ import annotations

import argparse

from tachograph.cli.connection import find_place
from tachograph.cli.problem import require_server
from tachograph.cli.terminal import print_json


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "dsn",
        help="print where the runs are, for ClickHouse clients",
        description="Print a DSN that clickhouse-connect, Grafana or DBeaver can read the runs with: that of the "
        "running collector's gateway, with its token, or TACHO_CLICKHOUSE when it is a server. The token "
        "opens everything recorded here: treat it as a password.",
    )
    parser.add_argument("--json", action="store_true", help="print an object with the DSN")
    parser.set_defaults(run=command)


def command(arguments: argparse.Namespace) -> int:
    """Print the DSN."""
    require_server()
    dsn = find_place().dsn
    if arguments.json:
        print_json({"dsn": dsn})
    else:
        print(dsn)
    return 0
