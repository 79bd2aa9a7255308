"""Shared budgets under kills: agents and collectors die at any moment, and the sum stays within the limit.

python -m tests.benchmarks budgets [ROUNDS] [sqlite|postgresql]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from collector_process import Collector

from pipeline import until
from postgres_server import postgres
from tachograph_schemas.control import BUDGETS
from tachograph_schemas.control_client import ControlClient

ROUNDS = 10
AGENTS = 6
COLLECTORS = 2
LIMIT_CALLS = 600
CALL_USD = 0.01
KILLS = 8
AGENT = """
import os, sys, threading
import tachograph as tacho
from tachograph._spending import add_usage

tacho.init(service="spender", heartbeat_s=0)
made = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
pace = threading.Event()

@tacho.model
def ask():
    os.write(made, b".")
    pace.wait(0.003)
    add_usage(input_tokens=10, output_tokens=10, usd=0.01)

@tacho.run(agent="spender")
def spend():
    while True:
        try:
            ask()
        except tacho.BudgetExceeded as error:
            if not error.why:
                raise
            pace.wait(0.05)

try:
    spend()
except tacho.BudgetExceeded:
    pass
"""


def main(words: list[str]) -> None:
    """Print what was spent of the limit in each round, and what was lost with those who died."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks budgets")
    parser.add_argument("rounds", nargs="?", type=int, default=ROUNDS)
    parser.add_argument("kind", nargs="?", choices=("sqlite", "postgresql"), default="sqlite")
    given = parser.parse_args(words)
    rounds, kind = given.rounds, given.kind
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {kind}")
    spent = []
    for number in range(rounds):
        spent.append(one_round(kind, number))
        print(f"round {number + 1}: {spent[-1]} of {LIMIT_CALLS} calls", flush=True)
    over = [calls for calls in spent if calls > LIMIT_CALLS]
    print(f"{KILLS} kills a round, of agents and collectors")
    print(f"rounds over the limit: {len(over)} of {rounds}; least {min(spent)}, most {max(spent)}")
    print(f"load afterwards: {os.getloadavg()[0]:.1f}")
    assert not over


def one_round(kind: str, seed: int) -> int:
    """How many calls were made in all."""
    chance = random.Random(seed)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tachograph-kills-")))
        shared = stack.enter_context(postgres()) if kind == "postgresql" else ""
        database = {"TACHO_CONTROL_DB": shared} if shared else {}
        # Only a database server has several collectors.
        number = COLLECTORS if shared else 1
        collectors = [
            Collector(folder / f"home{each}", TACHO_HTTP_PORT=free_port(), **database).start()
            for each in range(number)
        ]
        for each in collectors:
            stack.callback(each.stop)
        rule = {"name": "day", "limit": LIMIT_CALLS * CALL_USD, "unit": "usd", "window": "day"}
        assert ControlClient(collectors[0].url).call("POST", BUDGETS, {"budgets": [rule]})
        agents = [
            begin(collectors[each % number], folder / f"calls{each}") for each in range(AGENTS)
        ]
        stack.callback(lambda: [agent.kill() for agent in agents])
        attack(chance, collectors, agents, folder)
        for agent in agents:
            agent.wait(120)
        return made(folder)


def attack(
    chance: random.Random,
    collectors: list[Collector],
    agents: list[subprocess.Popen[bytes]],
    folder: Path,
) -> None:
    """Kill somebody at every so many calls; who was killed is started again."""
    for number in range(KILLS):
        until(is_so_far((number + 1) * LIMIT_CALLS // (KILLS + 2), agents, folder), 120)
        # Anywhere between two calls, a lease asked for and its answer.
        time.sleep(chance.random() * 0.02)
        if chance.random() < 0.5:
            collector = chance.choice(collectors)
            collector.signal(signal.SIGKILL)
            collector.start()
        else:
            place = chance.randrange(AGENTS)
            agents[place].kill()
            agents[place].wait()
            agents[place] = begin(collectors[place % len(collectors)], folder / f"calls{place}")


def is_so_far(mark: int, agents: list[subprocess.Popen[bytes]], folder: Path) -> Callable[[], bool]:
    """Whether so many calls were made, or none is made any more."""
    return lambda: made(folder) >= mark or all(agent.poll() is not None for agent in agents)


def begin(collector: Collector, place: Path) -> subprocess.Popen[bytes]:
    environment = collector.environment | {"TACHO_ENDPOINT": collector.url}
    return subprocess.Popen([sys.executable, "-c", AGENT, str(place)], env=environment)


def made(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("calls*"))


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])
