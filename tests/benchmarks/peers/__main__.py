"""Servers side by side: what they take, keep and cost. Everything is loopback and stops by itself."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from . import engine, measures, report
from .api import ApiError
from .servers import SERVERS
from .venvs import Environment, NotInstalledError, default_directory, ensure


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks peers", description=__doc__)
    parser.add_argument("--servers", default=",".join(SERVERS), help="names with commas between")
    parser.add_argument("--clients", default="1,4", help="numbers of clients to try (1,4)")
    parser.add_argument("--seconds", type=float, default=15, help="length of a load (15)")
    parser.add_argument("--settle", type=float, default=120, help="seconds to wait for spans (120)")
    parser.add_argument("--rounds", type=int, default=2, help="turns of everything (2)")
    parser.add_argument(
        "--measures", default="load,engine,kill", help="what to do (load,engine,kill)"
    )
    parser.add_argument("--venvs", type=Path, default=default_directory())
    parser.add_argument("--out", type=Path, help="file for every single result, as JSON")
    chosen = parser.parse_args(words)
    if unknown := set(chosen.servers.split(",")) - set(SERVERS):
        parser.error(
            f"no such server: {', '.join(sorted(unknown))}; there are {', '.join(SERVERS)}"
        )
    return chosen


class Session:
    """All results of one command, kept as they come so that an interruption loses none."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self._chosen = chosen
        self._measures = chosen.measures.split(",")
        self._clients = [int(number) for number in chosen.clients.split(",")]
        self.environments: dict[str, Environment | None] = {}
        self.failures: list[str] = []
        self.loads: list[measures.Load] = []
        self.kills: list[measures.Kill] = []
        self.alone: list[engine.Alone] = []
        for name in chosen.servers.split(","):
            peer = SERVERS[name].peer
            try:
                self.environments[name] = ensure(chosen.venvs, peer) if peer else None
            except NotInstalledError as error:
                self.failures.append(f"{SERVERS[name].title} could not be installed: {error}")

    def run(self) -> None:
        """Servers in turn within a round, in another order each round."""
        for turn in range(self._chosen.rounds):
            order = list(self.environments)
            random.Random(turn).shuffle(order)
            if "load" in self._measures:
                for clients in self._clients:
                    for name in order:
                        self._try(name, turn, clients)
            if "engine" in self._measures:
                self.alone.append(engine.measure(self._chosen.seconds, turn))
                self._keep(self.alone[-1])
            if "kill" in self._measures:
                for name in order:
                    self._try(name, turn, None)

    def _try(self, name: str, turn: int, clients: int | None) -> None:
        server, environment = SERVERS[name], self.environments[name]
        try:
            if clients is None:
                self.kills.append(measures.kill(server, environment, max(self._clients), turn))
                self._keep(self.kills[-1])
            else:
                plan = measures.Plan(self._chosen.seconds, self._chosen.settle)
                self.loads.append(measures.load(server, environment, clients, plan, turn))
                self._keep(self.loads[-1])
        except ApiError as error:
            what = "the kill" if clients is None else f"{clients} clients"
            self.failures.append(f"{server.title}, {what}, turn {turn}: {error}")
            print(self.failures[-1], file=sys.stderr, flush=True)

    def _keep(self, record: measures.Load | measures.Kill | engine.Alone) -> None:
        print(json.dumps(asdict(record)), file=sys.stderr, flush=True)
        if self._chosen.out is not None:
            records = {
                "load": [asdict(one) for one in self.loads],
                "kill": [asdict(one) for one in self.kills],
                "engine": [asdict(one) for one in self.alone],
                "failures": self.failures,
                "versions": self.versions(),
            }
            self._chosen.out.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")

    def say(self) -> None:
        """Print what has been measured so far as Markdown."""
        versions = [f"{SERVERS[name].title} {found}" for name, found in self.versions().items()]
        seconds, now = self._chosen.seconds, os.getloadavg()[0]
        print(f"{', '.join(versions) or 'no peers'}; {os.cpu_count()} cores; ", end="")
        print(f"{self._chosen.rounds} turns of {seconds:.0f} s; load now {now:.1f}\n")
        print(report.tables(self.loads, self.alone, self.kills, self.failures))

    def versions(self) -> dict[str, str]:
        return {name: found.version for name, found in self.environments.items() if found}


def main(words: list[str]) -> None:
    """Measure and print tables; exits with 2 for arguments that cannot be used."""
    chosen = _arguments(words)
    # Asked to end, it must still stop what it started: the servers lead sessions of their own.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit("peers: asked to end"))
    session = Session(chosen)
    try:
        session.run()
    finally:
        # Also when it was asked to end: what has been measured took long enough.
        session.say()


if __name__ == "__main__":
    main(sys.argv[1:])
