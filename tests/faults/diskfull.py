"""A full disk: the home is on a small tmpfs, and something else takes all that is left of it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from faults import mounts
from faults.load import Load, Verdict, compare, health, settle
from faults.process import Collector

CLIENTS = 2
ROUNDS = 5
DISK_BYTES = 192 << 20
REFUSALS = 20

why_not = mounts.why_not


def run(directory: Path, rounds: int = ROUNDS) -> Verdict:
    """Fill and free the disk ``rounds`` times, every other time with a kill and a start while it is full."""
    place = directory / "mounted"
    place.mkdir(parents=True)
    back_s: list[float] = []
    starts = 0
    with (
        mounts.memory_disk(place, DISK_BYTES),
        Collector(place / "home", TACHO_LOG_SEGMENT_BYTES="256KiB") as collector,
        Load(collector.address) as load,
    ):
        collector.start()
        load.start(CLIENTS)
        for number in range(rounds):
            load.until_more(20)
            filler = fill(place)
            refused = load.answers[503]
            load.until(lambda load, r=refused: load.answers[503] >= r + REFUSALS)
            assert collector.process.poll() is None, collector.errors()
            if number % 2:
                starts += _restart_while_full(collector, filler)
            filler.unlink(missing_ok=True)
            freed = time.monotonic()
            load.until_more(5, 120)
            back_s.append(time.monotonic() - freed)
        load.stop()
        settle(collector)
        assert health(collector.url)["status"] == "ok"
        verdict = compare(collector.rows, load.acknowledged, load.spans)
        assert collector.stop() == 0
    assert load.without_retry_after == 0, "a 503 says when to come back"
    verdict.facts |= {
        "fills": rounds,
        "refusals with Retry-After": load.answers[503],
        "starts on a full disk": starts,
        "taking again after s max": round(max(back_s), 2),
    }
    return verdict


def fill(place: Path) -> Path:
    """Take every last byte."""
    filler = place / "filler"
    fd = os.open(filler, os.O_CREAT | os.O_WRONLY)
    block = 1 << 20
    try:
        while block:
            try:
                os.write(fd, bytes(block))
            except OSError:
                block //= 2
    finally:
        os.close(fd)
    return filler


def _restart_while_full(collector: Collector, filler: Path) -> int:
    """Kill it and start it on the full disk; 1 when it came up.

    The embedded engine cannot always be opened without any room. Then the collector ends with a sentence that says so,
    and whoever supervises it starts it again.
    """
    collector.signal(signal.SIGKILL)
    try:
        collector.start()
    except AssertionError:
        assert collector.process.wait(30) == 1, collector.errors()
        assert "Traceback" not in collector.errors()
        filler.unlink()
        collector.start()
        return 0
    return 1
