"""`phoenix serve` on SQLite, defaults otherwise."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from benchmarks.peers.api import Api

from .server import Command, Server

MOST_IDS = 20
"""Trace ids in one question."""


def _command(place: Path, directory: Path, port: int, second_port: int) -> Command:
    environment = {
        "PHOENIX_WORKING_DIR": str(directory),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(second_port),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    }
    return Command([str(place / "bin" / "phoenix"), "serve"], environment)


def _count(api: Api, directory: Path) -> int:
    answer = api.post("/graphql", {"query": "{projects{edges{node{name recordCount}}}}"})
    projects = [edge["node"] for edge in answer["data"]["projects"]["edges"]]
    return sum(project["recordCount"] for project in projects if project["name"] == "default")


def _count_in(api: Api, directory: Path, traces: list[str]) -> int:
    found = 0
    for first in range(0, len(traces), MOST_IDS):
        asked = [("limit", "1000")]
        asked += [("trace_id", trace) for trace in traces[first : first + MOST_IDS]]
        found += len(api.get(f"/v1/projects/default/spans?{urlencode(asked)}")["data"])
    return found


SERVER = Server(
    title="Phoenix (SQLite)",
    command=_command,
    count=_count,
    count_in=_count_in,
    health="/readyz",
    peer="phoenix",
)
