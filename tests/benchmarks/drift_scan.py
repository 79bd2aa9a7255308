"""Reading stored history into the detectors: runs a second, and the memory it takes."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from clickhouse_connect.driver.client import Client
from collector_process import Collector

from otlp import plain_body
from pipeline import until
from tachograph_collector.control.database import Database
from tachograph_collector.drift.feeder import Feeder
from tachograph_collector.drift.keeping import DriftTables
from tachograph_schemas import store

AGENTS, SPANS, AT_ONCE = 20, 4, 100_000
BODIES = 1_000

RUNS = """
INSERT INTO run_rows (writer_id, batch, computed_at_ns, last_seen_at, project, run_id, agent, version, entrypoint,
    started_at, ended_at, duration_ns, outcome, output, model_calls, tool_calls, input_tokens, output_tokens, cost_usd)
SELECT 1, 1, {base_ns:UInt64} + number * 100000000, begun + toIntervalSecond(8), 'default', lower(hex(cityHash64(number, 1))),
    concat('agent-', toString(number % {agents:UInt32})), 'v1', 'shop:handle',
    fromUnixTimestamp64Nano(toInt64({base_ns:UInt64} + number * 100000000), 'UTC') AS begun, begun + toIntervalSecond(8),
    8000000000, if(cityHash64(number, 2) % 20 = 0, 'failure', 'success'), 'text', 2, 2,
    4000 + cityHash64(number, 3) % 1000, 500 + cityHash64(number, 4) % 300, exp(randNormal(0, 1)) / 50
FROM numbers({first:UInt64}, {count:UInt64})
"""
SPAN_ROWS = """
INSERT INTO span_rows (writer_id, batch, received_at, version, project, run_id, trace_id, span_id, start_time, layer, status, verdict, tool)
SELECT 1, 1, fromUnixTimestamp64Nano(toInt64({base_ns:UInt64} + number * 100000000), 'UTC') AS begun, 1, 'default',
    lower(hex(cityHash64(number, 1))), 'trace', toString(at), begun, ['tool', 'tool', 'validation', 'gate'][at + 1] AS layer, 'ok',
    ['', '', 'pass', 'allow'][at + 1], if(layer = 'tool', ['search', 'read', 'write'][cityHash64(number, at) % 3 + 1], '')
FROM numbers({first:UInt64}, {count:UInt64}) ARRAY JOIN range({spans:UInt32}) AS at
"""


def scan(runs: int) -> None:
    """Store so many runs of twenty agents, and read them as the service does after its first start."""
    with tempfile.TemporaryDirectory(prefix="tachograph-drift-") as folder:
        os.chdir(folder)
        dsn = f"chdb://{folder}/data"
        client = store.connect(dsn)
        make(client, runs)
        database = Database(f"sqlite:///{folder}/control.db")
        service = Feeder(DriftTables(database), 2_000)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        started_s, started_cpu_s, done = time.perf_counter(), time.process_time(), 0
        while read := service.step(client, time.time_ns()):
            done += read
            if done % AT_ONCE == 0:
                say(done, time.perf_counter() - started_s, time.process_time() - started_cpu_s)
        alarms = service.tables.alarms("default", limit=1_000)
        say(done, time.perf_counter() - started_s, time.process_time() - started_cpu_s)
        print(f"{len(alarms)} alarms on {AGENTS} agents without a change")
        database.close()
        client.close()


def make(client: Client, runs: int) -> None:
    """Store the runs."""
    store.migrate(client)
    # Ten runs a second until an hour ago: old rows would be dropped as too old.
    base_ns = time.time_ns() - runs * 10**8 - 3_600 * 10**9
    for first in range(0, runs, AT_ONCE):
        values = {"base_ns": base_ns, "first": first, "count": min(AT_ONCE, runs - first)}
        client.command(RUNS, parameters=values | {"agents": AGENTS})
        client.command(SPAN_ROWS, parameters=values | {"spans": SPANS})


def beside(runs: int) -> None:
    """How long the intake takes to acknowledge a body while the collector scans so many runs, and while it does not."""
    with tempfile.TemporaryDirectory(prefix="tachograph-drift-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        os.chdir(folder)
        code = f"import sys; sys.path[:0] = {sys.path!r}\nfrom benchmarks.drift_scan import fill\nfill({str(home)!r}, {runs})"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=folder)
        for name, settle_s in (("without", 86_400), ("beside the scan", 1), ("without", 86_400)):
            collector = Collector(home, TACHO_DRIFT_SETTLE_S=str(settle_s)).start()
            try:
                if settle_s == 1:
                    until(lambda: read_until(home), 120)
                took_ms = sorted(acknowledged(collector.url, BODIES))
                reached = read_until(home)
            finally:
                collector.stop()
            print(
                f"{name}: p50 {took_ms[len(took_ms) // 2]:.1f} ms, p99 {took_ms[len(took_ms) * 99 // 100]:.1f} ms, "
                f"load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
            if settle_s == 1:
                print(f"the scan was under way: {reached}, of {runs:,} runs", flush=True)


def read_until(home: Path) -> str:
    """How many runs the service has kept as read; empty before the first page."""
    known = sqlite3.connect(home / "control.db")
    try:
        rows = known.execute("SELECT standing FROM drift_watches").fetchall()
    finally:
        known.close()
    done = sum(json.loads(row[0])["runs"] for row in rows)
    return f"{done:,} runs read" if done else ""


def fill(home: str, runs: int) -> None:
    """The data of a collector that was there before; in a process of its own, as the engine opens one path a process."""
    client = store.connect(f"chdb://{home}/data")
    make(client, runs)
    client.close()


def acknowledged(url: str, bodies: int) -> list[float]:
    """Milliseconds until each of so many bodies of fifty spans was acknowledged, one after the other."""
    took_ms = []
    for number in range(bodies):
        body = plain_body(10**9 + number, 50)
        request = urllib.request.Request(
            f"{url}/v1/traces", body, {"content-type": "application/x-protobuf"}
        )
        started_s = time.perf_counter()
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
        took_ms.append((time.perf_counter() - started_s) * 1e3)
    return took_ms


def say(done: int, took_s: float, cpu_s: float) -> None:
    """One line."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak_mib = int(status.split("VmHWM:")[1].split()[0]) / 1024
    print(
        f"{done:,} runs in {took_s:.0f} s ({done / took_s:,.0f} a second), {1e6 * cpu_s / done:.0f} us of CPU a run, "
        f"peak memory {peak_mib:.0f} MiB, load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
