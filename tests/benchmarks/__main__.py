"""`make bench`: every benchmark, as ratios within one run, with the machine's load beside them."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "e2e")]

from benchmarks import disk, ingest, replay, sdk_overhead  # noqa: E402

# Not among "all": they install other products, and take an idle machine for half an hour.
BESIDE_PEERS = {
    "peers": "benchmarks.peers.__main__",
    "peers-sdk": "benchmarks.peers.sdk",
    "peers-faults": "benchmarks.peers.sdk_faults",
}
# Neither: they make ten million spans, ten thousand requests, or ten thousand runs first; a fuzz measures nothing.
LARGE = {
    "find": "benchmarks.find",
    "approvals": "benchmarks.approvals",
    "schedules": "benchmarks.schedules",
    "edits": "benchmarks.edits",
    "drift": "benchmarks.drift",
    "fuzz_api": "benchmarks.fuzz_api",
    "alerts": "benchmarks.alerts",
    "prices": "benchmarks.prices",
    "versions": "benchmarks.versions",
    "crewai": "benchmarks.crewai_agent",
    "budgets": "benchmarks.budgets",
    "waiting": "benchmarks.waiting",
}
# Needs published runs that lie beside the checkout.
ON_REAL_RUNS = {"within_run": "benchmarks.within_run"}
BENCHMARKS = {"sdk": sdk_overhead.run, "ingest": ingest.run, "replay": replay.run, "disk": disk.run}


def main() -> None:
    alone = BESIDE_PEERS | LARGE | ON_REAL_RUNS
    if sys.argv[1:] and sys.argv[1] in alone:
        importlib.import_module(alone[sys.argv[1]]).main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *BENCHMARKS], help="default: all")
    chosen = parser.parse_args().names or list(BENCHMARKS)
    for name in chosen:
        print(f"\n## {name}  (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)\n")
        BENCHMARKS[name]()
        print(f"\nload afterwards: {os.getloadavg()[0]:.1f}")
    print("\nThe tree of 20,000 spans in a browser: python tests/benchmarks/dashboard_tree.py")
    print("Finding in ten million spans: python -m tests.benchmarks find --data DIR")
    print("The inbox with 10,000 requests: python -m tests.benchmarks approvals")
    print("Drift: false alarms and delays: python -m tests.benchmarks drift")
    print("The control API under generated requests: python -m tests.benchmarks fuzz_api")
    print("Alerts, with collectors that are killed: python -m tests.benchmarks alerts")
    print("Prices beside the list's own, a million calls: python -m tests.benchmarks prices")
    print("Shared budgets, with everybody killed: python -m tests.benchmarks budgets")
    print("Runs that wait for a person, and what they cost: python -m tests.benchmarks waiting")
    print("Signs within published runs: python -m tests.benchmarks within_run")
    print("Many schedules of replay: python -m tests.benchmarks schedules")
    print("Answers that are kept after an edit: python -m tests.benchmarks edits")
    print("Replay across versions of Python: python -m tests.benchmarks versions --python PATH")
    print("An agent of CrewAI: python -m tests.benchmarks crewai --environments DIR")
    print("Beside other products: python -m tests.benchmarks peers, peers-sdk and peers-faults")


if __name__ == "__main__":
    main()
