"""The collector as a process, fed by the official exporters: addresses, storage, a kill within their patience."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from urllib.parse import urlsplit

import grpc
import pytest
from collector_process import Collector
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

pytestmark = pytest.mark.slow


def finished_spans(name: str):
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with provider.get_tracer("test").start_as_current_span(name):
        pass
    provider.shutdown()
    return kept.get_finished_spans()


def exporters(collector: Collector):
    # They retry until then: a collector may take its time to start on a busy machine.
    patience_s = 60
    return [
        HttpExporter(f"{collector.url}/v1/traces", timeout=patience_s),
        GrpcExporter(
            f"http://{collector.instance['grpc']}",
            insecure=True,
            compression=grpc.Compression.Gzip,
            timeout=patience_s,
        ),
    ]


def stored(collector: Collector, expected: set[str]) -> list[tuple[str]]:
    """The names of all spans, once the expected ones are there; the test's time limit bounds it."""
    pause = threading.Event()
    while True:
        rows = collector.rows("SELECT name FROM spans ORDER BY name")
        if expected <= {name for (name,) in rows}:
            return rows
        pause.wait(0.1)


def test_spans_of_both_exporters_survive_a_kill_and_are_stored_once(tmp_path):
    """Spans are acknowledged, the process is killed, others are sent while it is away, and all are there."""
    collector = Collector(tmp_path / "home").start()
    ports = {
        "TACHO_HTTP_PORT": str(urlsplit(collector.url).port),
        "TACHO_GRPC_PORT": collector.instance["grpc"].rpartition(":")[2],
    }
    over_http, over_grpc = exporters(collector)
    results = []
    try:
        for exporter, name in ((over_http, "http before"), (over_grpc, "grpc before")):
            assert exporter.export(finished_spans(name)) is SpanExportResult.SUCCESS
        collector.signal(signal.SIGKILL)
        threads = [
            threading.Thread(target=lambda e=e, n=n: results.append(e.export(finished_spans(n))))
            for e, n in ((over_http, "http after"), (over_grpc, "grpc after"))
        ]
        for thread in threads:
            thread.start()
        collector.environment |= ports
        collector.start()
        for thread in threads:
            thread.join()
        assert results == [SpanExportResult.SUCCESS] * 2
        wanted = {f"{way} {when}" for way in ("http", "grpc") for when in ("before", "after")}
        assert stored(collector, wanted) == [(name,) for name in sorted(wanted)]
    finally:
        over_http.shutdown()
        over_grpc.shutdown()
        collector.stop()


def test_a_taken_grpc_port_is_named_with_its_setting(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        collector = Collector(tmp_path / "home", TACHO_GRPC_PORT=str(port))
        result = subprocess.run(
            [sys.executable, "-m", "tachograph.cli", "up", "--no-dashboard", "--json"],
            env=collector.environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    assert result.returncode == 1
    assert result.stdout == ""
    assert f"Port {port}" in result.stderr
    assert "TACHO_GRPC_PORT" in result.stderr
    assert "Traceback" not in result.stderr
