"""Plain HTTP to a server on this machine, for its own public API."""

from __future__ import annotations

import http.client
import json
from typing import Any


class ApiError(Exception):
    """The server does not answer, or not with what its API promises."""


class Api:
    """One server's HTTP API; a connection a call, since servers are killed and started meanwhile."""

    def __init__(self, port: int, timeout_s: float = 120) -> None:
        self.port = port
        self._timeout_s = timeout_s

    def get(self, path: str) -> Any:
        """The decoded answer; blocks until the server answers.

        Raises:
            ApiError: no connection, not a 200, or no JSON.
        """
        return self._ask("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """See :meth:`get`."""
        return self._ask("POST", path, json.dumps(body))

    def healthy(self, path: str) -> bool:
        """Whether ``path`` answers 200 within two seconds."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _ask(self, method: str, path: str, body: str | None) -> Any:
        headers = {"Content-Type": "application/json"} if body else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self._timeout_s)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != 200:
                raise ApiError(f"{path} answered {answer.status}: {said[:300]!r}")
            return json.loads(said)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ApiError(f"{path}: {error!r}") from error
        finally:
            connection.close()
