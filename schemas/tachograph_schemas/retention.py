"""How long data is kept, and how much of it.

Two bounds on every table with rows in time. Age: the table's TTL, which the engine applies while it merges.
Size: whole days are dropped, the oldest first, while all tables together take more than allowed.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from clickhouse_connect.driver.client import Client

from tachograph_schemas.layout import ONE_MACHINE, Layout

logger = logging.getLogger(__name__)

_TTL = re.compile(r"TTL .*?toIntervalDay\((\d+)\)", re.DOTALL)
_MOST_ROUNDS = 4_000


@dataclass(frozen=True, slots=True)
class Kept:
    """A table whose rows end with time."""

    table: str
    time: str
    """The column whose age counts."""
    by_day: bool = True
    """Partitioned by the day of that column."""


KEPT = (
    Kept("span_rows", "received_at"),
    Kept("run_rows", "last_seen_at", by_day=False),
    Kept("log_rows", "received_at"),
    Kept("metric_rows", "received_at"),
    Kept("recording_rows", "received_at"),
    Kept("blob_rows", "received_at"),
)
"""Every table that retention applies to. A table that does not exist yet is passed over."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """What keeping the size limit took."""

    days: tuple[date, ...]
    """Days of receipt, oldest first."""
    freed_bytes: int
    stored_bytes: int
    """What is stored now."""


def apply_ttl(client: Client, layout: Layout) -> list[str]:
    """Give every table the retention of ``layout``; returns the tables that had another.

    One small query when nothing changed. A change recomputes in the background when rows end; rows are gone
    after the merges that follow.

    Raises:
        StoreError: the engine refuses.
    """
    wanted = _local_names(layout)
    rows = client.query(
        "SELECT name, create_table_query FROM system.tables"
        " WHERE database = currentDatabase() AND name IN {names:Array(String)}",
        parameters={"names": list(wanted)},
    ).result_rows
    changed = []
    for name, definition in rows:
        found = _TTL.search(definition)
        if found and int(found[1]) == layout.retention_days:
            continue
        client.command(
            f"ALTER TABLE {name} {layout.on_cluster} MODIFY TTL toDateTime({wanted[name].time})"
            f" + INTERVAL {int(layout.retention_days)} DAY DELETE"
        )
        changed.append(name)
    return changed


def stored_bytes(client: Client, layout: Layout = ONE_MACHINE) -> int:
    """Bytes on disk of every kept table, on all nodes and replicas of a cluster together."""
    return sum(_bytes_of_days(client, layout).values())


def keep_size(client: Client, max_bytes: int, layout: Layout = ONE_MACHINE) -> Dropped:
    """Drop the oldest days until the tables take at most ``max_bytes``; 0 means no limit.

    The newest day always stays, however large, and so do today and what came "later": today is being written, also
    where the clock was ahead once. Blocks until the days are gone; the runs of a day go with its spans.

    Raises:
        StoreError: the engine refuses.
    """
    before = stored = stored_bytes(client, layout) if max_bytes else 0
    gone: list[date] = []
    while max_bytes and stored > max_bytes and len(gone) < _MOST_ROUNDS:
        days = sorted(day for day in _bytes_of_days(client, layout) if day is not None)
        if len(days) < 2 or days[0] >= datetime.now(UTC).date():
            logger.warning(
                "The stored data takes %d bytes, more than TACHO_MAX_DISK_BYTES=%d, and nothing of it is of a"
                " day that has ended: raise the limit or record less.",
                stored,
                max_bytes,
            )
            break
        _drop_day(client, days[0], layout)
        gone.append(days[0])
        stored = stored_bytes(client, layout)
    if gone:
        logger.warning(
            "Deleted the data of %s to %s: %d bytes were stored, TACHO_MAX_DISK_BYTES allows %d.",
            gone[0],
            gone[-1],
            before,
            max_bytes,
        )
    return Dropped(tuple(gone), max(before - stored, 0), stored)


def _bytes_of_days(client: Client, layout: Layout) -> dict[date | None, int]:
    """Bytes by day of receipt; under ``None`` those of tables without such partitions."""
    parts = "system.parts"
    if layout.cluster:
        parts = f"clusterAllReplicas('{layout.quoted_cluster}', system.parts)"
    wanted = _local_names(layout)
    rows = client.query(
        f"SELECT table, partition, sum(bytes_on_disk) FROM {parts}"
        " WHERE database = currentDatabase() AND active AND table IN {names:Array(String)}"
        " GROUP BY table, partition",
        parameters={"names": list(wanted)},
    ).result_rows
    found: dict[date | None, int] = {}
    for table, partition, size_bytes in rows:
        day = date.fromisoformat(partition) if wanted[table].by_day else None
        found[day] = found.get(day, 0) + int(size_bytes)
    return found


def _drop_day(client: Client, day: date, layout: Layout) -> None:
    for name, kept in _local_names(layout).items():
        if not _exists(client, name):
            continue
        if kept.by_day:
            action = f"DROP PARTITION '{day.isoformat()}'"
        else:
            # Their spans are gone: what was last heard of before the next day.
            after = (day + timedelta(days=1)).isoformat()
            action = f"DELETE WHERE {kept.time} < toDateTime64('{after}', 9, 'UTC')"
        client.command(
            f"ALTER TABLE {name} {layout.on_cluster} {action}", settings={"mutations_sync": 2}
        )


def _exists(client: Client, name: str) -> bool:
    return bool(client.query(f"EXISTS TABLE {name}").result_rows[0][0])


def _local_names(layout: Layout) -> dict[str, Kept]:
    suffix = "_local" if layout.cluster else ""
    return {kept.table + suffix: kept for kept in KEPT}
