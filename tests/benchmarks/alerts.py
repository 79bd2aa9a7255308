"""Alerts: 200 changes of state over collectors that are killed, and the time from a span's acknowledgement to the notification.

python -m tests.benchmarks alerts [latency]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from collector_process import Collector

import alert_workers
from otlp import Trace
from postgres_server import postgres
from receivers import webhook
from tachograph_schemas.control import ALERTS
from tachograph_schemas.control_client import ControlClient

AGENTS, ROUNDS, KILLS = 10, 20, 20
TIMES = 20


def main(words: list[str]) -> None:
    """Print what was lost and doubled, and the latency; or that alone."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks alerts")
    parser.add_argument("only", nargs="?", choices=("latency",), help="leave the kills out")
    given = parser.parse_args(words)
    print(f"load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    kinds = () if given.only else (("SQLite", sqlite), ("PostgreSQL", postgresql))
    for name, database in kinds:
        with database() as url, tempfile.TemporaryDirectory() as folder:
            if url:
                killed(name, url, Path(folder))
    latency()
    print(f"load afterwards: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def killed(name: str, url: str, home: Path) -> None:
    with webhook() as hook:
        stage = alert_workers.run(url, home, hook, agents=AGENTS, rounds=ROUNDS, kills=KILLS)
        try:
            stage.check()
            print(
                f"{name}: {stage.changes} changes, {stage.kills} kills: 0 lost, 0 doubled; "
                f"{stage.repeats()} repeated under the same id"
            )
        finally:
            stage.close()


def latency() -> None:
    """From the answer to an OTLP request to the request at the webhook."""
    with tempfile.TemporaryDirectory() as folder, webhook() as hook:
        near = {"TACHO_ALERT_NETWORKS": "127.0.0.0/8"}
        collector = Collector(Path(folder) / "home", **near).start()
        try:
            client = ControlClient(collector.url)
            client.call("POST", f"{ALERTS}/targets", {"name": "hook", "url": hook.url})
            rule = {"name": "r", "metric": "failed_runs", "group_by": "agent", "critical": 1}
            body = {"rule": rule | {"window_s": 3_600, "targets": ["hook"]}}
            assert client.call("POST", f"{ALERTS}/rules", body)
            took_s = [told_after_s(collector, hook, number) for number in range(1, TIMES + 1)]
        finally:
            collector.stop()
    print(
        f"from the span's acknowledgement to the notification, {TIMES} times: "
        f"median {statistics.median(took_s):.1f} s, slowest {max(took_s):.1f} s"
    )


def told_after_s(collector: Collector, hook, number: int) -> float:
    agent = f"agent {number}"
    failed = {"tacho__layer": "run", "tacho__run__outcome": "failure", "gen_ai__agent__name": agent}
    trace = Trace(number)
    trace.start_ns = time.time_ns() - 10**9
    request = urllib.request.Request(
        f"{collector.url}/v1/traces",
        trace.span(1, "handle", **failed).body(),
        {"Content-Type": "application/x-protobuf"},
    )
    urllib.request.urlopen(request, timeout=30).close()
    acknowledged_s = time.monotonic()
    alert_workers.until(lambda: any(each["group"] == agent for each in hook.taken), 60)
    return time.monotonic() - acknowledged_s


@contextlib.contextmanager
def sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="tachograph-alerts-") as folder:
        yield f"sqlite:///{folder}/control.db"


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    import pytest

    try:
        with postgres() as url:
            yield url
    except pytest.skip.Exception:
        print("PostgreSQL: not installed here")
        yield ""
