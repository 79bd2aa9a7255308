"""The client of the collector's control API that SDK, command line and dashboard share. Standard library alone."""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from tachograph_schemas.control import RECORDING_TYPE, RECORDINGS, Answer
from tachograph_schemas.timely_http import TimelyHandler, TimelySecureHandler

_ANSWER_LIMIT_BYTES: Final = 16 << 20
_TIMEOUT_S: Final = 10.0


class ControlClient:
    """Calls to one collector. Holds no connection; safe between threads."""

    def __init__(
        self, endpoint: str, api_key: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """``endpoint`` is the collector's URL, with or without ``/v1/traces``.

        Raises:
            ValueError: it is no http(s) URL.
        """
        self.base = endpoint.rstrip("/").removesuffix("/v1/traces")
        parts = urlsplit(self.base)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{self.base!r} is not an http(s) URL of a collector")
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        handlers: list[urllib.request.BaseHandler] = [
            _NoRedirect(),
            TimelyHandler(),
            TimelySecureHandler(),
        ]
        if _is_loopback(parts.hostname):
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    @property
    def identity(self) -> str:
        """A short name for whom is asked and as whom; tells neither."""
        said = json.dumps([self.base, sorted(self._headers.items())])
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> Answer:
        """One call. Blocks for ``timeout_s`` to connect and for as long again until the answer is whole, however it
        trickles in; never raises for what the network or whoever answers does.
        """
        url = f"{self.base}{quote(path)}" + (f"?{urlencode(query, doseq=True)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, self._headers, method=method)  # noqa: S310
        return self._open(request, timeout_s)

    def send_recording(self, run_id: str, package: bytes, *, timeout_s: float) -> Answer:
        """Give a ``.tacho`` file to the collector. Blocks for about ``timeout_s`` at most."""
        headers = self._headers | {"Content-Type": RECORDING_TYPE}
        url = f"{self.base}{RECORDINGS}/{quote(run_id, safe='')}"
        request = urllib.request.Request(url, package, headers, method="PUT")  # noqa: S310
        return self._open(request, timeout_s)

    def _open(self, request: urllib.request.Request, timeout_s: float) -> Answer:
        try:
            return self._answered(request, timeout_s)
        except (OSError, ValueError, http.client.HTTPException) as error:
            cause = getattr(error, "reason", None) or error
            # "Connection refused", without the number that it has in this system.
            said = str(getattr(cause, "strerror", None) or cause)
            # It may quote what came over the network, and ends in logs and terminals.
            reason = "".join(each if each.isprintable() else "?" for each in said[:300])
            return Answer(0, why=f"the collector at {self.base} does not answer: {reason}")

    def _answered(self, request: urllib.request.Request, timeout_s: float) -> Answer:
        try:
            with self._opener.open(request, timeout=timeout_s) as answer:
                return _answer(int(answer.status), answer.read(_ANSWER_LIMIT_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error.read(_ANSWER_LIMIT_BYTES))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to whoever it names."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _answer(status: int, body: bytes) -> Answer:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        # Something answers that is no collector of ours.
        return Answer(status if status >= 400 else 502, why=f"HTTP {status} without an answer")
    if 200 <= status < 300:
        return Answer(status, data)
    return Answer(status, data, _sentence(data.get("detail")) or f"HTTP {status}")


def _sentence(detail: object) -> str:
    if isinstance(detail, list):
        # The checks of the collector's own framework: which field, and what is wrong with it.
        parts = [each for each in detail if isinstance(each, dict)]
        return "; ".join(map(_fault, parts))
    return str(detail or "")


def _fault(part: Mapping[str, Any]) -> str:
    place = ".".join(str(each) for each in part.get("loc", ()) if each != "body")
    said = str(part.get("msg", ""))
    # A check of our own says in its sentence what it is about.
    ours = said.removeprefix("Value error, ")
    return ours if ours != said or not place else f"{place}: {said}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
