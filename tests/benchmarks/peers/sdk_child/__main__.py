"""One SDK in a process of its own: ``python sdk_child PEER URL BATCHES`` prints one line ``@@{...}``."""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import time
from pathlib import Path

# The names of the files here must not shadow what a peer imports.
from adapters import ADAPTERS
from calls import make

sys.path.remove(str(Path(__file__).parent))

BATCH = 100
FLUSH_EVERY = 10


def cpu_s() -> float:
    """User and system seconds of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def main() -> None:
    name, url, batches = sys.argv[1], sys.argv[2], int(sys.argv[3])
    adapter = ADAPTERS[name](url)
    arguments, results = make((batches + 1) * BATCH)
    caller_us: list[float] = []

    @adapter.step
    def step(payload):
        return results[payload["i"]]

    @adapter.root
    def root(first):
        chunk, clock = arguments[first : first + BATCH], time.thread_time_ns
        started = clock()
        for payload in chunk:
            step(payload)
        caller_us.append((clock() - started) / BATCH / 1e3)
        return "done"

    root(batches * BATCH)  # imports and connections that the first call makes
    adapter.flush()
    caller_us.clear()
    before_s = cpu_s()
    for batch in range(batches):
        root(batch * BATCH)
        if batch % FLUSH_EVERY == FLUSH_EVERY - 1:
            adapter.flush()
    adapter.flush()
    found = {
        "caller_us": statistics.median(caller_us),
        "process_cpu_s_per_100k": (cpu_s() - before_s) / (batches * BATCH) * 1e5,
        "resident_mb": resident_mb(),
    }
    print("@@" + json.dumps(found), flush=True)
    # What an exit costs is another question; here it would only add waiting.
    os._exit(0)


if __name__ == "__main__":
    main()
