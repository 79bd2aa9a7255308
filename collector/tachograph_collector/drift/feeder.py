"""Reads runs that have finished, feeds each agent's watch, keeps what it finds.

Runs are taken in the order in which they became known, once they have not changed for a while. So a run that arrives late
is simply one of the next, and reading all of history gives the alarms that were raised when it happened. State, alarms and
the place are written in one transaction: after a crash it goes on where it was.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import closing

from clickhouse_connect.driver.client import Client

from tachograph_collector.drift.keeping import DriftTables, Key, OvertakenError, Place, storable
from tachograph_schemas import store
from tachograph_schemas.drift.agent import AgentWatch
from tachograph_schemas.drift.alarms import Alarm, alarm
from tachograph_schemas.drift.points import RunPoint
from tachograph_schemas.drift.reading import PAGE_RUNS, Cursor, Finished, page

logger = logging.getLogger(__name__)

_LOOK_BACK_S = 300.0  # far longer than an insert takes, and than clocks differ
_MOST_WATCHES = 64  # in memory; the others are read again when they have runs
_LEAST_PAGE_RUNS = 500


class Feeder:
    """Watches all agents of all projects. Used by one thread: :meth:`step` by :meth:`step`, or :meth:`look` for all."""

    def __init__(self, tables: DriftTables, budget_runs: int) -> None:
        self.tables = tables
        self._budget_runs = budget_runs
        self._page_runs = PAGE_RUNS
        self._place: Place | None = None
        self._watches: OrderedDict[Key, AgentWatch] = OrderedDict()

    def look(self, dsn: str, settle_s: float, beat: Callable[[bool], None] | None = None) -> None:
        """Feed all runs that have not changed for ``settle_s``. A fault is logged, and the next look tries again.

        ``beat`` is called after each page, with whether it was read and kept.
        """
        tell = beat or (lambda _: None)
        try:
            client = store.connect(dsn)
            try:
                self.look_back()
                while self.step(client, time.time_ns() - int(settle_s * 1e9), self._page_runs):
                    self._page_runs = min(PAGE_RUNS, 2 * self._page_runs)
                    tell(True)
                tell(True)
            finally:
                client.close()
        except OvertakenError:
            logger.debug("Another collector has fed these runs.")
            tell(True)
        except Exception as error:
            # A page may be more than the engine allows one query in time or memory.
            self._page_runs = max(_LEAST_PAGE_RUNS, self._page_runs // 2)
            logger.warning("Drift was not looked for, and is tried again: %s", error)
            tell(False)

    def step(self, client: Client, until_ns: int, limit: int = PAGE_RUNS) -> int:
        """Feed one page of runs that were last computed until ``until_ns``; how many were read.

        Raises:
            StoreError, DatabaseError: nothing was changed; the same call may be made again.
        """
        place = self._place = self._place or self.tables.place()
        touched: dict[Key, AgentWatch] = {}
        alarms: list[tuple[Key, Alarm]] = []
        count = 0
        try:
            with closing(page(client, place.cursor, until_ns, limit)) as pieces:
                for runs in pieces:
                    count += len(runs)
                    self._feed(runs, place, touched, alarms)
                    place.cursor = runs[-1].cursor
                    if len(touched) > _MOST_WATCHES:
                        break
            if touched:
                with self.tables.write() as connection:
                    self.tables.save(connection, place, touched, alarms)
                for watch in touched.values():
                    watch.deploys.settled()
        except BaseException:
            # What is in memory is ahead of what is kept.
            self._place = None
            self._watches.clear()
            raise
        while len(self._watches) > _MOST_WATCHES:
            self._watches.popitem(last=False)
        return count

    def look_back(self) -> None:
        """Read what became known last once more: an insert that took long shows later than its time says.

        Runs that were fed already are not fed again.
        """
        place = self._place = self._place or self.tables.place()
        # A place in the future is of a clock that was ahead, and put back: nothing new would come behind it.
        from_ns = min(place.cursor.computed_ns, time.time_ns()) - int(_LOOK_BACK_S * 1e9)
        place.cursor = Cursor(max(0, from_ns))

    def _feed(
        self,
        runs: Sequence[Finished],
        place: Place,
        touched: dict[Key, AgentWatch],
        alarms: list[tuple[Key, Alarm]],
    ) -> None:
        of_agent: dict[Key, list[RunPoint]] = {}
        for run in runs:
            if place.fed.is_new(run.project, run.point.run_id):
                of_agent.setdefault(storable(run.project, run.agent), []).append(run.point)
        for key, points in of_agent.items():
            watch = touched[key] = touched.get(key) or self._watch(key)
            alarms += [(key, alarm(key[1], watch, signal)) for signal in watch.feed_all(points)]

    def _watch(self, key: Key) -> AgentWatch:
        found = self._watches.get(key)
        if found is None:
            found = self._watches[key] = self.tables.watch(key, self._budget_runs)
        self._watches.move_to_end(key)
        return found
