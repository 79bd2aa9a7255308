"""What an application's own exporter gets through ``tacho.masked``: everything but the secrets."""

from __future__ import annotations

import json

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, Status, StatusCode
from otlp_server import running_collector

import tachograph as tacho
from tachograph._redact import Redactor

SECRET = "sk-ant-abcdefgh12345678"

_PROGRAM = """
import sys
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
import tachograph as tacho

provider = TracerProvider()
exporter = tacho.masked(OTLPSpanExporter(sys.argv[1] + "/v1/traces"))
# It says nothing before the end of the program.
provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=10 ** 6))
trace.set_tracer_provider(provider)
tacho.init(redact=[r"ACME-[0-9]+"], endpoint=sys.argv[2])

@tacho.tool
def login(password, customer):
    raise ValueError("no such customer as " + customer)

@tacho.run(agent="a")
def handle():
    try:
        login("hunter2hunter2", "ACME-4711")
    except ValueError:
        pass

handle()
with trace.get_tracer("theirs").start_as_current_span("GET ACME-4711"):
    pass
tacho.shutdown()
provider.shutdown()
"""


def test_an_exporter_of_the_applications_own_gets_no_secrets(collector, run_script):
    """By rules that are said after it was made, and also when it sends after ``tacho.shutdown``."""
    with running_collector() as theirs:
        run_script(_PROGRAM, theirs.url, collector.url)
        said = json.dumps([vars(span) for span in theirs.spans])
    assert {"invoke_agent a", "execute_tool login"} <= {span.name for span in theirs.spans}
    assert "hunter2" not in said
    assert "ACME-" not in said
    assert "[redacted:password:" in said
    (ours,) = collector.final("execute_tool login")
    (same,) = (span for span in theirs.spans if span.name == "execute_tool login")
    assert same.attributes == ours.attributes
    assert (same.span_id, same.events, same.status_message) == (
        ours.span_id,
        ours.events,
        ours.status_message,
    )


def full_span(tracer):
    with tracer.start_as_current_span(
        f"call {SECRET}",
        links=[Link(SpanContext(1, 2, is_remote=True), {"to": SECRET, "n": 1})],
        attributes={
            "plain": "text",
            "db.password": "hunter2",
            "texts": ["a", SECRET],
            "bytes": SECRET.encode(),
            "nested": {"deeper": [{"api_key": "hunter2"}]},
            "number": 1.5,
        },
    ) as span:
        span.add_event(f"saw {SECRET}", {"exception.message": SECRET})
        span.set_status(Status(StatusCode.ERROR, f"denied: {SECRET}"))


@pytest.fixture
def memory():
    return InMemorySpanExporter()


@pytest.fixture
def tracer(memory):
    provider = TracerProvider(
        resource=Resource({"token": "hunter2", "service.name": "s"}),
        span_limits=SpanLimits(max_events=1),
    )
    provider.add_span_processor(SimpleSpanProcessor(tacho.masked(memory)))
    yield provider.get_tracer("scope", "1", attributes={"secret": "hunter2", "kept": "yes"})
    provider.shutdown()


def test_every_field_of_a_span_is_masked_and_the_rest_stays(memory, tracer):
    full_span(tracer)
    (span,) = memory.get_finished_spans()
    sent = encode_spans([span])
    assert b"hunter2" not in sent.SerializeToString()
    assert b"sk-ant" not in sent.SerializeToString()
    assert span.attributes["plain"] == "text"
    assert span.attributes["number"] == 1.5
    assert span.attributes["tacho.redacted_count"] == 9
    assert span.resource.attributes["service.name"] == "s"
    assert span.instrumentation_scope.attributes["kept"] == "yes"
    assert span.links[0].attributes["n"] == 1
    assert span.links[0].context.span_id == 2


def test_the_span_itself_stays_as_it_is(memory, tracer):
    kept = InMemorySpanExporter()
    provider = TracerProvider(span_limits=SpanLimits(max_events=1, max_span_attributes=2))
    provider.add_span_processor(SimpleSpanProcessor(tacho.masked(memory)))
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with provider.get_tracer("t").start_as_current_span("n") as span:
        for number in range(3):
            span.set_attribute(f"token{number}", SECRET)
            span.add_event("e")
    (masked,), (original,) = memory.get_finished_spans(), kept.get_finished_spans()
    assert original.attributes["token2"] == SECRET
    assert masked.attributes["token2"].startswith("[redacted:")
    assert masked.dropped_attributes == original.dropped_attributes == 1
    assert masked.dropped_events == original.dropped_events == 2
    assert (masked.context, masked.start_time, masked.end_time) == (
        original.context,
        original.start_time,
        original.end_time,
    )


def test_a_span_that_cannot_be_masked_is_left_out(memory, tracer, monkeypatch):
    def fail(*_):
        raise RuntimeError("no")

    monkeypatch.setattr(Redactor, "redact", fail)
    monkeypatch.setattr("tachograph._guard.under_pytest", lambda: False)
    with tracer.start_as_current_span("n"):
        pass
    assert memory.get_finished_spans() == ()


def test_answers_of_the_exporter_come_through(memory):
    exporter = tacho.masked(memory)
    assert exporter.force_flush()
    assert exporter.export([]) is SpanExportResult.SUCCESS
    exporter.shutdown()
    provider = TracerProvider()
    span = provider.get_tracer("t").start_span("n")
    span.end()
    assert exporter.export([span]) is SpanExportResult.FAILURE
