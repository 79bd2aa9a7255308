"""What is done to the stored data now and then: the index of words is completed, the disk limit is kept."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from clickhouse_connect.driver.client import Client

from tachograph_collector.chores import Chore
from tachograph_collector.metrics import Metrics
from tachograph_schemas import metric_names, retention, store
from tachograph_schemas.layout import Layout
from tachograph_schemas.word_index import WordIndex

logger = logging.getLogger(__name__)

_SIZE_EVERY_S = 60.0
_INDEX_EVERY = 60  # rounds; what was not indexed yet is searched by reading it
_STOP_S = 5.0


class Housekeeping(Chore):
    """A thread with an engine session of its own. A fault is logged, and the next round tries again."""

    def __init__(self, dsn: str, layout: Layout, max_disk_bytes: int, metrics: Metrics) -> None:
        super().__init__("housekeeping", _STOP_S)
        self._dsn = dsn
        self._layout = layout
        self._max_disk_bytes = max_disk_bytes
        self._metrics = metrics
        self._index = WordIndex(layout)
        self._stored_bytes = 0

    def start(self) -> None:
        """Begin; the engine's tables must be there."""
        self._metrics.gauge(metric_names.STORED_BYTES, lambda: self._stored_bytes)
        super().start()

    def keep_size(self, client: Client) -> None:
        """Delete the oldest days while there is more than is allowed."""
        dropped = retention.keep_size(client, self._max_disk_bytes, self._layout)
        self._metrics.add(metric_names.DAYS_DROPPED, len(dropped.days))
        self._stored_bytes = dropped.stored_bytes or retention.stored_bytes(client, self._layout)

    def complete_index(self, client: Client) -> None:
        """Index the words of what came since the last time, for as long as a round takes.

        An index that the engine cannot finish, on a full disk for example, must not keep the size from being kept.
        """
        until = time.monotonic() + _SIZE_EVERY_S
        self._index.catch_up(
            client, lambda wait_s: self._stop.wait(wait_s) or time.monotonic() >= until
        )

    def _run(self) -> None:
        rounds = 0
        while not self._stop.is_set():
            self._attempt(self.keep_size)
            # The first time soon after a start, because programs that run for minutes exist as well.
            if rounds % _INDEX_EVERY == 1 or self._index.is_behind:
                self._attempt(self.complete_index)
            rounds += 1
            self._stop.wait(_SIZE_EVERY_S)

    def _attempt(self, chore: Callable[[Client], None]) -> None:
        try:
            client = store.connect(self._dsn)
            try:
                chore(client)
            finally:
                client.close()
        except Exception as error:
            logger.warning("%s did not work, and is tried again: %s", chore.__name__, error)
