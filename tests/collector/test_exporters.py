"""The official exporters against the real listeners: outages, restarts, compression."""

from __future__ import annotations

import threading

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from free_port import free_port

PATIENCE_S = 60
"""Theirs is ten seconds, in which a busy machine may not have started the collector again."""


def http_exporter(face, *, compressed=False, key=""):
    return HttpExporter(
        f"{face.url}/v1/traces",
        compression=Compression.Gzip if compressed else Compression.NoCompression,
        headers={"Authorization": f"Bearer {key}"} if key else None,
        timeout=PATIENCE_S,
    )


def grpc_exporter(face, *, compressed=False, key=""):
    return GrpcExporter(
        f"http://{face.grpc}",
        insecure=True,
        compression=grpc.Compression.Gzip if compressed else grpc.Compression.NoCompression,
        headers=(("authorization", f"Bearer {key}"),) if key else None,
        timeout=PATIENCE_S,
    )


@pytest.fixture(params=[http_exporter, grpc_exporter], ids=["http", "grpc"])
def exporter_of(request):
    """A function that makes an exporter for a face; it is shut down at the end."""
    made = []

    def make(face, **options):
        made.append(request.param(face, **options))
        return made[-1]

    yield make
    for exporter in made:
        exporter.shutdown()


@pytest.fixture(scope="module")
def spans():
    """A few finished spans of the official SDK."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("root", attributes={"a": 1, "tags": ["x", "y"]}):
        with tracer.start_as_current_span("child") as child:
            child.add_event("e", {"k": 0.5})
    provider.shutdown()
    return kept.get_finished_spans()


def names_of(bodies: list[bytes]) -> list[str]:
    requests = map(ExportTraceServiceRequest.FromString, bodies)
    return [
        span.name
        for request in requests
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_exported_spans_are_stored(face, exporter_of, spans, compressed):
    exporter = exporter_of(face, compressed=compressed)
    assert exporter.export(spans) is SpanExportResult.SUCCESS
    assert sorted(names_of(face.stored())) == ["child", "root"]


def test_a_key_is_sent_as_a_header(open_face, exporter_of, spans):
    face = open_face(api_key="s3cret")
    assert exporter_of(face).export(spans) is SpanExportResult.FAILURE
    assert exporter_of(face, key="s3cret").export(spans) is SpanExportResult.SUCCESS
    assert len(face.stored()) == 1


def test_a_collector_that_says_not_now_gets_the_spans_a_moment_later(face, exporter_of, spans):
    face.receiver.stopping = True
    exporter, results = exporter_of(face), []
    thread = threading.Thread(target=lambda: results.append(exporter.export(spans)))
    thread.start()
    pause = threading.Event()
    while not face.count('bodies_refused_total{reason="not_now",signal="traces"}'):
        pause.wait(0.01)
    face.receiver.stopping = False
    thread.join(2 * PATIENCE_S)
    assert results == [SpanExportResult.SUCCESS]
    assert sorted(names_of(face.stored())) == ["child", "root"]


@pytest.mark.slow
def test_a_restart_within_the_patience_of_an_exporter_loses_nothing(open_face, exporter_of, spans):
    """The exporter starts while nothing listens, and finds the collector when it is back."""
    ports = {"port": free_port(), "grpc_port": free_port()}
    face = open_face(**ports)
    exporter, results = exporter_of(face), []
    face.close()
    thread = threading.Thread(target=lambda: results.append(exporter.export(spans)))
    thread.start()
    thread.join(1.5)  # the first tries fail
    assert results == []
    again = open_face(**ports)
    thread.join(2 * PATIENCE_S)
    assert results == [SpanExportResult.SUCCESS]
    assert sorted(names_of(again.stored())) == ["child", "root"]
