"""Who may speak to the gateway: a loopback ``Host``, and the token in any place ClickHouse clients put a password."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Mapping

from tachograph_collector.gateway.errors import (
    ACCESS_DENIED,
    AUTHENTICATION_FAILED,
    GatewayError,
)


def check_host(host: str, port: int | None) -> None:
    """Refuse a request that a web page sent through a name of its own which resolves to this machine.

    Args:
        host: the ``Host`` header.
        port: where the gateway listens, None when unknown.

    Raises:
        GatewayError: ACCESS_DENIED.
    """
    name, given_port = _split(host)
    if _is_loopback(name) and (port is None or given_port == port):
        return
    raise GatewayError(
        ACCESS_DENIED,
        f"Host {host!r} is not allowed. Use 127.0.0.1, [::1] or localhost with the port.",
    )


def check_token(token: str, headers: Mapping[str, str], parameters: Mapping[str, str]) -> None:
    """Compare every password the request brings with the token, in constant time; the user's name is not looked at.

    Raises:
        GatewayError: AUTHENTICATION_FAILED, also when there is none.
    """
    given = _passwords(headers, parameters)
    # All are compared, so that a client with two different ones is told, not served by luck.
    matches = [hmac.compare_digest(password.encode(), token.encode()) for password in given]
    if not matches or not all(matches):
        raise GatewayError(
            AUTHENTICATION_FAILED,
            "Authentication failed: password is incorrect, or there is no such user. `tacho dsn` prints a "
            "DSN with the token.",
        )


def _passwords(headers: Mapping[str, str], parameters: Mapping[str, str]) -> list[str]:
    given = []
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        given.append(value.strip())
    elif scheme.lower() == "basic":
        given.append(_basic_password(value.strip()))
    elif scheme:
        given.append("")
    if "x-clickhouse-key" in headers:
        given.append(headers["x-clickhouse-key"])
    if "password" in parameters:
        given.append(parameters["password"])
    return given


def _basic_password(value: str) -> str:
    try:
        text = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return text.partition(":")[2]


def _split(host: str) -> tuple[str, int | None]:
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host, 80
    return name, int(port) if port.isdecimal() and len(port) <= 5 else None


def _is_loopback(name: str) -> bool:
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
