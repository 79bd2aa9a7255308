"""Webhooks: one signed POST to an address that was looked at, without redirects.

Signed as Standard Webhooks are (``webhook-id``, ``webhook-timestamp``, ``webhook-signature``: HMAC-SHA256 over
``id.timestamp.body``). The id is the same whenever a message is sent again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from tachograph_collector.alerts.network import BlockedError, Network, in_networks, resolve

SECRET_PREFIX = "whsec_"  # noqa: S105  # the prefix, not a secret
_SECRET_BYTES = 32
_STEP_S = 5.0
_WHOLE_S = 10.0
_USER_AGENT = "Tachograph"


class UndeliveredError(Exception):
    """It was not taken; the message says why, without the URL."""


def new_secret() -> str:
    """A secret to sign with, in the form that Standard Webhooks' libraries read."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signature(secret: str, message_id: str, timestamp_s: int, body: bytes) -> str:
    """The value of ``webhook-signature``."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def check(url: str) -> None:
    """Whether this can be the URL of a webhook at all; nothing is looked up.

    Raises:
        ValueError: it cannot.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("a webhook is an http(s) URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("put no user name into the URL of a webhook; its messages are signed")
    if any(character <= " " or character == "\x7f" for character in url):
        raise ValueError("a URL has no blanks")
    _ = parts.port  # raises ValueError itself


def post(url: str, secret: str, message_id: str, body: bytes, allowed: Sequence[Network]) -> str:
    """Send one message; the answer in short. Blocks for ten seconds at most.

    Raises:
        BlockedError: the address is none that may be connected to.
        UndeliveredError: it was not taken.
    """
    parts = urlsplit(url)
    host, is_tls = str(parts.hostname), parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    try:
        address = resolve(host, port, allowed)
        if not is_tls and not in_networks(address, allowed):
            raise BlockedError("http without TLS is for networks of TACHO_ALERT_NETWORKS alone")
        return _exchange(address, port, url, _headers(secret, message_id, body), body)
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise UndeliveredError(f"{type(error).__name__}: {error}") from error


def _headers(secret: str, message_id: str, body: bytes) -> dict[str, str]:
    now_s = int(time.time())
    return {
        "Content-Type": "application/json",
        "User-Agent": _USER_AGENT,
        "Idempotency-Key": message_id,
        "webhook-id": message_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": signature(secret, message_id, now_s, body),
        "Connection": "close",
    }


def _exchange(address: str, port: int, url: str, headers: dict[str, str], body: bytes) -> str:
    parts = urlsplit(url)
    # Made before the time begins: TLS on a connection that was cut before it began leaves an open socket behind.
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    raw = socket.create_connection((address, port), timeout=_STEP_S)
    # Each step has its own limit; many slow steps have this one. TLS takes the socket over, so the watchdog has its own
    # name for the connection.
    held = raw.dup()
    watchdog = threading.Timer(_WHOLE_S, _cut, [held])
    watchdog.daemon = True
    watchdog.start()
    try:
        with tls.wrap_socket(raw, server_hostname=str(parts.hostname)) if tls else raw as stream:
            connection = http.client.HTTPConnection(str(parts.hostname), port, timeout=_STEP_S)
            connection.sock = stream
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", path, body, {"Host": parts.netloc} | headers)
            status = connection.getresponse().status
    finally:
        watchdog.cancel()
        watchdog.join()
        raw.close()
        held.close()
    if 200 <= status < 300:
        return f"HTTP {status}"
    redirects = " (redirects are not followed)" if 300 <= status < 400 else ""
    raise UndeliveredError(f"HTTP {status}{redirects}")


def _cut(raw: socket.socket) -> None:
    try:
        raw.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
