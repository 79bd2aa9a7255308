"""The long form of the replay tests: many schedules and kill points of each concurrent agent, in one table.

python -m tests.benchmarks schedules --schedules 500 --kills 1000
"""

from __future__ import annotations

import argparse
import atexit
import json
import multiprocessing
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk" / "replay"))

import test_frameworks
import threaded
import threaded_loops
from taped import call, taping
from test_continue import DONE, cut, shop
from test_order import LOOPS, SCENARIOS

import tachograph as tacho
from tachograph.replay._codec import dumps
from tachograph.replay._continue import Plan
from tachograph.replay._divergence import same
from tachograph.replay._run import go_on, replay

PIECE = 25
"""Schedules or kill points that a process does at a time."""
FREE = [
    tacho.run(threads="free")(agent.__wrapped__)
    for agent in (threaded.threads_map, threaded.threads_as_completed, threaded.to_threads)
]
GROUPS = {
    "async": [shop, *SCENARIOS],
    "framework": test_frameworks.FRAMEWORKS,
    "threads, exact": [
        *threaded.EXACT,
        threaded_loops.futures_awaited,
        threaded_loops.loops_that_close,
    ],
    "threads, free": FREE,
}
RESUMED = ("async", "framework")
"""Groups whose recordings are cut as well."""
SWITCH_S = 5e-6
"""Threads are switched so often, that races show."""
HEAD = (
    "| agent | schedules | identical | silent | leaks | kill points | resumed | again | CPU s |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def main(words: list[str]) -> None:
    """Print a row for each agent, and their sums."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks schedules")
    parser.add_argument("--schedules", type=int, default=500, help="of each agent")
    parser.add_argument("--threads", type=int, default=200, help="schedules of each with threads")
    parser.add_argument("--kills", type=int, default=1_000, help="points, over all agents together")
    parser.add_argument("--group", action="append", choices=GROUPS, help="default: all of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    given = parser.parse_args(words)
    groups = given.group or list(GROUPS)
    cut_agents = sum(len(GROUPS[group]) for group in groups if group in RESUMED)
    kills = -(-given.kills // max(cut_agents, 1))
    # A fresh interpreter each: agents, loops and patches of one are none of the others' business.
    with ProcessPoolExecutor(given.jobs, multiprocessing.get_context("spawn"), _serve) as pool:
        waiting: dict[Future[Counter[str]], tuple[str, int]] = {}
        for group in groups:
            schedules = given.threads if group.startswith("threads") else given.schedules
            for at in range(len(GROUPS[group])):
                for first in range(0, schedules, PIECE):
                    count = min(PIECE, schedules - first)
                    waiting[pool.submit(recorded, group, at, count)] = group, at
                for first in range(0, kills if group in RESUMED else 0, PIECE):
                    count = min(PIECE, kills - first)
                    waiting[pool.submit(resumed, group, at, count, first)] = group, at
        _print(groups, waiting)


def _print(groups: list[str], waiting: dict[Future[Counter[str]], tuple[str, int]]) -> None:
    """A row as soon as all of an agent's pieces are done, and the sum of each group."""
    began_s = time.monotonic()
    left = Counter(waiting.values())
    found: dict[tuple[str, int], Counter[str]] = {agent: Counter() for agent in left}
    print(HEAD, flush=True)
    for future in as_completed(waiting):
        agent = waiting[future]
        found[agent].update(future.result())
        left[agent] -= 1
        if not left[agent]:
            _row(GROUPS[agent[0]][agent[1]].__name__, found[agent])
    for group in groups:
        total: Counter[str] = Counter()
        for agent, counts in found.items():
            total.update(counts if agent[0] == group else {})
        _row(f"**all, {group}**", total)
    spent_s = time.monotonic() - began_s
    print(f"\n{spent_s:.0f} s, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _row(name: str, counts: Counter[str]) -> None:
    cells = ("schedules", "identical", "silent", "leaks", "kills", "resumed", "again", "cpu_ms")
    values = [counts[cell] // 1_000 if cell == "cpu_ms" else counts[cell] for cell in cells]
    print(f"| {name} | {' | '.join(f'{value:,}' for value in values)} |", flush=True)


# --- in the processes ---------------------------------------------------------------------------------


def _serve() -> None:
    """Give this process a model's server of its own; it goes with the process."""
    serving = ExitStack()
    serving.enter_context(test_frameworks.serving())
    atexit.register(serving.close)


def recorded(group: str, at: int, count: int) -> Counter[str]:
    """Record and replay an agent so many times; how often the replay was identical, and how often it only said so."""
    agent, counts = GROUPS[group][at], Counter(schedules=count)
    with _measured(group, counts):
        for number in range(count):
            with tempfile.TemporaryDirectory() as folder, taping(Path(folder)) as tapes:
                value = _went_well(call(agent, new_loop=LOOPS[("asyncio", "uvloop")[number % 2]]))
                # What the agent gave, and not what its recording says of that.
                expected = json.loads(dumps(value)[0])
                recording = tapes.newest()
                result = replay(recording, agent)
                _left_behind()
                counts["leaks"] += bool(recording.leaks)
                if result.identical:
                    is_same = same(expected, result.output)
                    counts["identical" if is_same else "silent"] += 1
                elif group != "threads, free":
                    print(f"  {agent.__name__}: {result.divergence.text()}", file=sys.stderr)
    return counts


def resumed(group: str, at: int, count: int, seed: int) -> Counter[str]:
    """Cut recordings at random records; what had come out must not happen again, the end must replay."""
    agent, counts = GROUPS[group][at], Counter(kills=count)
    chance = random.Random(seed)
    with _measured(group, counts):
        for _ in range(count):
            with tempfile.TemporaryDirectory() as folder, taping(Path(folder)) as tapes:
                came_out, recording = tapes.record(agent)
                _went_well(came_out)
                length = chance.randrange(1, len(recording.records))
                killed = cut(recording, length)
                DONE.clear()
                outcome, value = go_on(Plan(killed, allow_writes=True), agent)
                result = replay(tapes.newest(), agent)
                counts["resumed"] += outcome == "ok" and result.identical
                if outcome != "ok" or not result.identical:
                    said = value if result.divergence is None else result.divergence.text()
                    where = f"cut after {length} of {len(recording.records)}"
                    print(f"  {agent.__name__}, {where}: {outcome} {said}", file=sys.stderr)
                if agent is shop:
                    came = sum(
                        bool(c.outcomes) or any(d.index == c.index for d in killed.deliveries)
                        for c in killed.calls
                    )
                    counts["again"] += len(DONE) - (5 - came)
    return counts


def _went_well(came_out: tuple[str, object]) -> object:
    outcome, value = came_out
    if outcome != "ok":
        # Not the exception itself: not each can be passed on to another process.
        raise RuntimeError(f"the agent failed: {value!r}")
    return value


@contextmanager
def _measured(group: str, counts: Counter[str]) -> Iterator[None]:
    before, began_s = sys.getswitchinterval(), time.process_time()
    sys.setswitchinterval(SWITCH_S if group.startswith("threads") else before)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
        counts["cpu_ms"] = round((time.process_time() - began_s) * 1_000)


def _left_behind() -> None:
    """Wait for threads that an agent leaves on purpose."""
    for thread in threading.enumerate():
        if thread.name == "left behind":
            thread.join()
