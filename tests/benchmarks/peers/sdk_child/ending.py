"""One SDK in a process that ends: ``python ending.py PEER URL CALLS HOW PACE_S`` prints ``made`` before its end.

HOW is ``return``, ``sigterm`` or ``sigkill``; PACE_S is how long the calls take in all, 0 for back to back. Nothing is
flushed by hand: what an SDK does at the end is what is measured.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from adapters import ADAPTERS
from calls import make

sys.path.remove(str(Path(__file__).parent))

BATCH = 100
SIGNALS = {"sigterm": signal.SIGTERM, "sigkill": signal.SIGKILL}


def main() -> None:
    name, url, calls, how, pace_s = sys.argv[1:6]
    adapter = ADAPTERS[name](url)
    arguments, results = make(int(calls))

    @adapter.step
    def step(payload):
        return results[payload["i"]]

    @adapter.root
    def root(chunk):
        for payload in chunk:
            step(payload)
        return "done"

    batches = range(0, len(arguments), BATCH)
    for first in batches:
        root(arguments[first : first + BATCH])
        # The pace of an agent's work, not a wait for something.
        time.sleep(float(pace_s) / len(batches))
    print("made", flush=True)
    if how in SIGNALS:
        os.kill(os.getpid(), SIGNALS[how])


if __name__ == "__main__":
    main()
