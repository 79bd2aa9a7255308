"""What the harness must know of a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.api import Api


@dataclass(frozen=True)
class Command:
    """A process to run in the server's own empty directory."""

    words: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    """Added to the cleaned environment."""


@dataclass(frozen=True)
class Server:
    """One server; its functions block and raise :class:`~benchmarks.peers.api.ApiError`."""

    title: str
    command: Callable[[Path, Path, int, int], Command]
    """(environment's directory, empty directory, HTTP port, a second free port)."""
    count: Callable[[Api, Path], int]
    """All spans that the server's API shows."""
    count_in: Callable[[Api, Path, list[str]], int]
    """Spans that it shows in the traces with these ids."""
    health: str
    """The path whose 200 means ready, by the server's own documentation."""
    lasting_bytes: Callable[[Api, Path], int] | None = None
    """What stays on disk of all spans, where logs and merged files are given up only minutes later."""
    peer: str | None = None
    """Key in the pins; ``None`` runs from this checkout's environment."""
    headers: dict[str, str] = field(default_factory=dict)
    """Sent with every OTLP request."""
    warm_clients: int = 1
    """Clients needed to touch every worker before the clock starts."""
