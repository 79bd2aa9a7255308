"""How each SDK is set up to send to one address, as its own documentation shows, and decorates a function.

Runs in the peer's environment: nothing but the standard library and that peer is there.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from typing import Any, NamedTuple

Decorator = Callable[[Any], Any]


class Adapter(NamedTuple):
    """What the measurement needs of an SDK."""

    step: Decorator
    root: Decorator
    flush: Callable[[], object]
    """Blocks until what was recorded has been sent."""


def plain(url: str) -> Adapter:
    return Adapter(lambda f: f, lambda f: f, lambda: None)


def ours(url: str) -> Adapter:
    import tachograph

    tachograph.init(endpoint=url, service="bench")
    return Adapter(
        tachograph.tool, tachograph.run(agent="bench"), lambda: tachograph.flush(timeout_s=60)
    )


def ours_spans(url: str) -> Adapter:
    """Without a recording for replay, which none of the others makes."""
    os.environ["TACHO_RECORD"] = "off"
    return ours(url)


def otel(url: str) -> Adapter:
    """What a careful user writes by hand: the argument as JSON, the result as it is."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("bench")

    def decorate(function: Any) -> Any:
        @functools.wraps(function)
        def recorded(*positional: Any) -> Any:
            with tracer.start_as_current_span(function.__name__) as span:
                span.set_attribute("input.value", json.dumps(positional))
                result = function(*positional)
                span.set_attribute("output.value", result)
                return result

        return recorded

    return Adapter(decorate, decorate, lambda: provider.force_flush(60_000))


def langfuse(url: str) -> Adapter:
    os.environ.update(
        LANGFUSE_PUBLIC_KEY="pk-lf-bench",
        LANGFUSE_SECRET_KEY="sk-lf-bench",
        LANGFUSE_HOST=url,
        LANGFUSE_BASE_URL=url,
    )
    from langfuse import get_client, observe

    return Adapter(observe(), observe(), get_client().flush)


def langsmith(url: str) -> Adapter:
    os.environ.update(
        LANGSMITH_TRACING="true", LANGSMITH_ENDPOINT=url, LANGSMITH_API_KEY="lsv2_pt_bench"
    )
    from langsmith import traceable
    from langsmith.run_trees import get_cached_client

    return Adapter(traceable, traceable, lambda: get_cached_client().flush())


def logfire(url: str) -> Adapter:
    import logfire as peer
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces")
    peer.configure(
        send_to_logfire=False,
        console=False,
        inspect_arguments=False,
        additional_span_processors=[BatchSpanProcessor(exporter)],
    )
    decorate = peer.instrument(extract_args=True, record_return=True)
    return Adapter(decorate, decorate, lambda: peer.force_flush(60_000))


def mlflow(url: str) -> Adapter:
    """Exporting OTLP, its documented way to feed another collector."""
    os.environ.update(
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{url}/v1/traces",
        OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="http/protobuf",
        MLFLOW_DISABLE_TELEMETRY="true",
    )
    import mlflow as peer
    from mlflow.tracing.provider import provider

    return Adapter(peer.trace, peer.trace, lambda: provider.get().force_flush(60_000))


def traceloop(url: str) -> Adapter:
    os.environ.update(TRACELOOP_TELEMETRY="false", TRACELOOP_METRICS_ENABLED="false")
    from opentelemetry import trace
    from traceloop.sdk import Traceloop
    from traceloop.sdk.decorators import task, workflow

    Traceloop.init(app_name="bench", api_endpoint=url, api_key="bench", telemetry_enabled=False)
    flush = trace.get_tracer_provider().force_flush
    return Adapter(task(name="step"), workflow(name="root"), lambda: flush(60_000))


def phoenix_otel(url: str) -> Adapter:
    from phoenix.otel import register

    provider = register(
        endpoint=f"{url}/v1/traces", protocol="http/protobuf", batch=True, verbose=False
    )
    tracer = provider.get_tracer("bench")
    return Adapter(tracer.tool, tracer.chain, lambda: provider.force_flush(60_000))


ADAPTERS: dict[str, Callable[[str], Adapter]] = {
    "plain": plain,
    "ours": ours,
    "ours-spans": ours_spans,
    "otel": otel,
    "langfuse": langfuse,
    "langsmith": langsmith,
    "logfire": logfire,
    "mlflow": mlflow,
    "traceloop": traceloop,
    "phoenix-otel": phoenix_otel,
}
