"""What is installed for each peer: exact versions, so that a table can be repeated."""

from __future__ import annotations

OPENTELEMETRY = (
    "opentelemetry-sdk==1.45.2",
    "opentelemetry-exporter-otlp-proto-http==1.45.2",
)

PINS: dict[str, tuple[str, ...]] = {
    "mlflow": ("mlflow==3.17.2", *OPENTELEMETRY),
    "phoenix": ("arize-phoenix==20.26.1",),
    "otel": OPENTELEMETRY,
    "langfuse": ("langfuse==5.0.4",),
    "langsmith": ("langsmith==0.14.17",),
    "logfire": ("logfire==5.2.0",),
    # Its code imports httpx, which its metadata does not name.
    "traceloop": ("traceloop-sdk==0.62.4", "httpx"),
    "phoenix-otel": ("arize-phoenix-otel==0.17.2", "openinference-instrumentation==0.1.72"),
}
"""Requirements of each environment; the first one is the peer itself."""
