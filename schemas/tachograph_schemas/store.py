"""The only place that opens ClickHouse: a client for a DSN, and the migrations.

``chdb:///path`` is the engine embedded in this process, ``http(s)://user:pass@host:8123/db`` a server.
Both give the same ``clickhouse_connect`` client.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from tachograph_schemas import retention
from tachograph_schemas.layout import ONE_MACHINE, Layout

_CLIENT_SETTINGS = {
    # In the engine of today an inner join can leave entries in this cache that hide rows from later queries:
    # ClickHouse pull request 119823.
    "use_query_condition_cache": 0,
    # On a cluster of several shards a subquery over a distributed table is refused unless it is said that it means
    # the rows of all of them.
    "distributed_product_mode": "global",
}
_FILE = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")
_PLACEHOLDER = re.compile(r"\$\{([a-z_]+)(?::([a-z_]+))?(?::([a-z_]+))?\}")

__all__ = [
    "Layout",
    "Migration",
    "SchemaTooNewError",
    "StoreError",
    "connect",
    "is_embedded",
    "migrate",
    "migrations",
]

StoreError = ClickHouseError
"""What the engine or the way to it can raise; the message carries the engine's code."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file of ``migrations/``."""

    number: int
    name: str
    text: str

    def statements(self, layout: Layout) -> list[str]:
        """The file's statements for ``layout``, in order."""
        parts = (_without_comments(part) for part in self.text.split(";\n"))
        wanted = [
            text.strip().rstrip(";")
            for text, cluster_only in parts
            if text.strip() and (layout.cluster or not cluster_only)
        ]
        return [_fill(text, layout) for text in wanted]


class SchemaTooNewError(RuntimeError):
    """The data was written by a later version of Tachograph."""


def is_embedded(dsn: str) -> bool:
    """Whether ``dsn`` names the engine in this process."""
    return dsn.startswith("chdb://")


def connect(dsn: str, **options: Any) -> Client:
    """A client for ``dsn``. May block while it connects.

    Raises:
        StoreError: the engine cannot be opened or reached.
    """
    # Times are UTC everywhere; naive ones would be read as local time by whoever gets them.
    options.setdefault("tz_mode", "aware")
    if is_embedded(dsn):
        return _as_we_ask(clickhouse_connect.get_client(dsn=dsn, **options))
    # Sessions would serialise the queries of all threads that share the client.
    return _as_we_ask(
        clickhouse_connect.get_client(dsn=dsn, autogenerate_session_id=False, **options)
    )


def _as_we_ask(client: Client) -> Client:
    """A server that does not know a setting, or keeps its users from changing it, is asked without."""
    for name, value in _CLIENT_SETTINGS.items():
        known = client.server_settings.get(name)
        if known is not None and not known.readonly:
            client.set_client_setting(name, value)
    return client


def migrations() -> list[Migration]:
    """Every migration, in order."""
    found = []
    for entry in resources.files("tachograph_schemas").joinpath("migrations").iterdir():
        match = _FILE.match(entry.name)
        if match:
            text = entry.read_text(encoding="utf-8")
            found.append(Migration(int(match.group(1)), entry.name, text))
    return sorted(found, key=lambda migration: migration.number)


def migrate(client: Client, layout: Layout = ONE_MACHINE) -> list[str]:
    """Bring the tables and their retention up to date; safe to repeat, and from several collectors at once.

    Returns:
        The names of the migrations that ran now.

    Raises:
        SchemaTooNewError: the data needs a later version.
        StoreError: a statement failed; the earlier ones are recorded and not repeated.
    """
    client.command(_fill(_MIGRATIONS_TABLE, layout))
    if layout.cluster:
        client.command(_fill(_MIGRATIONS_DISTRIBUTED, layout))
    rows = client.query("SELECT DISTINCT number, name FROM schema_migrations").result_rows
    done = {int(row[0]) for row in rows}
    known = migrations()
    newest = max(migration.number for migration in known)
    if done and max(done) > newest:
        raise SchemaTooNewError(
            f"The data was written by a later version (migration {max(done)}, this version knows "
            f"{newest}). Start that version again, or this one on a copy of the data that was made before the upgrade."
        )
    ran = []
    for migration in known:
        if migration.number in done:
            continue
        for statement in migration.statements(layout):
            client.command(statement)
        client.command(
            "INSERT INTO schema_migrations (number, name) SELECT {number:UInt32}, {name:String}",
            parameters={"number": migration.number, "name": migration.name},
        )
        ran.append(migration.name)
    retention.apply_ttl(client, layout)
    return ran


_MIGRATIONS_TABLE = """
CREATE TABLE IF NOT EXISTS ${local:schema_migrations} ${on_cluster}
(number UInt32, name String, ran_at DateTime64(3, 'UTC') DEFAULT now64(3))
ENGINE = ${replacing:schema_migrations:ran_at} ORDER BY number
"""
_MIGRATIONS_DISTRIBUTED = """
CREATE TABLE IF NOT EXISTS schema_migrations ${on_cluster} AS schema_migrations_local
ENGINE = Distributed('${cluster}', currentDatabase(), schema_migrations_local, number)
"""


def _without_comments(text: str) -> tuple[str, bool]:
    """The statement without its comment lines, and whether it is for clusters only."""
    lines = text.splitlines()
    kept = "\n".join(line for line in lines if not line.lstrip().startswith("--"))
    return kept, any(line.strip() == "-- cluster only" for line in lines)


def _fill(text: str, layout: Layout) -> str:
    """Replace the placeholders: names and engines differ between one machine and a cluster."""
    cluster = layout.quoted_cluster

    def value(match: re.Match[str]) -> str:
        word, first, second = match.groups()
        if word == "cluster":
            return cluster
        if word == "retention_days":
            return str(int(layout.retention_days))
        if word == "on_cluster":
            return layout.on_cluster
        if word == "local":
            return f"{first}_local" if cluster else str(first)
        if word == "replacing" and cluster:
            path = f"/clickhouse/tables/{{shard}}/{{database}}/{first}"
            return f"ReplicatedReplacingMergeTree('{path}', '{{replica}}', {second})"
        if word == "replacing":
            return f"ReplacingMergeTree({second})"
        raise ValueError(f"unknown placeholder {match.group(0)} in a migration")

    return _PLACEHOLDER.sub(value, text)
