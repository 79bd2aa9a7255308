"""Drift: false alarms and delays on simulated agents, beside PSI, KS, ADWIN and Page-Hinkley; the deploy guard; the speed.

python -m tests.benchmarks drift [--streams 100] [--changed 40] [--scan RUNS] [--beside RUNS]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from benchmarks.drift_peers import PEERS, logged
from drift_simulator import LEARNT, MONITORED, TOOLS, Change, runs
from tachograph_schemas.drift.agent import AgentWatch
from tachograph_schemas.drift.guard import guard
from tachograph_schemas.drift.metrics import METRICS

FOUND_WITHIN = 1_000
SCENARIOS = {
    "cost x1.25": (Change(cost=1.25), "cost_usd", 0),
    "cost x1.5": (Change(cost=1.5), "cost_usd", 150),
    "cost x2": (Change(cost=2), "cost_usd", 70),
    "10 points of tool mix": (Change(tool_share=0.1), "tools", 130),
    "+8 points of failures": (Change(failures=0.08), "failed", 260),
    "cost slowly to x1.5": (Change(cost=1.5, slow_runs=1_000), "cost_usd", 0),
}
OURS = "e-detector, 16 metrics"


def main(words: list[str]) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks drift")
    parser.add_argument("--streams", type=int, default=100, help="unchanged streams")
    parser.add_argument("--changed", type=int, default=40, help="streams of each change")
    parser.add_argument("--scan", type=int, default=0, help="only: scan so many stored runs")
    parser.add_argument(
        "--beside", type=int, default=0, help="only: acknowledgements beside a scan of so many runs"
    )
    given = parser.parse_args(words)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if given.scan or given.beside:
        from benchmarks import drift_scan

        if given.scan:
            drift_scan.scan(given.scan)
        if given.beside:
            drift_scan.beside(given.beside)
        return
    speed()
    with ProcessPoolExecutor(2) as pool:
        unchanged(pool, given.streams)
        for name, (change, key, most) in SCENARIOS.items():
            changed(pool, name, change, key, most, given.changed)
        guarded(pool, given.streams, given.changed)
    print(f"load afterwards: {os.getloadavg()[0]:.1f}")


def speed() -> None:
    """Microseconds for one value of one run: a number, a rate's 0 or 1, a share."""
    points = list(runs(1))
    for how, together in (("one by one", 1), ("read together", MONITORED)):
        watch = AgentWatch()
        list(watch.feed_all(points[:LEARNT]))
        watched = [metric for metric in METRICS if watch.baseline.has(metric)]
        widths = {metric.key: len(watch.held(metric)) for metric in watched}
        values = sum(widths.get(key, 0) for point in points[LEARNT:] for key in point.values)
        started_s = time.process_time()
        for at in range(LEARNT, len(points), together):
            list(watch.feed_all(points[at : at + together]))
        took_us = (time.process_time() - started_s) * 1e6
        print(
            f"{took_us / values:.2f} us a value, {took_us / MONITORED:.0f} us a run, runs {how} (promised: 5 a value)"
        )


def alarms(seed: int, change: Change, count: int) -> tuple[list[tuple[int, str]], list, int]:
    """Our alarms by run and metric, the runs, and how many of them were watched with a full baseline."""
    watch, found, full = AgentWatch(), [], 0
    points = list(runs(seed, change, count))
    for number, point in enumerate(points):
        signals = watch.feed(point)
        full += watch.baseline is not None and watch.baseline.is_full
        found += [(number, signal.metric.key) for signal in signals]
    return found, points, full


def series(points, key):
    """A metric of runs as numbers, shares as rows."""
    if key == "tools":
        rows = [point.values.get("tools", {}) for point in points]
        return np.array([[row.get(name, 0.0) for name in TOOLS] for row in rows])
    return np.array([point.values[key] for point in points])


def peers(points, key) -> dict[str, list[int]]:
    """The alarms of the others on one metric."""
    values = series(points, key)
    if key == "cost_usd":
        values = logged(values)
        values = (values - values[:LEARNT].mean()) / values[:LEARNT].std()
    return {name: test(values[:LEARNT], values[LEARNT:]) for name, test in PEERS.items()}


def one_unchanged(seed: int):
    found, points, full = alarms(seed, Change(), LEARNT + MONITORED)
    return found, full, {key: peers(points, key) for key in ("cost_usd", "failed", "tools")}


def unchanged(pool, streams: int) -> None:
    """False alarms."""
    results = list(pool.map(one_unchanged, range(streams)))
    watched = sum(full for _, full, _ in results)
    wrong = Counter(key for found, _, _ in results for _, key in found)
    struck = sum(bool(found) for found, _, _ in results) / streams
    print(f"\nNo change: {streams} agents, {watched:,} runs watched")
    print(
        f"{OURS}: {1000 * wrong.total() / watched:.3f} false alarms per 1,000 runs, all together (asked: 0.2);"
    )
    print(
        f"  {struck:.0%} of agents have one or more in {MONITORED:,} runs; by metric {dict(wrong)}"
    )
    for name in PEERS:
        rates = {}
        for key in ("cost_usd", "failed", "tools"):
            total = sum(len(others[key][name]) for _, _, others in results)
            rates[key] = 1000 * total / (streams * MONITORED)
        shown = ", ".join(f"{key} {rate:.3f}" for key, rate in rates.items())
        print(f"{name}: {shown} per 1,000 runs, each metric alone")


def one_changed(job):
    seed, change, key = job
    found, points, _ = alarms(seed, change, LEARNT + FOUND_WITHIN)
    after = [number + 1 - LEARNT for number, name in found if name == key and number >= LEARNT]
    return {OURS: after[:1]} | {name: each[:1] for name, each in peers(points, key).items()}


def changed(pool, name: str, change: Change, key: str, most: int, streams: int) -> None:
    """Delays."""
    jobs = [(10_000 + seed, change, key) for seed in range(streams)]
    results = list(pool.map(one_changed, jobs))
    asked = f" (asked: {most})" if most else ""
    print(f"\n{name}: median delay in runs{asked}, share found within {FOUND_WITHIN:,}")
    for method in results[0]:
        delays = [each[method][0] if each[method] else FOUND_WITHIN * 10 for each in results]
        middle = statistics.median(delays)
        found = sum(delay <= FOUND_WITHIN for delay in delays) / streams
        print(f"  {method}: {f'{middle:.0f}' if middle <= FOUND_WITHIN else 'miss'} / {found:.0%}")


def one_guarded(job):
    seed, change, count = job
    points = list(runs(seed, change, LEARNT + count))
    found = guard(points[:LEARNT], points[LEARNT:])
    return {finding.metric: finding.at_run for finding in found.findings if finding.changed}


def guarded(pool, streams: int, changed_streams: int) -> None:
    """The deploy guard: looked at after each of 1,000 runs."""
    results = list(pool.map(one_guarded, [(seed, Change(), 1_000) for seed in range(streams)]))
    wrong = sum(bool(found) for found in results) / streams
    print(
        f"\nDeploy guard, no change: {wrong:.1%} of {streams} versions called changed (asked: 2 %)"
    )
    for name in ("cost x1.25", "cost x1.5", "cost x2", "+8 points of failures"):
        change, key, _ = SCENARIOS[name]
        jobs = [(20_000 + seed, change, 1_000) for seed in range(changed_streams)]
        found = [each.get(key, 10_000) for each in pool.map(one_guarded, jobs)]
        share = sum(at < 10_000 for at in found) / len(found)
        print(
            f"  {name}: median {statistics.median(found):.0f} runs, {share:.0%} found within 1,000"
        )
