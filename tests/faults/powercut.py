"""Power cuts: the home is on a loop device, and what was not flushed to it is gone.

At a random moment under load the process is stopped and the device's image copied: that is what a disk would hold
whose power went at that moment. The process is killed, the image is replaced by its copy, mounted (the filesystem
replays its journal), and the collector starts on it. Pages are lost, sectors are not torn.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import threading
import time
from pathlib import Path

from faults import mounts
from faults.load import Load, Verdict, compare, settle
from faults.process import Collector

CLIENTS = 2
ROUNDS = 20
IMAGE_BYTES = 1 << 30
LONGEST_S = 3.0

why_not = mounts.why_not


def run(directory: Path, rounds: int = ROUNDS, seed: int | None = None) -> Verdict:
    """Cut the power ``rounds`` times; a collector that does not come back is a failure."""
    seed = random.randrange(1 << 32) if seed is None else seed
    moments = random.Random(seed)
    directory.mkdir(parents=True, exist_ok=True)
    image, place = directory / "image", directory / "mounted"
    place.mkdir()
    mounts.make_image(image, IMAGE_BYTES)
    ready_s: list[float] = []
    with Collector(place / "home") as collector, Load(collector.address) as load:
        for cut in range(rounds):
            with mounts.mounted(image, place), collector:
                started = time.monotonic()
                collector.start()
                ready_s.append(time.monotonic() - started)
                if cut == 0:
                    load.start(CLIENTS)
                load.until_more(20)
                threading.Event().wait(moments.uniform(0, LONGEST_S))
                _snapshot(collector.process.pid, image)
            image.with_suffix(".copy").replace(image)
        load.stop()
        with mounts.mounted(image, place), collector:
            collector.start()
            settle(collector)
            verdict = compare(collector.rows, load.acknowledged, load.spans)
            assert collector.stop() == 0
            damages = collector.errors().count("is damaged at byte")
    verdict.facts |= {
        "cuts": rounds,
        "ready again s p50": round(statistics.median(ready_s), 2),
        "max": round(max(ready_s), 2),
        "reports of damage": damages,
        "seed": seed,
    }
    return verdict


def _snapshot(pid: int, image: Path) -> None:
    os.kill(pid, signal.SIGSTOP)
    while not _is_stopped(pid):
        threading.Event().wait(0.001)
    copy = image.with_suffix(".copy")
    while True:
        before = image.stat().st_mtime_ns
        _copy_sparse(image, copy)
        # The kernel writes back on its own clock; a copy made meanwhile would be of no single moment.
        if image.stat().st_mtime_ns == before:
            return


def _is_stopped(pid: int) -> bool:
    """Whether every thread of the process is: one may still be inside a sync."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "stat").read_text().rpartition(")")[2].split()[0] != "T":
            return False
    return True


def _copy_sparse(source: Path, target: Path) -> None:
    size = source.stat().st_size
    with source.open("rb") as read, target.open("wb") as write:
        write.truncate(size)
        at = 0
        while at < size:
            try:
                begin = os.lseek(read.fileno(), at, os.SEEK_DATA)
            except OSError:
                return  # nothing but a hole up to the end
            at = os.lseek(read.fileno(), begin, os.SEEK_HOLE)
            while begin < at:
                begin += os.copy_file_range(read.fileno(), write.fileno(), at - begin, begin, begin)
