"""The control API under many requests made from its own description: no 5xx, no leak between projects.

python -m tests.benchmarks fuzz_api [EXAMPLES [SEED]]
"""

from __future__ import annotations

import argparse
import secrets
import tempfile
import time
from pathlib import Path

from collector_process import Collector

import api_fuzz


def main(words: list[str]) -> None:
    """Print how many requests were answered with what; ends with an error at the first that is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks fuzz_api")
    parser.add_argument("examples", nargs="?", type=int, default=300, help="of each operation")
    parser.add_argument("seed", nargs="?", type=int, default=secrets.randbits(32))
    given = parser.parse_args(words)
    examples, number = given.examples, given.seed
    print(f"examples: {examples}, seed: {number}")
    with tempfile.TemporaryDirectory(prefix="tachograph-fuzz-") as folder:
        collector = Collector(Path(folder) / "home", TACHO_API_KEY=api_fuzz.OWNER).start()
        try:
            projects = api_fuzz.two_projects(collector)
            before = api_fuzz.sights(projects)
            for who, key in (("another project", projects.theirs), ("owner", api_fuzz.OWNER)):
                started_s = time.perf_counter()
                seen = api_fuzz.fuzz(projects, key, examples=examples, number=number)
                took_s = time.perf_counter() - started_s
                print(
                    f"{who}: {seen.total():,} requests in {took_s:.0f} s, {dict(sorted(seen.items()))}"
                )
            print(f"told apart from what nobody has: {api_fuzz.twins(projects) or 'nothing'}")
            marked = [path for path, text in before.items() if api_fuzz.MARK in text]
            print(f"lists of another project with something of the first: {marked or 'none'}")
        finally:
            collector.stop()
