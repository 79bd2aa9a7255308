"""A log and a loader over one home, in this process and over the real engine."""

from __future__ import annotations

import threading
import time

import made_tables
from tachograph_collector.kinds import KINDS
from tachograph_collector.loader import Loader
from tachograph_collector.metrics import Metrics
from tachograph_collector.pace import BatchLimits
from tachograph_collector.quarantine import Quarantine
from tachograph_collector.signals import FACES
from tachograph_collector.store import EngineStore
from tachograph_collector.wal import Log
from tachograph_collector.wal.log import Limits
from tachograph_schemas import store
from tachograph_schemas.store import Layout

LIMITS = Limits(segment_bytes=1 << 16, min_free_bytes=0)


class Pipeline:
    """A log and a loader over one home, as the collector has them."""

    def __init__(
        self, home, *, batch: BatchLimits = BatchLimits(linger_s=0.0, apart_s=0.0)
    ) -> None:
        if not (home / "log").exists() and not (home / "data").exists():
            made_tables.put(home / "data")
        self.log = Log(home / "log", LIMITS)
        self.engine = EngineStore(f"chdb://{home / 'data'}", Layout(), home / "work")
        self.metrics = Metrics()
        self.quarantine = home / "quarantine"
        self.kept_aside = Quarantine(self.quarantine, self.metrics)
        self.loader = Loader(self.log, self.engine, self.kept_aside, self.metrics, batch)
        self._home = home

    def start(self) -> Pipeline:
        opened = threading.Event()
        self.loader.start(opened.set)
        assert opened.wait(60)
        if self.loader.failure is not None:
            raise self.loader.failure
        return self

    def send(self, *bodies: bytes, signal: str = "traces") -> None:
        left = threading.Semaphore(0)
        verdicts = []
        for raw in bodies:
            body = FACES[signal].read_protobuf(raw)
            self.log.append(
                "default",
                body.data,
                body.spans,
                lambda e: (verdicts.append(e), left.release()),
                KINDS[signal],
            )
        for _ in bodies:
            assert left.acquire(timeout=180)
        assert verdicts == [None] * len(bodies)

    def stop(self) -> None:
        self.log.close()
        assert self.loader.stop(180)

    def count(self, line: str) -> float:
        """A value of ``/metrics`` by its name and labels as printed, without the common prefix."""
        for row in self.metrics.text().splitlines():
            name, _, value = row.rpartition(" ")
            if name == f"tacho_collector_{line}":
                return float(value)
        return 0.0

    def rows(self, sql: str):
        """Ask the engine after the loader has let go of it."""
        client = store.connect(f"chdb://{self._home / 'data'}")
        try:
            return client.query(sql).result_rows
        finally:
            client.close()


def until(condition, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        threading.Event().wait(0.01)
