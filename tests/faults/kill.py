"""SIGKILL at random moments under load, start-up and recovery included."""

from __future__ import annotations

import random
import signal
import statistics
import threading
import time
from pathlib import Path

from faults.load import Load, Verdict, compare, settle
from faults.process import Collector

CLIENTS = 2
ROUNDS = 200
LONGEST_S = 1.2
EARLY = 0.3  # part of the kills that come at some moment after a start, ready or not


def run(home: Path, rounds: int = ROUNDS, seed: int | None = None) -> Verdict:
    """Kill and start again ``rounds`` times; a killed collector that does not come back is a failure."""
    seed = random.randrange(1 << 32) if seed is None else seed
    moments = random.Random(seed)
    ready_s: list[float] = []
    early = 0
    with Collector(home) as collector, Load(collector.address) as load:
        collector.start()
        load.start(CLIENTS)
        load.until_more(20)
        collector.signal(signal.SIGKILL)
        for _ in range(rounds - 1):
            if moments.random() < EARLY:
                early += collector.start_and_kill(moments.uniform(0.3, 3))
                continue
            started = time.monotonic()
            collector.start()
            ready_s.append(time.monotonic() - started)
            threading.Event().wait(moments.uniform(0, LONGEST_S))
            collector.signal(signal.SIGKILL)
        collector.start()
        load.until_more(20)
        load.stop()
        settle(collector)
        verdict = compare(collector.rows, load.acknowledged, load.spans)
        assert collector.stop() == 0
    verdict.facts |= {
        "kills": rounds,
        "of them before ready": early,
        "ready again s p50": round(statistics.median(ready_s or [0]), 2),
        "max": round(max(ready_s, default=0), 2),
        "seed": seed,
    }
    return verdict
