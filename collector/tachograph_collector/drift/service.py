"""The thread that watches for drift: reads runs that have finished, feeds each agent's watch, keeps what it finds.

Runs are taken in the order in which they became known, once they have not changed for a while. So a run that arrives late
is simply one of the next, and reading all of history gives the alarms that were raised when it happened. State, alarms and
the place are written in one transaction: after a crash the service goes on where it was.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from clickhouse_connect.driver.client import Client

from tachograph_collector.control.audit import Audit
from tachograph_collector.drift.keeping import (
    DriftTables,
    Key,
    OvertakenError,
    Place,
    end_alarms,
    storable,
)
from tachograph_schemas import store
from tachograph_schemas.drift.agent import AgentWatch
from tachograph_schemas.drift.alarms import Alarm, alarm
from tachograph_schemas.drift.metrics import BY_KEY
from tachograph_schemas.drift.points import RunPoint
from tachograph_schemas.drift.reading import PAGE_RUNS, Cursor, Finished, page

logger = logging.getLogger(__name__)

_STOP_S = 5.0
_LOOK_BACK_S = 300.0  # far longer than an insert takes, and than clocks differ
_MOST_WATCHES = 64  # in memory; the others are read again when they have runs
_YIELD_EVERY = (
    10  # runs, about two milliseconds: the intake of the same process must not wait for us
)
_YIELD_S = 0.002  # without a real pause the interpreter's lock comes straight back to this thread


class DriftService:
    """Watches all agents of all projects. :meth:`start` it, or call :meth:`step` by hand."""

    def __init__(
        self, dsn: str, tables: DriftTables, audit: Audit, budget_runs: int, settle_s: float
    ) -> None:
        self._dsn = dsn
        self.tables = tables
        self._audit = audit
        self._budget_runs = budget_runs
        self._settle_s = settle_s
        self._place: Place | None = None
        self._watches: OrderedDict[Key, AgentWatch] = OrderedDict()
        self._using = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drift", daemon=True)

    def start(self) -> None:
        """Begin; the engine's tables must be there."""
        self._thread.start()

    def stop(self) -> None:
        """End after the page under way; waits for a few seconds at most."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_S)

    def step(self, client: Client, until_ns: int, limit: int = PAGE_RUNS) -> int:
        """Feed one page of runs that were last computed until ``until_ns``; how many were read.

        Raises:
            StoreError, DatabaseError: nothing was changed; the same call may be made again.
        """
        with self._using:
            place = self._place = self._place or self.tables.place()
            runs = page(client, place.cursor, until_ns, limit)
            if not runs:
                return 0
            try:
                touched, alarms = self._feed(runs, place)
                place.cursor = runs[-1].cursor
                if touched:
                    with self.tables.write() as connection:
                        self.tables.save(connection, place, touched, alarms)
                    for watch in touched.values():
                        watch.deploys.settled()
            except BaseException:
                # What is in memory is ahead of what is kept.
                self._forget()
                raise
            while len(self._watches) > _MOST_WATCHES:
                self._watches.popitem(last=False)
            return len(runs)

    def look_back(self) -> None:
        """Read what became known last once more: an insert that took long shows later than its time says.

        Runs that were fed already are not fed again.
        """
        with self._using:
            place = self._place = self._place or self.tables.place()
            from_ns = place.cursor.computed_ns - int(_LOOK_BACK_S * 1e9)
            place.cursor = Cursor(max(0, from_ns))

    def acknowledge(
        self, project: str, found: dict[str, Any], actor: str, note: str, *, learn: bool
    ) -> None:
        """End an alarm. ``learn``: what is now is the new normal, so a baseline is learnt from the change on.

        Raises:
            DatabaseError: nothing was changed.
        """
        key = (project, found["agent"])
        with self._using:
            self._forget()
            place, watch = self.tables.place(), self._watch(key)
            try:
                if learn:
                    watch.learn_again(since(watch, found["since_run"]))
                else:
                    watch.restart(BY_KEY[found["metric"]])
                with self._audit.change() as connection:
                    self.tables.save(connection, place, {key: watch})
                    end_alarms(connection, key, actor, note, None if learn else found["metric"])
                    self._audit.record(
                        connection,
                        project=project,
                        actor=actor,
                        action="drift.learn" if learn else "drift.dismiss",
                        subject=found["id"],
                        detail={"agent": found["agent"], "metric": found["metric"], "note": note},
                    )
            finally:
                self._forget()

    def _feed(
        self, runs: Sequence[Finished], place: Place
    ) -> tuple[dict[Key, AgentWatch], list[tuple[Key, Alarm]]]:
        touched: dict[Key, AgentWatch] = {}
        alarms: list[tuple[Key, Alarm]] = []
        for number, run in enumerate(runs):
            if number % _YIELD_EVERY == 0:
                time.sleep(_YIELD_S)
            if not place.fed.is_new(run.project, run.point.run_id):
                continue
            key = storable(run.project, run.agent)
            watch = touched[key] = touched.get(key) or self._watch(key)
            signals = watch.feed(run.point)
            alarms += [(key, alarm(key[1], watch, signal)) for signal in signals]
        return touched, alarms

    def watch(self, project: str, agent: str) -> AgentWatch:
        """What is kept of an agent, to be looked at only."""
        return self.tables.watch((project, agent), self._budget_runs)

    def _watch(self, key: Key) -> AgentWatch:
        found = self._watches.get(key)
        if found is None:
            found = self._watches[key] = self.tables.watch(key, self._budget_runs)
        self._watches.move_to_end(key)
        return found

    def _forget(self) -> None:
        self._place = None
        self._watches.clear()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                client = store.connect(self._dsn)
                try:
                    self.look_back()
                    while not self._stop.is_set() and self.step(client, self._settled_ns()):
                        pass
                finally:
                    client.close()
            except OvertakenError:
                logger.debug("Another collector has fed these runs.")
            except Exception as error:
                logger.warning("Drift was not looked for, and is tried again: %s", error)
            self._stop.wait(self._settle_s)

    def _settled_ns(self) -> int:
        return time.time_ns() - int(self._settle_s * 1e9)


def since(watch: AgentWatch, run_id: str) -> list[RunPoint]:
    """The recent runs from ``run_id`` on; none when it is too long ago."""
    at = next((i for i, point in enumerate(watch.recent) if point.run_id == run_id), None)
    return [] if at is None else watch.recent[at:]
