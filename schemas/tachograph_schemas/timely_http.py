"""HTTP whose answers have to be through in time as a whole: the standard library's timeout is one of every single read.

Whoever sends a byte now and then would else hold its caller for as long as it likes.
"""

from __future__ import annotations

import http.client
import io
import socket
import urllib.request
from time import monotonic
from typing import Any


class _Timely(io.RawIOBase):
    """Reads a socket until a deadline, which is its timeout from now on."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._socket = sock
        self._raw = raw
        timeout_s = sock.gettimeout()
        self._ends_s = None if timeout_s is None else monotonic() + timeout_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._ends_s is not None:
            left_s = self._ends_s - monotonic()
            if left_s <= 0:
                raise TimeoutError("the answer took too long")
            self._socket.settimeout(left_s)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp: Any = io.BufferedReader(_Timely(sock, self.fp.detach()))


class _Connection(http.client.HTTPConnection):
    response_class = _Answer


class _SecureConnection(http.client.HTTPSConnection):
    response_class = _Answer


class TimelyHandler(urllib.request.HTTPHandler):
    """For ``build_opener``, in the place of its own handler of http."""

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Open it; the timeout is one of the connection, and one of the whole answer."""
        return self.do_open(_Connection, request)


class TimelySecureHandler(urllib.request.HTTPSHandler):
    """For ``build_opener``, in the place of its own handler of https."""

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Open it; the timeout is one of the connection, and one of the whole answer."""
        return self.do_open(_SecureConnection, request)
