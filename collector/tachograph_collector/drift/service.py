"""Drift in the collector: keeps the process that feeds alive, and does what people say about alarms."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Literal

from tachograph_collector.chores import Chore
from tachograph_collector.control.audit import Audit
from tachograph_collector.drift.keeping import DriftTables, OvertakenError, end_alarms
from tachograph_collector.drift.process import PROGRESS, Work
from tachograph_schemas.drift.agent import AgentWatch
from tachograph_schemas.drift.metrics import BY_KEY
from tachograph_schemas.drift.points import RunPoint

logger = logging.getLogger(__name__)

Learn = Literal["agent", "metric", "nothing"]
"""What is learnt anew when an alarm ends."""

_STOP_S = 5.0
_SILENCE_S = 180.0
"""Longer than a page ever takes. A process that says nothing for so long hangs, or was stopped."""
_LEAST_REST_S, _MOST_REST_S = 1.0, 60.0
"""Before a process that has ended is started again: twice as long each time."""
_TRIES = 5
# Arrays here are small: threads of the algebra library would only take memory.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class DriftService(Chore):
    """Acknowledgements, and a thread that holds the process which feeds."""

    def __init__(
        self, tables: DriftTables, audit: Audit, budget_runs: int, work: Callable[[], Work]
    ) -> None:
        """``work`` is asked when the process is started: by then the collector knows its own addresses."""
        super().__init__("drift", _STOP_S)
        self.tables = tables
        self._audit = audit
        self._budget_runs = budget_runs
        self._work = work
        self.pid: int | None = None
        """Of the process that feeds; None when there is none."""
        self._settle_s, self._progress_s = 0.0, monotonic()
        self.restarts = 0
        """How often the process ended, or was ended because it fell silent."""

    @property
    def behind_s(self) -> float:
        """For how long no run could be compared, or looked for, seconds."""
        return monotonic() - self._progress_s

    @property
    def is_late(self) -> bool:
        """Whether that is longer than it may be."""
        return self.behind_s > _SILENCE_S + self._settle_s

    def acknowledge(
        self, project: str, found: dict[str, Any], actor: str, note: str, learn: Learn
    ) -> None:
        """End an alarm. ``learn``: what is now is the new normal of its metric or of the whole agent, and is learnt anew.

        Raises:
            OvertakenError: runs were fed meanwhile, again and again; nothing was changed.
            DatabaseError: nothing was changed.
        """
        for _ in range(_TRIES - 1):
            # Between our reading and our writing a page of runs was fed.
            with suppress(OvertakenError):
                self._acknowledge(project, found, actor, note, learn)
                return
        self._acknowledge(project, found, actor, note, learn)

    def watch(self, project: str, agent: str) -> AgentWatch:
        """What is kept of an agent, to be looked at only."""
        return self.tables.watch((project, agent), self._budget_runs)

    def _acknowledge(
        self, project: str, found: dict[str, Any], actor: str, note: str, learn: Learn
    ) -> None:
        key, metric = (project, found["agent"]), BY_KEY[found["metric"]]
        place, watch = self.tables.place(), self.tables.watch(key, self._budget_runs)
        if learn == "agent":
            watch.learn_again(since(watch, found["since_run"]))
        elif learn == "metric":
            watch.learn_metric_again(metric, since(watch, found["since_run"]))
        else:
            watch.restart(metric)
        with self._audit.change() as connection:
            self.tables.save(connection, place, {key: watch})
            end_alarms(connection, key, actor, note, None if learn == "agent" else metric.key)
            self._audit.record(
                connection,
                project=project,
                actor=actor,
                action="drift.dismiss" if learn == "nothing" else "drift.learn",
                subject=found["id"],
                detail={
                    "agent": found["agent"],
                    "metric": found["metric"],
                    "learn": learn,
                    "note": note,
                },
            )

    def _run(self) -> None:
        rest_s = _LEAST_REST_S
        work = self._work()
        self._settle_s, self._progress_s = work.settle_s, monotonic()
        # Nothing can have settled before, and a collector that ends soon has never started it.
        self._stop.wait(work.settle_s)
        while not self._stop.is_set():
            try:
                self._feed(work)
            except OSError as error:
                logger.warning("The process that looks for drift cannot be started: %s", error)
            self.restarts += 1
            self._stop.wait(rest_s)
            rest_s = min(_MOST_REST_S, 2 * rest_s)

    def _feed(self, work: Work) -> None:
        """Start the process and wait until it ends, falls silent, or is to end."""
        command = [sys.executable, "-P", "-m", "tachograph_collector.drift.process"]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_ENVIRONMENT},
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            self.pid = process.pid
            try:
                process.stdin.write(work.line())
                process.stdin.flush()
                os.set_blocking(process.stdout.fileno(), False)
                heard_s = monotonic()
                while not self._stop.wait(_LEAST_REST_S):
                    if process.poll() is not None:
                        why = f"has ended ({process.returncode})"
                        break
                    if said := process.stdout.read():
                        heard_s = monotonic()
                        self._progress_s = heard_s if PROGRESS in said else self._progress_s
                    elif monotonic() - heard_s > _SILENCE_S + work.settle_s:
                        why = "has fallen silent"
                        break
                else:
                    return
                logger.warning("The process that looks for drift %s; it is started again.", why)
            finally:
                self.pid = None
                process.kill()


def since(watch: AgentWatch, run_id: str) -> list[RunPoint]:
    """The recent runs from ``run_id`` on; none when it is too long ago."""
    at = next((i for i, point in enumerate(watch.recent) if point.run_id == run_id), None)
    return [] if at is None else watch.recent[at:]
