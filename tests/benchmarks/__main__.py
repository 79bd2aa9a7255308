"""`make bench`: every benchmark, as ratios within one run, with the machine's load beside them."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "e2e")]

from benchmarks import ingest, sdk_overhead  # noqa: E402

BENCHMARKS = {"sdk": sdk_overhead.run, "ingest": ingest.run}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *BENCHMARKS], help="default: all")
    chosen = parser.parse_args().names or list(BENCHMARKS)
    for name in chosen:
        print(f"\n## {name}  (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)\n")
        BENCHMARKS[name]()
        print(f"\nload afterwards: {os.getloadavg()[0]:.1f}")
    print("\nThe tree of 20,000 spans in a browser: python tests/benchmarks/dashboard_tree.py")


if __name__ == "__main__":
    main()
