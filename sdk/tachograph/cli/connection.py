"""The way to the recorded runs: which storage, and a client for it."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tachograph.cli.problem import UNREACHABLE, Problem, needs_server, require_server
from tachograph_schemas.instance import Instance, read_instance
from tachograph_schemas.settings import SHARED, home, read_file, resolve

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_LOOPBACK = {"localhost": "127.0.0.1", "[::1]": "127.0.0.1", "0.0.0.0": "127.0.0.1"}
# The driver logs what it raises; the command says it in a sentence of its own.
logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
_CONNECT_TIMEOUT_S = 5
_QUERY_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Place:
    """Where the runs are kept."""

    dsn: str
    """With its password or token."""
    instance: Instance | None
    """The collector of this machine that serves it; ``None`` for a ClickHouse server."""

    @property
    def shown(self) -> str:
        """The DSN without its secret."""
        return without_secret(self.dsn)


def settings() -> dict[str, Any]:
    """The shared settings in force."""
    return resolve(SHARED)


def is_server(dsn: str) -> bool:
    """Whether a DSN is reached over HTTP, so that several processes can."""
    return dsn.startswith(("http://", "https://"))


def without_secret(dsn: str) -> str:
    """A DSN or URL fit to be shown."""
    return re.sub(r"//[^/@]*@", "//", dsn)


def find_place(values: Mapping[str, Any] | None = None) -> Place:
    """Where the runs are: ``TACHO_CLICKHOUSE`` if it is a server, else the running collector's gateway.

    Raises:
        Problem: no collector runs here, or ``TACHO_ENDPOINT`` speaks of another one.
    """
    values = values if values is not None else settings()
    dsn = str(values["clickhouse"] or "")
    if is_server(dsn):
        return Place(dsn, None)
    folder = home(values["home"])
    instance = read_instance(folder)
    elsewhere = foreign_endpoint(values, instance)
    if instance is None:
        if elsewhere:
            raise Problem(
                f"No collector runs with TACHO_HOME {folder}, and the runs of the one at {elsewhere} cannot be read "
                "from here. Set TACHO_CLICKHOUSE to its storage (`tacho dsn` over there prints it).",
                code=UNREACHABLE,
            )
        raise Problem(
            f"No collector runs with TACHO_HOME {folder}. Start one with `tacho up`, or set TACHO_HOME or "
            "TACHO_CLICKHOUSE to where your runs are.",
            code=UNREACHABLE,
        )
    if elsewhere:
        raise Problem(
            f"TACHO_ENDPOINT is {elsewhere}, but the collector of this machine is {instance.collector}: its runs are "
            "not the ones recorded over there. Unset TACHO_ENDPOINT, or set TACHO_CLICKHOUSE to the other storage.",
            code=UNREACHABLE,
        )
    if not instance.gateway:
        raise Problem(
            "The running collector keeps its runs in a ClickHouse server: set TACHO_CLICKHOUSE to the same DSN here.",
            code=UNREACHABLE,
        )
    return Place(instance.gateway, instance)


def foreign_endpoint(values: Mapping[str, Any], instance: Instance | None) -> str:
    """``TACHO_ENDPOINT`` when it was set and names another collector than ``instance``; else empty."""
    said = os.environ.get("TACHO_ENDPOINT") or read_file().get("endpoint")
    if not said:
        return ""
    endpoint = str(values["endpoint"])
    if instance is not None and same_address(endpoint, instance.collector):
        return ""
    return without_secret(endpoint)


def same_address(one: str, other: str) -> bool:
    """Whether two URLs name the same listener, the names of this machine being one."""
    return _address(one) == _address(other)


def _address(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url if "//" in url else f"//{url}")
    host = (parts.hostname or "").lower()
    try:
        port = parts.port
    except ValueError:
        port = None
    return _LOOPBACK.get(host, "127.0.0.1" if host == "::1" else host), port


@contextmanager
def reading() -> Iterator[Client]:
    """An open client for the runs. Blocks while it connects.

    Raises:
        Problem: the storage cannot be reached, or the engine refused a query.
    """
    require_server()
    place = find_place()
    try:
        from tachograph_schemas import store
    except ImportError as error:
        raise needs_server(error) from error
    try:
        client = store.connect(
            place.dsn,
            connect_timeout=_CONNECT_TIMEOUT_S,
            send_receive_timeout=_QUERY_TIMEOUT_S,
            query_retries=0,
        )
    except (store.StoreError, OSError, ValueError) as error:
        raise unreachable(place, error) from error
    try:
        yield client
    except BrokenPipeError:
        # The reader of our output is gone; the driver wraps what happens on the way to the storage.
        raise
    except (store.StoreError, OSError) as error:
        raise _of_another_version(place, client) or unreachable(place, error) from error
    finally:
        with suppress(Exception):
            client.close()


def _of_another_version(place: Place, client: Client) -> Problem | None:
    """Why a query failed, where the tables are not those of this version; ``None`` where they are, or nobody can say."""
    from tachograph_schemas import queries, store

    try:
        there = queries.schema_version(client)
    except (store.StoreError, OSError):
        return None
    here = store.migrations()[-1].number
    if there == here:
        return None
    todo = (
        "Upgrade tachograph here, too." if there > here else "Restart the collector: it migrates."
    )
    age = "a later" if there > here else "an older"
    return Problem(
        f"The collector behind {place.shown} is of {age} version (tables {there}, here {here}). {todo}",
        code=UNREACHABLE,
    )


def unreachable(place: Place, error: Exception) -> Problem:
    """What went wrong on the way to the storage, in one sentence with what to do."""
    text = str(error)
    if "UNKNOWN_TABLE" in text or "Code: 60" in text:
        return Problem(
            f"The storage at {place.shown} has no Tachograph tables yet. Start a collector on it with `tacho up`.",
            code=UNREACHABLE,
        )
    if "AUTHENTICATION_FAILED" in text or "Code: 516" in text:
        return Problem(
            f"The storage at {place.shown} does not accept the user or token. Take a fresh DSN from `tacho dsn`.",
            code=UNREACHABLE,
        )
    return Problem(
        f"The storage at {place.shown} does not answer as it should: {reason(error)}. `tacho doctor` checks the way "
        "to it.",
        code=UNREACHABLE,
    )


def reason(error: BaseException) -> str:
    """The gist of an error: its last cause's first line, without secrets, at most 200 characters."""
    seen = [error]
    while (cause := seen[-1].__cause__) is not None and len(seen) < 10:
        seen.append(cause)
    told = next((str(each) for each in seen if str(each).strip()), type(error).__name__)
    inner = re.search(r"\(Caused by (\w+)\(.*?[\"']?([^:\"']+)[\"']?\)\)", told)
    line = f"{inner[1]}: {inner[2]}" if inner else told.strip().splitlines()[0]
    return without_secret(line)[:200].rstrip(". ")
