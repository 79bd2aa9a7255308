"""The inbox with 10,000 requests waiting: one page of it, and one more request, over HTTP.

python -m tests.benchmarks.approvals
"""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from pathlib import Path

from collector_process import Collector

from tachograph_schemas.control import APPROVALS
from tachograph_schemas.control_client import ControlClient

WAITING = 10_000
TIMES = 50


def main(_words: list[str]) -> None:
    """Print the medians and the slowest, ms."""
    with tempfile.TemporaryDirectory(prefix="tachograph-approvals-") as folder:
        collector = Collector(Path(folder) / "home").start()
        try:
            client = ControlClient(collector.url)
            asked_ms = [
                timed(lambda number=number: ask(client, number)) for number in range(WAITING)
            ]
            query = {"limit": 50, "offset": WAITING // 2}
            print(f"waiting: {client.call('GET', APPROVALS).data['total']:,}")
            say("ask", asked_ms[-1_000:])
            say("first page", [timed(lambda: client.call("GET", APPROVALS)) for _ in range(TIMES)])
            say(
                "a page in the middle",
                [timed(lambda: client.call("GET", APPROVALS, query=query)) for _ in range(TIMES)],
            )
        finally:
            collector.stop()


def ask(client: ControlClient, number: int) -> None:
    key = hashlib.sha256(str(number).encode()).hexdigest()
    body = {"idempotency_key": key, "action": f"refund {number}", "params": '{"usd": 10}'}
    assert client.call("POST", APPROVALS, body)


def timed(action) -> float:
    started_s = time.perf_counter()
    action()
    return (time.perf_counter() - started_s) * 1e3


def say(what: str, took_ms: list[float]) -> None:
    print(f"{what}: median {statistics.median(took_ms):.1f} ms, slowest {max(took_ms):.1f} ms")
