"""Reading stored history into the detectors: runs a second, and the memory it takes."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from pathlib import Path

from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database
from tachograph_collector.drift.keeping import DriftTables
from tachograph_collector.drift.service import DriftService
from tachograph_schemas import store

AGENTS, SPANS, AT_ONCE = 20, 4, 100_000

RUNS = """
INSERT INTO run_rows (writer_id, batch, computed_at_ns, last_seen_at, project, run_id, agent, version, entrypoint,
    started_at, ended_at, duration_ns, outcome, output, model_calls, tool_calls, input_tokens, output_tokens, cost_usd)
SELECT 1, 1, toUInt64(1790553600e9) + number * 100000000, now64(9), 'default', lower(hex(cityHash64(number, 1))),
    concat('agent-', toString(number % {agents:UInt32})), 'v1', 'shop:handle',
    fromUnixTimestamp64Nano(toInt64(1790553600e9) + toInt64(number) * 100000000, 'UTC') AS begun, begun + toIntervalSecond(8),
    8000000000, if(cityHash64(number, 2) % 20 = 0, 'failure', 'success'), 'text', 2, 2,
    4000 + cityHash64(number, 3) % 1000, 500 + cityHash64(number, 4) % 300, exp(randNormal(0, 1)) / 50
FROM numbers({first:UInt64}, {count:UInt64})
"""
SPAN_ROWS = """
INSERT INTO span_rows (writer_id, batch, received_at, version, project, run_id, trace_id, span_id, start_time, layer, status, verdict, tool)
SELECT 1, 1, fromUnixTimestamp64Nano(toInt64(1790553600e9) + toInt64(number) * 100000000, 'UTC') AS begun, 1, 'default',
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
        store.migrate(client)
        for first in range(0, runs, AT_ONCE):
            values = {"first": first, "count": min(AT_ONCE, runs - first)}
            client.command(RUNS, parameters=values | {"agents": AGENTS})
            client.command(SPAN_ROWS, parameters=values | {"spans": SPANS})
        database = Database(f"sqlite:///{folder}/control.db")
        audit = Audit(database, Path(folder) / "audit.head")
        service = DriftService(dsn, DriftTables(database), audit, 2_000, 60)
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


def say(done: int, took_s: float, cpu_s: float) -> None:
    """One line."""
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{done:,} runs in {took_s:.0f} s ({done / took_s:,.0f} a second), {1e6 * cpu_s / done:.0f} us of CPU a run, "
        f"peak memory {peak_mib:.0f} MiB, load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
