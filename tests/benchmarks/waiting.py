"""What runs that wait for a person cost the collector: their processes report open spans every few seconds, for hours.

python -m tests.benchmarks waiting [--runs N] [--minutes N] [--input BYTES]
"""

from __future__ import annotations

import argparse
import http.client
import os
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from collector_process import Collector

from otlp import Trace

BEAT_S = 5.0


def main(words: list[str]) -> None:
    """Print what an hour costs: seconds of the processor, rows, bytes of the disk."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks waiting")
    parser.add_argument("--runs", type=int, default=100, help="each in a process of its own")
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--input", type=int, default=2_000, help="bytes of what each was given")
    asked = parser.parse_args(words)
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="tachograph-waiting-") as folder:
        collector = Collector(Path(folder) / "home").start()
        try:
            beats = [beat(number, asked.input) for number in range(1, asked.runs + 1)]
            span_s = asked.minutes * 60
            report("nobody waits", collector, [], span_s / 3)
            report(f"{asked.runs} runs wait", collector, beats, span_s)
            outcomes = collector.rows("SELECT outcome, count() FROM runs GROUP BY outcome")
            print(f"outcomes at the end: {dict(map(tuple, outcomes))}")
        finally:
            collector.stop()
    print(f"load afterwards: {os.getloadavg()[0]:.1f}")


def beat(number: int, input_bytes: int) -> bytes:
    """A run and its open question, as a process reports them again and again."""
    text = os.urandom(input_bytes // 2).hex()
    told = Trace(number).span(
        1, "handle", ms=None, tacho__layer="run", tacho__open=True, input=text
    )
    return told.span(2, "refund", 1, ms=None, tacho__layer="approval", tacho__open=True).body()


def report(what: str, collector: Collector, beats: list[bytes], span_s: float) -> None:
    """Send the beats for ``span_s`` seconds, and say what an hour of it comes to."""
    before, began_s = cost(collector), time.monotonic()
    connection = http.client.HTTPConnection(urlsplit(collector.url).netloc, timeout=30)
    headers = {"Content-Type": "application/x-protobuf"}
    while (now_s := time.monotonic() - began_s) < span_s:
        for body in beats:
            connection.request("POST", "/v1/traces", body, headers)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"")
        ends_s = min((now_s // BEAT_S + 1) * BEAT_S, span_s)
        time.sleep(max(0.0, ends_s - (time.monotonic() - began_s)))
    connection.close()
    hours = (time.monotonic() - began_s) / 3_600
    spent = [(after - one) / hours for after, one in zip(cost(collector), before, strict=True)]
    print(
        f"{what}, in an hour: {spent[0]:,.0f} s of the processor, {spent[1] / 1e6:,.1f} MB written to disk, "
        f"{spent[2]:,.0f} rows of spans and {spent[3]:,.0f} of runs, {spent[4] / 1e6:,.1f} MB in tables"
    )


def cost(collector: Collector) -> list[float]:
    """So far: seconds of the processor, bytes written, rows of spans and of runs that are not merged yet, bytes of tables."""
    process = collector.process
    assert process is not None
    parts = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rsplit(") ", 1)[1].split()
    spent_s = sum(map(int, parts[11:15])) / os.sysconf("SC_CLK_TCK")
    io = dict(line.split(": ") for line in Path(f"/proc/{process.pid}/io").read_text().splitlines())
    tables = {
        name: (rows, size)
        for name, rows, size in collector.rows(
            "SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts "
            "WHERE active AND database = currentDatabase() GROUP BY table"
        )
    }
    spans, runs = (tables.get(name, (0, 0)) for name in ("span_rows", "run_rows"))
    return [
        spent_s,
        float(io["write_bytes"]),
        spans[0],
        runs[0],
        sum(b for _, b in tables.values()),
    ]
