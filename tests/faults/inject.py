"""SIGKILL at the entry of a chosen system call of an ingest, by strace.

strace counts per thread, and the engine's threads take turns, so a number names no fixed place: bodies are sent until
some thread reaches it. The trace says which file it was, and the report counts the places.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from faults.load import Verdict, compare, post, settle
from faults.process import Collector
from otlp import plain_body

SPANS = 5
FEW = [("pwritev2", 1), ("fdatasync", 1), ("rename", 1), ("syncfs", 1)]
"""The log's write, its sync, a part of the engine coming into being, the barrier."""
CALLS = {
    "pwritev2": 3,
    "fdatasync": 3,
    "write": 24,
    "mkdir": 5,
    "rename": 6,
    "syncfs": 3,
    "pwrite64": 3,
    "fsync": 6,
    "fallocate": 2,
    "unlink": 2,
}
"""Up to which number each is tried."""
_BODIES = 12
_PLACES = {
    r"\.segment": "log file",
    r"log/checkpoint": "checkpoint",
    r"/tmp_insert_all|/tmp_insert_": "new part",
    r"/tmp_merge|/tmp_mut": "merged part",
    r"batch\.pb": "batch for the engine",
    r"socket|pipe|eventfd": "answer or wake-up",
    r"/data|__cache__": "engine, other",
    r"/log": "log directory",
}


def why_not() -> str:
    """Why it cannot run here; empty when it can."""
    if shutil.which("strace") is None:
        return "strace is not installed (apt-get install strace)"
    tried = subprocess.run(
        ["strace", "-e", "trace=none", "true"], capture_output=True, text=True, check=False
    )
    return "" if tried.returncode == 0 else f"strace may not trace here: {tried.stderr.strip()}"


def every(rounds: int) -> list[tuple[str, int]]:
    """All positions, or the first ``rounds`` of them, the calls taking turns."""
    positions = [(call, n) for n in range(1, 25) for call, most in CALLS.items() if n <= most]
    return positions[:rounds]


def run(home: Path, positions: list[tuple[str, int]]) -> Verdict:
    """Kill once at each position, start again, and compare at the end."""
    with Collector(home, TACHO_LOG_SEGMENT_BYTES="64KiB") as collector:
        collector.start()
        acknowledged: set[int] = set()
        places: Counter[str] = Counter()
        number = 1
        assert post(collector.url, plain_body(number, SPANS))[0] == 200
        acknowledged.add(number)
        settle(collector)  # the engine's first insert makes threads and files of its own
        for call, nth in positions:
            trace = home / f"{call}.{nth}.trace"
            strace = _attach(collector.process.pid, call, nth, trace)
            for _ in range(_BODIES):
                number += 1
                if post(collector.url, plain_body(number, SPANS))[0] == 200:
                    acknowledged.add(number)
                if _died(collector, strace):
                    break
            strace.terminate()
            strace.communicate()
            if collector.process.poll() is None:
                places["survived"] += 1
                continue
            assert collector.process.returncode == -signal.SIGKILL
            collector.process.stdout.close()
            places[f"{call} {_place(trace)}"] += 1
            collector.start()
        settle(collector)
        verdict = compare(collector.rows, acknowledged, SPANS)
        assert collector.stop() == 0
    verdict.facts |= {"kills": sum(places.values()) - places["survived"], "at": dict(places)}
    return verdict


def _attach(pid: int, call: str, nth: int, trace: Path) -> subprocess.Popen[str]:
    inject = f"inject={call}:signal=KILL:when={nth}"
    words = ["strace", "-f", "-y", "-p", str(pid), "-o", str(trace), "-e", f"trace={call}"]
    strace = subprocess.Popen([*words, "-e", inject], stderr=subprocess.PIPE, text=True)
    said = strace.stderr.readline()
    assert "attached" in said, said
    return strace


def _died(collector: Collector, strace: subprocess.Popen[str]) -> bool:
    """Whether it is dead before everything it has is stored; looked at without asking it anything."""
    deadline = (
        time.monotonic() + 2.5
    )  # linger, insert, roll-up, barrier and checkpoint, under strace
    checkpoint = collector.home / "log" / "checkpoint"
    before = checkpoint.stat().st_mtime_ns
    while time.monotonic() < deadline:
        try:
            collector.process.wait(0.05)
        except subprocess.TimeoutExpired:
            if checkpoint.stat().st_mtime_ns != before:
                return False
            continue
        return True
    return False


def _place(trace: Path) -> str:
    """What the last call before the end was about."""
    text = trace.read_text(errors="replace")
    calls = [line for line in text.splitlines() if re.match(r"\d+ +\w+\(", line)]
    last = calls[-1] if calls else ""
    return next((place for sign, place in _PLACES.items() if re.search(sign, last)), last[:80])
