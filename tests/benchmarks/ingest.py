"""What a span costs the collector, acknowledged and queryable, against the engine's insert alone."""

from __future__ import annotations

import http.client
import os
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from collector_process import Collector

from otlp import Trace
from tachograph_schemas import ingest, store
from tachograph_schemas.ingest_signals import TABLES
from tachograph_schemas.shapes import Shape

BODIES, SPANS, CLIENTS = 1000, 200, 4


def body(trace: int) -> bytes:
    """200 spans of about 1.1 KB."""
    made = Trace(trace).span(
        1, "invoke_agent bench", ms=500, gen_ai__operation__name="invoke_agent"
    )
    for number in range(2, SPANS + 1):
        made.span(
            number,
            "execute_tool search",
            1,
            at_ms=number,
            gen_ai__operation__name="execute_tool",
            gen_ai__tool__name="search",
            gen_ai__tool__call__arguments='{"q":"%s"}' % ("abc " * 60),
            gen_ai__tool__call__result="lorem ipsum dolor " * 35,
            attempt=number,
            cached=False,
            tags=["a", "b"],
        )
    return made.body()


def cpu_s(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss_mb(pid: int) -> float:
    """Proportional memory of a process, MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1e3


def engine_alone(directory: Path, bodies: list[bytes]) -> float:
    """CPU microseconds a span of the same rows in one insert, in this process."""
    client = store.connect(f"chdb://{directory / 'alone'}")
    store.migrate(client)
    path = directory / "batch.pb"
    with path.open("wb") as file:
        for number, one in enumerate(bodies):
            file.writelines(ingest.frame("default", number, time.time_ns(), one))
    into, values = TABLES["traces"], {"writer_id": 1, "batch": 1}
    settings = ingest.insert_settings()
    held = client.query(
        into.from_file("shape", str(path)), parameters=values, settings=settings
    ).result_rows[0]
    sql = into.insert_from_file(str(path), Shape().grown(held))
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        client.command(sql, parameters=values, settings=settings)
        best = min(best, (time.process_time() - started) / len(bodies) / SPANS * 1e6)
    client.close()
    return best


def run() -> None:
    """Print spans a second and CPU a span."""
    bodies = [body(number) for number in range(1, BODIES + 1)]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        os.chdir(directory)  # the engine leaves its cache in the working directory
        alone = engine_alone(directory, bodies[:100])
        collector = Collector(directory / "home").start()
        try:
            _load(collector, bodies, alone)
        finally:
            collector.stop()


def _load(collector: Collector, bodies: list[bytes], alone: float) -> None:
    pid = collector.instance["pid"]
    host = urlsplit(collector.url).netloc
    idle_mb, before = pss_mb(pid), cpu_s(pid)
    latencies: list[float] = []

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(host)
        for one in bodies[number::CLIENTS]:
            started = time.perf_counter()
            connection.request(
                "POST", "/v1/traces", one, {"Content-Type": "application/x-protobuf"}
            )
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            latencies.append(time.perf_counter() - started)
        connection.close()

    started = time.perf_counter()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    acknowledged_s = time.perf_counter() - started
    total = len(bodies) * SPANS
    with collector.client() as reader:
        while reader.query("SELECT count() FROM spans").result_rows[0][0] < total:
            threading.Event().wait(0.05)
    queryable_s = time.perf_counter() - started
    cpu_us = (cpu_s(pid) - before) / total * 1e6
    latencies.sort()
    print("| what | value |\n| --- | --- |")
    print(f"| spans, {len(bodies[0]) / SPANS:.0f} bytes each, from {CLIENTS} clients | {total} |")
    print(f"| acknowledged, spans/s | {total / acknowledged_s:,.0f} |")
    print(f"| queryable, spans/s | {total / queryable_s:,.0f} |")
    print(
        f"| ack latency p50 / p99, ms | {latencies[len(latencies) // 2] * 1e3:.1f} / {latencies[int(len(latencies) * 0.99)] * 1e3:.1f} |"
    )
    print(f"| collector CPU, us a span | {cpu_us:.1f} |")
    print(f"| the engine's insert alone, us a span | {alone:.1f} |")
    print(f"| ratio | {cpu_us / alone:.1f} |")
    print(f"| memory (PSS) idle / after, MB | {idle_mb:.0f} / {pss_mb(pid):.0f} |")
