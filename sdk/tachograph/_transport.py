"""One persistent HTTP connection to the collector. Used by the sender's thread only.

The standard library's client rather than the stock exporter's: that one retries for its whole timeout
with no way to end it at exit, and logs every failure.
"""

from __future__ import annotations

# Resolving a host name loads this codec. It must not happen on the sender's thread: a fork meanwhile
# would leave its import lock held in the child for ever.
import encodings.idna  # noqa: F401 - for its side effect
import gzip
import http.client
import importlib
import os
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from tachograph_schemas.control import KEPT


def _zstd_module() -> Any:
    """The library for zstd: part of Python from 3.14 on, and of the server extra."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


_zstd = _zstd_module()
_ZSTD_LEVEL = 3
"""On spans 7 % smaller than the first level, in the same time; the next that gains takes three times as long."""
_PREFIX_WINDOW_LOG = 23
"""8 MiB: readers need not have more."""
_ANSWER_LIMIT_BYTES = 1 << 20
_LOOPBACK = ("127.", "localhost", "::1")
_NOT_UNDERSTOOD = (400, 415)
_RETRYABLE = (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request."""

    kind: Literal["accepted", "retry", "too_large", "refused"]
    why: str = ""
    body: bytes = b""
    after_s: float | None = None
    """What the collector asked to wait, for ``retry``."""
    unreachable: bool = False
    """Nobody listens: another attempt within the second is of little use."""
    status: int = 0
    """Of HTTP, for ``refused``."""
    kept: bool = False
    """The collector keeps the body for a while."""


