"""What the dashboard is told from outside, and the checks that keep it on this machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tachograph_schemas.instance import read_instance
from tachograph_schemas.settings import (
    DEFAULT_ENDPOINT,
    SHARED,
    Setting,
    SettingsError,
    declare,
    home,
    resolve,
)

_USED = {
    "TACHO_HOST",
    "TACHO_DASHBOARD_PORT",
    "TACHO_CLICKHOUSE",
    "TACHO_HOME",
    "TACHO_ENDPOINT",
    "TACHO_API_KEY",
}
TABLE = declare(
    (
        Setting(
            "TACHO_DASHBOARD_PUBLIC_URL",
            "",
            "address under which a proxy that asks for a login serves the dashboard; with it, "
            "TACHO_HOST may be more than this machine",
        ),
    )
)
SETTINGS = tuple(setting for setting in SHARED if setting.env in _USED) + TABLE


@dataclass(frozen=True, slots=True)
class DashboardSettings:
    """The settings in force."""

    host: str
    """An address or name of this machine alone."""
    port: int
    """0 picks a free one."""
    clickhouse: str
    """The DSN of the store; secret, because it carries the gateway's token."""
    public_host: str = ""
    """The host name of the public address, when there is one."""
    endpoint: str = ""
    """The collector, for approvals."""
    api_key: str = ""
    """For a collector that asks for one; secret."""


def read(
    arguments: Mapping[str, Any] | None = None, *, environ: Mapping[str, str] | None = None
) -> DashboardSettings:
    """The settings from arguments, environment and ``tacho.toml``.

    Raises:
        SettingsError: a value cannot be used; the message says what to do.
    """
    values = resolve(SETTINGS, arguments, environ=environ)
    public_host = _public_host(str(values["dashboard_public_url"]))
    if not is_loopback(values["host"]) and not public_host:
        raise SettingsError(
            f"TACHO_HOST={values['host']!r}: the dashboard has no login yet, so it only listens on "
            "this machine. Use 127.0.0.1 and an SSH tunnel; or put a proxy that asks for a login "
            "before it and say so with TACHO_DASHBOARD_PUBLIC_URL."
        )
    running = read_instance(home(values["home"]))
    dsn = str(values["clickhouse"]) or (running.gateway if running else None) or ""
    endpoint = str(values["endpoint"])
    if endpoint == DEFAULT_ENDPOINT and running is not None:
        endpoint = running.collector
    if not dsn:
        raise SettingsError(
            "No collector runs here and TACHO_CLICKHOUSE is not set, so there is no store to read. "
            "`tacho up` starts collector and dashboard together."
        )
    return DashboardSettings(
        str(values["host"]),
        int(values["dashboard_port"]),
        dsn,
        public_host,
        endpoint,
        str(values["api_key"]),
    )


def _public_host(url: str) -> str:
    if not url:
        return ""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(
            f"TACHO_DASHBOARD_PUBLIC_URL={url!r} is no address; it looks like https://tacho.example."
        )
    return parts.hostname


def is_loopback(host: str) -> bool:
    """Whether ``host`` can only be reached from this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
