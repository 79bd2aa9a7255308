"""What recording costs: the caller, the whole process with the export, the import, the wire and the exit.

Beside a bare OpenTelemetry span with the same payload (1 KB in, 1 KB out), in the same run.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import tachograph as tacho

from .peers import sdk
from .peers.sdk_child.calls import make

ROUNDS, CALLS = 15, 300
EXIT = """
import sys, time
import tachograph as tacho
tacho.init(endpoint="http://127.0.0.1:9", service="bench")
@tacho.tool
def look(n): return n
for n in range(3_000): look(n)
print(time.time(), flush=True)
"""


class Nowhere(SpanExporter):
    """Takes spans and forgets them: what is measured is the caller's side."""

    def export(self, spans):
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


def cpu_us(call: Callable[[dict], object]) -> float:
    """CPU of the calling thread, microseconds a call."""
    started = time.thread_time_ns()
    for argument in ARGUMENTS:
        call(argument)
    return (time.thread_time_ns() - started) / CALLS / 1e3


async def cpu_us_async(call) -> float:
    """The same, of a coroutine function awaited in a row."""
    started = time.thread_time_ns()
    for argument in ARGUMENTS:
        await call(argument)
    return (time.thread_time_ns() - started) / CALLS / 1e3


ARGUMENTS, RESULTS = make(CALLS)


def plain(payload: dict) -> str:
    return RESULTS[payload["i"]]


async def plain_async(payload: dict) -> str:
    return RESULTS[payload["i"]]


async def waiting_async(payload: dict) -> str:
    await asyncio.sleep(0)
    return RESULTS[payload["i"]]


def _bare() -> tuple[Callable, Callable, Callable]:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    tracer = provider.get_tracer("bench")

    def bare(payload: dict) -> str:
        with tracer.start_as_current_span("plain") as span:
            span.set_attribute("input.value", json.dumps(payload))
            result = plain(payload)
            span.set_attribute("output.value", result)
            return result

    def bare_async(function) -> Callable:
        async def bare(payload: dict) -> str:
            with tracer.start_as_current_span("plain") as span:
                span.set_attribute("input.value", json.dumps(payload))
                result = await function(payload)
                span.set_attribute("output.value", result)
                return result

        return bare

    return bare, bare_async(plain_async), bare_async(waiting_async)


def _caller_rows() -> None:
    _rows_with("off")
    print("\nWith a tape for replay, which is the default:\n")
    _rows_with("exact")


def _rows_with(record: Literal["exact", "off"]) -> None:
    bare, bare_async, bare_waiting = _bare()
    off = tacho.tool(plain)
    times: dict[str, list[float]] = {"decorated, SDK off": [cpu_us(off) for _ in range(ROUNDS)]}
    # Nothing listens there, and what is kept is of use to nobody.
    home = tempfile.TemporaryDirectory(prefix="tacho-bench-")
    os.environ["TACHO_HOME"] = home.name
    tacho.init(endpoint="http://127.0.0.1:9", service="bench", record=record)
    rows = {
        "plain call": plain,
        "bare OpenTelemetry span": bare,
        "decorated, recording, spool included": tacho.tool(plain),
        "decorated, payloads off": tacho.tool(capture_input=False, capture_output=False)(plain),
    }
    rows_async = {
        "bare OpenTelemetry span, async": bare_async,
        "decorated, recording, async": tacho.tool(plain_async),
        "bare OpenTelemetry span, async that waits": bare_waiting,
        "decorated, recording, async that waits": tacho.tool(waiting_async),
    }

    @tacho.run(agent="bench")
    async def measure() -> None:
        for _ in range(ROUNDS):
            for name, call in rows.items():
                times.setdefault(name, []).append(cpu_us(call))
            for name, call in rows_async.items():
                times.setdefault(name, []).append(await cpu_us_async(call))

    asyncio.run(measure())
    tacho.shutdown(0.1)
    home.cleanup()
    middle = {name: statistics.median(values) for name, values in times.items()}
    print("| call | CPU of the caller, us | against a bare span |\n| --- | --- | --- |")
    for name, value in middle.items():
        how = name[name.find(", async") :] if ", async" in name else ""
        reference = f"bare OpenTelemetry span{how}"
        print(f"| {name} | {value:.2f} | {value / middle[reference]:.2f} |")


def _process_rows() -> None:
    found = {
        peer: [sdk.measure(peer, None, 40, turn) for turn in range(3)] for peer in ("otel", "ours")
    }

    def middle(peer: str, what: str) -> float:
        return statistics.median(getattr(record, what) for record in found[peer])

    print("\n| process of its own, sink on loopback | bare OpenTelemetry | Tachograph | ratio |")
    print("| --- | --- | --- | --- |")
    for title, what in (
        ("CPU, s for 100,000 calls, export included", "process_cpu_s_per_100k"),
        ("wire, bytes a call", "wire_bytes"),
        ("import, CPU s", "import_cpu_s"),
        ("import, MB", "import_mb"),
        ("import, modules", "modules"),
    ):
        bare, ours = middle("otel", what), middle("ours", what)
        print(f"| {title} | {bare:,.2f} | {ours:,.2f} | {ours / bare:.2f} |")
    delivered = {peer: sum(r.delivered for r in rs) for peer, rs in found.items()}
    calls = {peer: sum(r.calls for r in rs) for peer, rs in found.items()}
    shares = {peer: f"{delivered[peer] / calls[peer]:.0%}" for peer in found}
    print(f"| delivered | {shares['otel']} | {shares['ours']} | |")


def _exit_row() -> None:
    with tempfile.TemporaryDirectory(prefix="tacho-exit-") as home:
        script = Path(home) / "agent.py"
        script.write_text(EXIT, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(script)],
            check=True,
            capture_output=True,
            text=True,
            env=sdk.clean_environment() | {"TACHO_HOME": home},
        )
        print(
            f"\nExit with 3,000 spans and nothing listening: {time.time() - float(done.stdout):.2f} s"
        )


def run() -> None:
    """Print microseconds a call and ratios to the bare span, medians over interleaved rounds."""
    _caller_rows()
    _process_rows()
    _exit_row()
