"""When the index of words is built: a while after the spans came, never while they are stored.

A full-text index costs more than everything else about a span together, and again at every merge, because a replacing
merge cannot join two indexes (docs/decisions/0008-find.md). So neither inserts nor merges build it. Whoever runs the
collector calls :meth:`WordIndex.catch_up` now and then; parts without the index are searched by reading them.
"""

from __future__ import annotations

from collections.abc import Mapping

from clickhouse_connect.driver.client import Client

from tachograph_schemas.layout import ONE_MACHINE, Layout

INSERT_SETTINGS: Mapping[str, str] = {"exclude_materialize_skip_indexes_on_insert": "words_text"}
"""What an insert of spans must be sent with; merges are told by the table itself (migration 0001)."""


class WordIndex:
    """Builds what is missing. Used by one thread at a time.

    Raises (every method): StoreError.
    """

    def __init__(self, client: Client, layout: Layout = ONE_MACHINE) -> None:
        self._client = client
        self._layout = layout
        self._table = "span_rows_local" if layout.cluster else "span_rows"
        self._indexed: dict[str, frozenset[str]] = {}

    def catch_up(self) -> list[str]:
        """Index every day that changed since the last call, oldest first; returns those days.

        Costs about 25 to 35 microseconds of CPU a span and KB, once; blocks as long as that takes. A day
        that has its index already costs a moment.
        """
        changed = [
            day
            for day, parts in sorted(self._parts().items())
            if self._indexed.get(day) != frozenset(parts)
        ]
        for day in changed:
            self._client.command(
                f"ALTER TABLE {self._table} {self._layout.on_cluster}"
                f" MATERIALIZE INDEX words_text IN PARTITION '{day}'",
                settings={"mutations_sync": 1},
            )
            self._indexed[day] = frozenset(self._parts().get(day, ()))
        return changed

    def _parts(self) -> dict[str, list[str]]:
        rows = self._client.query(
            "SELECT partition, groupArray(name) FROM system.parts"
            " WHERE database = currentDatabase() AND active AND table = {table:String}"
            " GROUP BY partition",
            parameters={"table": self._table},
        ).result_rows
        return {str(day): list(names) for day, names in rows}
