"""Tachograph from this checkout: collector with the embedded engine, defaults otherwise."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.peers.api import Api, ApiError
from tachograph_schemas import store

from .server import Command, Server


def _command(place: Path, directory: Path, port: int, second_port: int) -> Command:
    words = [sys.executable, "-m", "tachograph.cli", "up", "--no-dashboard", "--json"]
    environment = {
        "TACHO_HOME": str(directory / "tacho"),
        "TACHO_HTTP_PORT": str(port),
        "TACHO_GRPC_PORT": "0",
        "TACHO_GATEWAY_PORT": "0",
    }
    return Command(words, environment)


def _ask(directory: Path, sql: str, parameters: dict[str, list[str]] | None = None) -> int:
    """Through the gateway, whose address the first line of ``tacho up --json`` tells."""
    try:
        lines = (directory / "out.log").read_text(encoding="utf-8").splitlines()
        instance = json.loads(lines[-1])
        client = store.connect(instance["gateway"])
    except Exception as error:
        raise ApiError(f"no gateway: {error!r}") from error
    try:
        return int(client.query(sql, parameters=parameters).result_rows[0][0])
    except Exception as error:
        raise ApiError(f"the gateway refused: {error!r}") from error
    finally:
        client.close()


def _count(api: Api, directory: Path) -> int:
    return _ask(directory, "SELECT count() FROM spans")


def _count_in(api: Api, directory: Path, traces: list[str]) -> int:
    sql = "SELECT count() FROM spans WHERE trace_id IN {traces:Array(String)}"
    return _ask(directory, sql, {"traces": traces})


def _lasting_bytes(api: Api, directory: Path) -> int:
    """The live parts: log files are kept for 15 minutes after they were stored, merged parts for 8."""
    return _ask(directory, "SELECT sum(bytes_on_disk) FROM system.parts WHERE active")


SERVER = Server(
    title="Tachograph",
    command=_command,
    count=_count,
    count_in=_count_in,
    health="/readyz",
    lasting_bytes=_lasting_bytes,
)
