"""The collector's settings, and the one place that resolves them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tachograph_collector.alerts.network import Network, networks
from tachograph_collector.gateway import limits as gateway
from tachograph_schemas.settings import (
    SHARED,
    Setting,
    declare,
    home,
    refuse_unknown,
    resolve,
    size_bytes,
    web_address,
)

TABLE = SHARED + declare(
    (
        Setting(
            "TACHO_PUBLIC_URL",
            "",
            "where people reach this collector, for links in notifications; none are made beyond this machine "
            "without it",
            web_address,
        ),
        Setting(
            "TACHO_DASHBOARD_PUBLIC_URL",
            "",
            "where people open the dashboard, for links in alerts; none are made beyond this machine without it",
            web_address,
        ),
        Setting("TACHO_RETENTION_DAYS", 30, "days after which spans and runs are deleted", int),
        Setting(
            "TACHO_MAX_BODY_BYTES",
            64 << 20,
            "largest OTLP body, before and after decompression",
            size_bytes,
        ),
        Setting(
            "TACHO_LOG_SEGMENT_BYTES",
            16 << 20,
            "size of one file of the write-ahead log",
            size_bytes,
        ),
        Setting(
            "TACHO_LOG_MAX_BYTES",
            2 << 30,
            "unstored bytes in the log above which clients are told to wait",
            size_bytes,
        ),
        Setting(
            "TACHO_LOG_KEEP_S", 900, "seconds that log files are kept after they were stored", int
        ),
        Setting(
            "TACHO_MIN_FREE_BYTES",
            256 << 20,
            "free disk space below which clients are told to wait",
            size_bytes,
        ),
        Setting(
            "TACHO_QUARANTINE_MAX_BYTES",
            1 << 30,
            "bytes of bodies that the engine cannot store that are kept; the oldest go first",
            size_bytes,
        ),
        Setting("TACHO_BATCH_MAX_SPANS", 100_000, "most spans in one insert into the engine", int),
        Setting("TACHO_BATCH_MAX_BYTES", 32 << 20, "most bytes in one insert", size_bytes),
        Setting(
            "TACHO_BATCH_LINGER_MS", 200, "how long the loader waits for a batch to grow, ms", int
        ),
        Setting(
            "TACHO_DRIFT_BUDGET_RUNS",
            2_000,
            "drift: at most one false alarm per so many runs of an agent, all metrics together",
            int,
        ),
        Setting(
            "TACHO_DRIFT_SETTLE_S",
            60.0,
            "drift: seconds that a finished run must not have changed before it is looked at",
            float,
        ),
        Setting(
            "TACHO_DRIFT_MAX_MEMORY_BYTES",
            1 << 30,
            "drift: memory of the process that looks for it; with more it is started again",
            size_bytes,
        ),
        Setting(
            "TACHO_ALERT_INTERVAL_S", 2.0, "seconds between two looks at the alert rules", float
        ),
        Setting(
            "TACHO_ALERT_NETWORKS",
            "",
            "networks that notifications may go to although they are not public "
            "(`127.0.0.0/8,10.1.2.3`), without TLS too",
            networks,
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the collector can be told, resolved."""

    home: Path
    api_key: str
    clickhouse: str
    """The storage DSN, never empty."""
    clickhouse_cluster: str
    control_db: str
    public_url: str
    dashboard_public_url: str
    host: str
    http_port: int
    grpc_port: int
    gateway_port: int
    retention_days: int
    max_disk_bytes: int
    max_body_bytes: int
    log_segment_bytes: int
    log_max_bytes: int
    log_keep_s: int
    min_free_bytes: int
    quarantine_max_bytes: int
    batch_max_spans: int
    batch_max_bytes: int
    batch_linger_ms: int
    drift_budget_runs: int
    drift_settle_s: float
    drift_max_memory_bytes: int
    alert_interval_s: float
    alert_networks: tuple[Network, ...]
    gateway: gateway.Limits
    """What queries over the gateway may take."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the listeners."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def load(arguments: Mapping[str, Any] | None = None) -> Settings:
    """Resolve the settings from arguments, environment, ``tacho.toml`` and defaults.

    Raises:
        SettingsError: a value cannot be read, or a key is unknown.
    """
    refuse_unknown()
    values = resolve(TABLE, arguments)
    root = home(values["home"])
    values["home"] = root
    values["clickhouse"] = values["clickhouse"] or f"chdb://{root / 'data'}"
    values["control_db"] = values["control_db"] or f"sqlite:///{root / 'control.db'}"
    values["gateway"] = gateway.Limits.from_settings(resolve(gateway.TABLE, arguments))
    return Settings(**{name: values[name] for name in Settings.__slots__})
