"""A port for a server that is not there yet, or comes back at the same address."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_BELOW = 32_768  # where Linux begins, as it comes
_CHOICE = 12_000


def free_port() -> int:
    """Nobody listens on it, and the system gives it to nobody who asks for any port.

    One that was bound with port 0 and let go may be given to a connection of the other worker before it is used.
    """
    below = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else _BELOW
    own = random.SystemRandom()
    while True:
        port = own.randrange(max(1_024, below - _CHOICE), below)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
