"""Listening sockets, taken before anything else so that a taken port is found while nothing runs."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from tachograph_collector.errors import StartError


def listen(host: str, port: int, setting: str) -> socket.socket:
    """A bound socket; port 0 takes a free one.

    Raises:
        StartError: the port is taken or the address is not this machine's.
    """
    try:
        return _bound(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"Port {port} on {host} is taken by another program. Stop it, or set {setting} to "
                "another port (0 takes a free one)."
            ) from error
        if error.errno == errno.EACCES:
            raise StartError(
                f"Port {port} needs more rights than this process has; set {setting} above 1023."
            ) from error
        raise StartError(
            f"Cannot listen on {host}:{port} ({error}). Check TACHO_HOST and {setting}."
        ) from error


def _bound(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    # Naming the protocol lets asyncio switch Nagle's delay off: 40 ms an answer otherwise.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(2048)
    except OSError:
        bound.close()
        raise
    return bound


def url(bound: socket.socket) -> str:
    """``http://HOST:PORT`` of a bound socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """A uvicorn server among others in one process: the process handles the signals, not each server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def server(app: Any, *, keep_alive_s: int = 75, drain_s: int = 5) -> Server:
    """A server for ``app`` that is quiet and stops within ``drain_s`` seconds."""
    return Server(
        uvicorn.Config(
            app,
            access_log=False,
            lifespan="off",
            log_config=None,
            server_header=False,
            date_header=False,
            timeout_keep_alive=keep_alive_s,
            timeout_graceful_shutdown=drain_s,
        )
    )
