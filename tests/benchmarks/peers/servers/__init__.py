"""One module a server: how it is started as its documentation says, and how its own API counts spans."""

from __future__ import annotations

from . import mlflow, ours, phoenix
from .server import Server

SERVERS: dict[str, Server] = {
    "ours": ours.SERVER,
    "mlflow": mlflow.SERVER,
    "phoenix": phoenix.SERVER,
}

__all__ = ["SERVERS", "Server"]
