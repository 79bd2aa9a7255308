"""What the dashboard is told from outside, and the checks that keep it on this machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tachograph_schemas.instance import read_instance
from tachograph_schemas.settings import SHARED, SettingsError, home, resolve

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_USED = {"TACHO_HOST", "TACHO_DASHBOARD_PORT", "TACHO_CLICKHOUSE", "TACHO_HOME"}
SETTINGS = tuple(setting for setting in SHARED if setting.env in _USED)


@dataclass(frozen=True, slots=True)
class DashboardSettings:
    """The settings in force."""

    host: str
    """An address or name of this machine alone."""
    port: int
    """0 picks a free one."""
    clickhouse: str
    """The DSN of the store; secret, because it carries the gateway's token."""


def read(
    arguments: Mapping[str, Any] | None = None, *, environ: Mapping[str, str] | None = None
) -> DashboardSettings:
    """The settings from arguments, environment and ``tacho.toml``.

    Raises:
        SettingsError: a value cannot be used; the message says what to do.
    """
    values = resolve(SETTINGS, arguments, environ=environ)
    if not is_loopback(values["host"]):
        raise SettingsError(
            f"TACHO_HOST={values['host']!r}: the dashboard has no login yet, so it only listens on "
            "this machine. Use 127.0.0.1, and an SSH tunnel or a proxy with a login to reach it "
            "from elsewhere."
        )
    dsn = str(values["clickhouse"])
    if not dsn:
        running = read_instance(home(values["home"]))
        dsn = (running.gateway if running else None) or ""
    if not dsn:
        raise SettingsError(
            "No collector runs here and TACHO_CLICKHOUSE is not set, so there is no store to read. "
            "`tacho up` starts collector and dashboard together."
        )
    return DashboardSettings(str(values["host"]), int(values["dashboard_port"]), dsn)


def is_loopback(host: str) -> bool:
    """Whether ``host`` can only be reached from this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
