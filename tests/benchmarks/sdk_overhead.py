"""What recording costs the caller: a decorated call against a bare OpenTelemetry span, interleaved."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import tachograph as tacho

ROUNDS, CALLS = 15, 300
ARGUMENT = {"customer": "C-1", "lines": [{"sku": f"S{n}", "quantity": n} for n in range(20)]}
RESULT = "x" * 1024


class Nowhere(SpanExporter):
    """Takes spans and forgets them: what is measured is the caller's side."""

    def export(self, spans):
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


def cpu_us(call: Callable[[dict], str]) -> float:
    """CPU of the calling thread, microseconds a call."""
    started = time.thread_time_ns()
    for _ in range(CALLS):
        call(ARGUMENT)
    return (time.thread_time_ns() - started) / CALLS / 1e3


def plain(order: dict) -> str:
    return RESULT


def run() -> None:
    """Print microseconds a call and the ratio to the bare span, medians over interleaved rounds."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    tracer = provider.get_tracer("bench")

    def bare(order: dict) -> str:
        with tracer.start_as_current_span("execute_tool look_up") as span:
            span.set_attribute("gen_ai.operation.name", "execute_tool")
            span.set_attribute("gen_ai.tool.call.arguments", json.dumps(order))
            result = plain(order)
            span.set_attribute("gen_ai.tool.call.result", json.dumps(result))
        return result

    off = tacho.tool(plain)
    rows = {"plain call": plain, "decorated, SDK off": off, "bare OpenTelemetry span": bare}
    off_us = [cpu_us(off) for _ in range(ROUNDS)]
    tacho.init(endpoint="http://127.0.0.1:9", service="bench")  # nothing listens there
    rows["decorated, recording"] = tacho.tool(plain)
    rows["decorated, payloads off"] = tacho.tool(capture_input=False, capture_output=False)(plain)

    times: dict[str, list[float]] = {name: [] for name in rows}
    times["decorated, SDK off"] = off_us

    @tacho.run(agent="bench")
    def measure() -> None:
        for _ in range(ROUNDS):
            for name, call in rows.items():
                if name != "decorated, SDK off":
                    times[name].append(cpu_us(call))

    measure()
    reference = statistics.median(times["bare OpenTelemetry span"])
    print("| call | CPU of the caller, us | against a bare span |\n| --- | --- | --- |")
    for name, values in times.items():
        middle = statistics.median(values)
        print(f"| {name} | {middle:.2f} | {middle / reference:.2f} |")
    tacho.shutdown(0.1)
