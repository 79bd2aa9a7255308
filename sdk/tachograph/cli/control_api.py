"""The way to the collector's control API, and its answers as what ends a command."""

from __future__ import annotations

import argparse
import getpass
import os
from collections.abc import Mapping
from typing import Any

from tachograph.cli.connection import settings
from tachograph.cli.problem import ANSWER_IS_NO, UNREACHABLE, USAGE, Problem
from tachograph.cli.terminal import note
from tachograph_schemas.control_client import ControlClient
from tachograph_schemas.instance import read_instance
from tachograph_schemas.settings import home, read_file


class _Assumed(ControlClient):
    """For the collector at the usual address, while none runs with this home: another home's, if anybody's."""

    is_said = False

    def say(self) -> None:
        """Tell whoever gives orders to whom they go, once."""
        if not self.is_said:
            self.is_said = True
            folder = home(settings()["home"])
            note(f"no collector runs with TACHO_HOME {folder}; the one at {self.base} answers.")


def client() -> ControlClient:
    """A client for ``TACHO_ENDPOINT`` when it is set, else for the collector that runs with this home.

    Raises:
        Problem: the endpoint is no URL.
    """
    values = settings()
    endpoint, kind = str(values["endpoint"]), ControlClient
    if not (os.environ.get("TACHO_ENDPOINT") or read_file().get("endpoint")):
        running = read_instance(home(values["home"]))
        if running is None:
            kind = _Assumed
        else:
            endpoint = running.collector
    try:
        return kind(endpoint, str(values["api_key"]))
    except ValueError as error:
        raise Problem(f"TACHO_ENDPOINT: {error}.", code=USAGE) from error


def call(
    to: ControlClient,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    timeout_s: float = 10.0,
    **query: Any,
) -> Mapping[str, Any]:
    """One call, and what it answers, within ``timeout_s`` seconds.

    Raises:
        Problem: it was refused, or nobody answers.
    """
    given = {name: value for name, value in query.items() if value is not None}
    answer = to.call(method, path, body, query=given, timeout_s=timeout_s)
    if isinstance(to, _Assumed) and answer.data:
        to.say()
    if answer:
        return answer.data
    if answer.status and not answer.data:
        raise Problem(
            f"What answers at {to.base} is no collector of Tachograph ({answer.why}). Set TACHO_ENDPOINT to one.",
            code=UNREACHABLE,
        )
    if answer.status in {401, 403}:
        raise Problem(f"{answer.why} TACHO_API_KEY is the key that is used.", code=ANSWER_IS_NO)
    if answer.status in {404, 409}:
        raise Problem(answer.why, code=ANSWER_IS_NO)
    if answer.status == 422:
        raise Problem(answer.why, code=USAGE)
    raise Problem(
        f"{answer.why}. Start a collector with `tacho up`, or set TACHO_ENDPOINT.", code=UNREACHABLE
    )


def add_actor(parser: argparse.ArgumentParser) -> None:
    """``--as NAME``: who does it, for the record."""
    parser.add_argument(
        "--as",
        dest="actor",
        metavar="NAME",
        default=None,
        help="who you are, for the record (default: the user of this machine)",
    )


def actor(arguments: argparse.Namespace) -> str:
    """The name to put down."""
    if arguments.actor:
        return str(arguments.actor)
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody"