class Transport:
    """Posts OTLP bodies to one URL, or puts other ones: the headers then say what they are."""

    def __init__(
        self, url: str, headers: dict[str, str], compression: str, *, method: str = "POST"
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("it does not start with http:// or https:// and a host")
        self.url = url
        self.authorization = headers.get("Authorization", "")
        self._method = method
        self._https = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._https else 80)
        self._path = parts.path + (f"?{parts.query}" if parts.query else "")
        loopback = self._host.startswith(_LOOPBACK)
        self._coding = _coding(compression, loopback=loopback)
        self._proxy = None if loopback else _proxy_for(parts.scheme, self._host)
        self._headers = {"Content-Type": "application/x-protobuf", "Connection": "keep-alive"}
        self._headers |= headers
        self._coding_was_taken = False
        self._connection: http.client.HTTPConnection | None = None

    @property
    def uses_zstd(self) -> bool:
        """Whether bodies are compressed with zstd."""
        return self._coding == "zstd"

    def post(
        self,
        body: bytes,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
        prefix: bytes = b"",
    ) -> Answer:
        """Post one body; blocks for about ``timeout_s`` at most. Never raises.

        Args:
            body: As it is; it is compressed here.
            timeout_s: Seconds.
            headers: Of this request alone.
            prefix: The raw dictionary to compress with, if that is done with zstd.
        """
        answer = self._post_coded(body, timeout_s, headers or {}, prefix)
        unknown = answer.kind == "refused" and answer.status in _NOT_UNDERSTOOD
        if unknown and self._coding == "zstd" and not (prefix or self._coding_was_taken):
            # Every collector knows gzip; ours knows both.
            self._coding = "gzip"
            answer = self._post_coded(body, timeout_s, headers or {}, b"")
        self._coding_was_taken |= answer.kind == "accepted"
        return answer

    def _post_coded(
        self, body: bytes, timeout_s: float, more: Mapping[str, str], prefix: bytes
    ) -> Answer:
        headers = {**self._headers, **more}
        if self._coding:
            headers["Content-Encoding"] = self._coding
        payload = _against(prefix, body) if prefix else _compressed(body, self._coding)
        reused = self._connection is not None
        try:
            return self._post(payload, timeout_s, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            # An idle connection that the collector has closed says nothing about the collector.
            if not reused or isinstance(error, TimeoutError):
                return _unreached(error)
        try:
            return self._post(payload, timeout_s, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return _unreached(error)

    def _post(self, payload: bytes, timeout_s: float, headers: Mapping[str, str]) -> Answer:
        connection = self._connection or self._connect(timeout_s)
        self._connection = connection
        connection.timeout = timeout_s
        if connection.sock is not None:
            connection.sock.settimeout(timeout_s)
        connection.request(self._method, self._target(), body=payload, headers=headers)
        response = connection.getresponse()
        body = response.read(_ANSWER_LIMIT_BYTES)
        if response.will_close or response.read(1):
            self.close()
        return _judge(response, body)

    def _target(self) -> str:
        return self.url if self._proxy and not self._https else self._path

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        host, port = self._proxy or (self._host, self._port)
        if not self._https:
            return http.client.HTTPConnection(host, port, timeout=timeout_s)
        tls = ssl.create_default_context()
        secure = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=tls)
        if self._proxy:
            secure.set_tunnel(self._host, self._port)
        return secure

    def close(self) -> None:
        """Drop the connection; the next post makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def leave_to_parent(self) -> None:
        """In a child that was forked: let go of the connection. The next post makes another.

        An answer that a thread of the parent's is reading has a lock of its own, which nobody gives back here: to close it
        would be to wait for ever. So only the socket below it is closed.
        """
        connection, self._connection = self._connection, None
        sock = connection.sock if connection is not None else None
        if sock is not None and (descriptor := sock.detach()) >= 0:
            os.close(descriptor)


def _coding(setting: str, *, loopback: bool) -> str:
    """The content coding that ``TACHO_COMPRESSION`` means here; empty for none."""
    if setting == "none":
        return ""
    if setting in {"auto", "zstd"} and _zstd is not None:
        return "zstd"
    # Without zstd, compressing costs more time than the loopback interface takes for the rest.
    return "" if setting == "auto" and loopback else "gzip"


def _compressed(body: bytes, coding: str) -> bytes:
    if coding == "zstd" and _zstd is not None:
        packed: bytes = _zstd.compress(body, _ZSTD_LEVEL)
        return packed
    return gzip.compress(body, 1) if coding == "gzip" else body


def _against(prefix: bytes, body: bytes) -> bytes:
    """``body`` as zstd behind ``prefix``, of which it repeats much: long matches find that, at any level."""
    one = _zstd.CompressionParameter
    options = {
        one.compression_level: 1,
        one.window_log: _PREFIX_WINDOW_LOG,
        one.enable_long_distance_matching: 1,
        # With another prefix it would be other bytes, and no error.
        one.checksum_flag: 1,
    }
    before = _zstd.ZstdDict(prefix, is_raw=True).as_prefix
    maker = _zstd.ZstdCompressor(options=options, zstd_dict=before)
    packed: bytes = maker.compress(body, maker.FLUSH_FRAME)
    return packed


def _proxy_for(scheme: str, host: str) -> tuple[str, int] | None:
    """The proxy of the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY), as other clients use it."""
    proxy = urllib.request.getproxies().get(scheme)
    if not proxy or urllib.request.proxy_bypass(host):
        return None
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return (parts.hostname, parts.port or 80) if parts.hostname else None


def _unreached(error: Exception) -> Answer:
    refused = isinstance(error, (ConnectionRefusedError, OSError)) and not isinstance(
        error, (TimeoutError, ConnectionResetError, BrokenPipeError)
    )
    return Answer("retry", f"{type(error).__name__}: {error}", unreachable=refused)


def _judge(response: http.client.HTTPResponse, body: bytes) -> Answer:
    status = response.status
    if 200 <= status < 300:
        return Answer("accepted", body=body, kept=response.getheader(KEPT) is not None)
    why = f"HTTP {status} {response.reason}"
    if status in _RETRYABLE:
        return Answer("retry", why, after_s=_retry_after_s(response.getheader("Retry-After")))
    if status == 413:
        return Answer("too_large", why)
    if status in {401, 403}:
        why += " (check TACHO_API_KEY)"
    return Answer("refused", why, status=status)


def _retry_after_s(text: str | None) -> float | None:
    """Seconds only: the date form is for days, and waiting is capped anyway."""
    return float(text) if text is not None and text.strip().isdigit() else None
