"""Processes that look at rules and send what they find, as collectors do, over one control database; to be killed.

What they look at are requests for approval, which are rows of that database: whoever drives the test knows exactly
which changes there were.
"""

from __future__ import annotations

import random
import secrets
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from pipeline import until
from receivers import Hook
from tachograph_collector.alerts.rules import Rule
from tachograph_collector.alerts.service import Alerts
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database, now_ns
from tachograph_collector.control.tables import APPROVALS
from tachograph_collector.control.tables_alerts import EVENTS

INTERVAL_S, TERM_S, LEASE_S = 0.05, 1.0, 3.0
PROJECT = "default"


def service(database: Database, home: Path) -> Alerts:
    from tachograph_collector.alerts.network import networks

    return Alerts(
        database,
        Audit(database, home / "audit.head"),
        dsn="chdb:///nowhere",
        interval_s=INTERVAL_S,
        allowed=networks("127.0.0.0/8"),
        term_s=TERM_S,
        lease_s=LEASE_S,
    )


class Worker:
    """One of the processes."""

    def __init__(self, url: str, home: Path) -> None:
        self._words = [sys.executable, __file__, url, str(home)]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._words, stdout=subprocess.PIPE, text=True)

    def ready(self) -> None:
        assert self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process.stdout.close()


class Stage:
    """A rule over the approvals of some agents, told to a webhook."""

    def __init__(self, url: str, home: Path, hook: Hook, agents: int) -> None:
        self.database = Database(url)
        self.hook = hook
        self.agents = [f"agent {number}" for number in range(agents)]
        self.changes = self.kills = 0
        alerts = service(self.database, home)
        alerts.targets.put(PROJECT, "hook", hook.url, "test")
        rule = Rule(
            name="inbox", metric="approvals_waiting", group_by="agent", critical=1, targets=["hook"]
        )
        alerts.book.put(PROJECT, rule, "test")
        self._outbox = alerts.outbox

    def toggle(self, waiting: bool) -> None:
        """All agents wait for a person from now on, or none does; returns when it was noticed."""
        with self.database.write() as connection:
            connection.execute(APPROVALS.delete())
            if waiting:
                connection.execute(APPROVALS.insert(), [request_of(agent) for agent in self.agents])
        self.changes += len(self.agents)
        until(lambda: len(self.events()) >= self.changes, 120)

    def close(self) -> None:
        self.database.close()

    def events(self) -> list:
        with self.database.read() as connection:
            return connection.execute(EVENTS.select().order_by(EVENTS.c.at_ns)).all()

    def settled(self) -> None:
        """Wait until nothing is left to send."""
        until(lambda: self._outbox.waiting() == 0, 120)

    def repeats(self) -> int:
        """How many messages reached the receiver again, under the id that they had before."""
        return len(self.hook.taken) - len(set(self.hook.ids()))

    def check(self) -> None:
        """Every change is in the history once, was told, and nothing else was; each agent's in order."""
        events = self.events()
        assert len(events) == self.changes
        assert {event.id for event in events} == set(self.hook.ids())
        for agent in self.agents:
            of_agent = [event.kind for event in events if event.group_key == agent]
            assert of_agent == ["fires", "recovers"] * (len(of_agent) // 2)
            told = [each["seq"] for each in self.hook.taken if each["group"] == agent]
            first = list(dict.fromkeys(told))
            assert first == sorted(first)
        assert set(Counter(event.group_key for event in events).values()) == {
            self.changes // len(self.agents)
        }


def run(url: str, home: Path, hook: Hook, *, agents: int, rounds: int, kills: int) -> Stage:
    """Let all agents wait and not wait in turns, over two workers, one of which is killed again and again meanwhile."""
    stage = Stage(url, home, hook, agents)
    workers = [Worker(url, home), Worker(url, home)]
    over = threading.Event()

    def murder() -> None:
        chance = random.Random(7)
        for worker in workers:
            worker.ready()
        while stage.kills < kills and not over.wait(chance.uniform(0, 0.5)):
            victim = chance.choice(workers)
            victim.kill()
            stage.kills += 1
            victim.start()
            victim.ready()

    killer = threading.Thread(target=murder)
    killer.start()
    try:
        for number in range(rounds):
            stage.toggle(number % 2 == 0)
            # On a busy machine workers start slowly, and the changes must not be over before the kills.
            until(lambda number=number: stage.kills >= kills * (number + 1) // rounds, 120)
        stage.settled()
    finally:
        over.set()
        killer.join()
        for worker in workers:
            worker.kill()
    return stage


def request_of(agent: str) -> dict:
    at = now_ns()
    return {
        "id": secrets.token_hex(8), "project": PROJECT, "idempotency_key": secrets.token_hex(32), "run_id": "",
        "span_id": "", "agent": agent, "action": "refund", "params": None, "params_hash": "", "context": None,
        "reason": "", "risk": "", "requester": "", "requester_key": "", "approvers_needed": 1, "created_ns": at,
        "expires_ns": at + 10**15, "status": "pending", "escalated": 0,
    }  # fmt: skip


def main() -> None:
    alerts = service(Database(sys.argv[1]), Path(sys.argv[2]))
    alerts.start()
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
