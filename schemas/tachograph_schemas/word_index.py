"""When the index of words is built: a while after the spans came, never while they are stored.

A full-text index costs more than everything else about a span together, and again at every merge, because a replacing
merge cannot join two indexes (docs/decisions/0008-find.md). So neither inserts nor merges build it. Whoever runs the
collector calls :meth:`WordIndex.catch_up` now and then; parts without the index are searched by reading them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from clickhouse_connect.driver.client import Client

from tachograph_schemas.layout import ONE_MACHINE, Layout

logger = logging.getLogger(__name__)

INSERT_SETTINGS: Mapping[str, str] = {"exclude_materialize_skip_indexes_on_insert": "words_text"}
"""What an insert of spans must be sent with; merges are told by the table itself (migration 0001)."""

_LOOK_EVERY_S = 0.2


class WordIndex:
    """Builds what is missing. Used by one thread at a time.

    Raises (every method): StoreError.
    """

    def __init__(self, layout: Layout = ONE_MACHINE) -> None:
        self._layout = layout
        self._table = "span_rows_local" if layout.cluster else "span_rows"
        self._indexed: dict[str, frozenset[str]] = {}
        self.is_behind = False
        """Whether the last call ended before all was indexed."""

    def catch_up(self, client: Client, is_over: Callable[[float], bool]) -> list[str]:
        """Index every day that changed since the last call, oldest first; returns those days.

        Costs about 25 to 35 microseconds of CPU a span and KB, once; a day that has its index already costs a
        moment. Blocks as long as that takes, or until ``is_over(seconds)``, which waits, says True. The engine
        goes on with a day that was begun, also after its next start; the next call waits for that first.
        """
        changed: list[str] = []
        self.is_behind = True
        if not self._is_done(client, is_over):
            return changed
        for day, parts in sorted(self._parts(client).items()):
            if self._indexed.get(day) == frozenset(parts):
                continue
            # Not waited for in the engine: a process that ends while a query waits for this crashes.
            client.command(
                f"ALTER TABLE {self._table} {self._layout.on_cluster}"
                f" MATERIALIZE INDEX words_text IN PARTITION '{day}'",
                settings={"mutations_sync": 0},
            )
            if not self._is_done(client, is_over):
                return changed
            self._indexed[day] = frozenset(
                filter(_is_altered, self._parts(client).get(day, ())),
            )
            changed.append(day)
        self.is_behind = False
        return changed

    def _is_done(self, client: Client, is_over: Callable[[float], bool]) -> bool:
        """Wait for what the engine has under way; whether it was done before ``is_over``."""
        while (fault := self._under_way(client)) is not None:
            if is_over(_LOOK_EVERY_S):
                if fault:
                    logger.warning("The index of words cannot be built now: %s", fault)
                return False
        return True

    def _under_way(self, client: Client) -> str | None:
        """What last went wrong with the change under way, mostly nothing; ``None`` without one."""
        rows = client.query(
            "SELECT max(latest_fail_reason) FROM system.mutations"
            " WHERE database = currentDatabase() AND table = {table:String} AND NOT is_done"
            " HAVING count() > 0",
            parameters={"table": self._table},
        ).result_rows
        return str(rows[0][0]) if rows else None

    def _parts(self, client: Client) -> dict[str, list[str]]:
        rows = client.query(
            "SELECT partition, groupArray(name) FROM system.parts"
            " WHERE database = currentDatabase() AND active AND table = {table:String}"
            " GROUP BY partition",
            parameters={"table": self._table},
        ).result_rows
        return {str(day): list(names) for day, names in rows}


def _is_altered(part: str) -> bool:
    """Whether a part went through an ALTER, by its name; those that came meanwhile did not.

    The name is ``partition_first_last_level``, and behind that the version of the last ALTER.
    """
    return part.count("_") == 4
