"""The long form of the replay tests: many schedules of each concurrent agent, and resumption at many kill points.

python -m tests.benchmarks schedules --schedules 500 --kills 1000
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk" / "replay"))

import test_frameworks
from taped import call, taping
from test_continue import DONE, cut, shop
from test_order import LOOPS, SCENARIOS

from tachograph.replay._continue import Plan
from tachograph.replay._recording import load
from tachograph.replay._run import go_on, replay


def main(words: list[str]) -> None:
    """Print a row for each agent, and one for resumption."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks schedules")
    parser.add_argument("--schedules", type=int, default=500)
    parser.add_argument("--kills", type=int, default=1_000)
    given = parser.parse_args(words)
    print("| agent | schedules | identical | leaks | s |\n| --- | --- | --- | --- | --- |")
    agents = [*SCENARIOS, *test_frameworks.FRAMEWORKS]
    with test_frameworks.serving():
        total = [row(agent, given.schedules) for agent in agents]
    print(f"| all | {len(agents) * given.schedules} | {sum(total)} | | |")
    resumed(given.kills)


def row(agent, schedules: int) -> int:
    """Record and replay one agent; returns how often it was identical."""
    same = leaks = 0
    started_s = time.perf_counter()
    for number in range(schedules):
        with tempfile.TemporaryDirectory() as folder, taping(Path(folder)) as tapes:
            loop = LOOPS["uvloop" if number % 2 else "asyncio"]
            outcome, value = call(agent, new_loop=loop)
            assert outcome == "ok", value
            recording = tapes.newest()
            result = replay(recording, agent)
            same += result.identical
            leaks += bool(recording.leaks)
            if not result.identical:
                print(f"  {agent.__name__}: {result.divergence.text()}", file=sys.stderr)
    spent_s = time.perf_counter() - started_s
    print(f"| {agent.__name__} | {schedules} | {same} | {leaks} | {spent_s:.0f} |", flush=True)
    return same


def resumed(kills: int) -> None:
    """Cut recordings at random records; what had come out must not happen again, the end must replay."""
    chance = random.Random(4)
    agents = [shop, *SCENARIOS]
    exact = again = 0
    for number in range(kills):
        agent = agents[number % len(agents)]
        with tempfile.TemporaryDirectory() as folder, taping(Path(folder)) as tapes:
            outcome, value = call(agent)
            assert outcome == "ok", value
            recording = load(tapes.paths[-1]) if tapes.session.drain.wait(60) else None
            killed = cut(recording, chance.randrange(1, len(recording.records)))
            DONE.clear()
            outcome, value = go_on(Plan(killed, allow_writes=True), agent)
            child = tapes.newest()
            exact += outcome == "ok" and replay(child, agent).identical
            if agent is shop:
                came = sum(
                    bool(c.outcomes) or any(d.index == c.index for d in killed.deliveries)
                    for c in killed.calls
                )
                again += len(DONE) - (5 - came)
    print(
        f"\n{kills} kill points: {exact} resumed and replayed; {again} completed effects happened again"
    )
