"""A small collector for tests: real HTTP on loopback, real OTLP, behaviour by a list of answers."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from backports import zstd
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass
class Received:
    """One span as it arrived."""

    name: str
    attributes: dict[str, Any]
    open: bool
    end_time_ns: int
    span_id: str
    parent_id: str
    trace_id: str
    status_code: int
    status_message: str
    resource: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]


@dataclass
class Collector:
    """What the server saw; ``answers`` are HTTP statuses used up one a request, then 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    delay_s: float = 0.0
    rejected: int = 0
    knows_zstd: bool = True
    body_limit_bytes: int = 1 << 30
    unreadable: bytes = b""
    """A body with this in it is answered with 400."""
    requests: list[dict[str, str]] = field(default_factory=list)
    spans: list[Received] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def final(self, name: str | None = None) -> list[Received]:
        with self.changed:
            return [s for s in self.spans if not s.open and name in {None, s.name}]

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> bool:
        with self.changed:
            return self.changed.wait_for(condition, timeout_s)


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None


def _pairs(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _received(request: ExportTraceServiceRequest) -> Iterator[Received]:
    for resource_spans in request.resource_spans:
        resource = _pairs(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                attributes = _pairs(span.attributes)
                yield Received(
                    name=span.name,
                    attributes=attributes,
                    open=bool(attributes.get("tacho.open")),
                    end_time_ns=span.end_time_unix_nano,
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    trace_id=span.trace_id.hex(),
                    status_code=span.status.code,
                    status_message=span.status.message,
                    resource=resource,
                    events=[(e.name, _pairs(e.attributes)) for e in span.events],
                )


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path != "/v1/traces":
                self.send_error(404)
                return
            coding = self.headers.get("Content-Encoding")
            if coding == "gzip":
                body = gzip.decompress(body)
            elif coding == "zstd":
                body = zstd.decompress(body)
            if collector.delay_s:
                time.sleep(collector.delay_s)  # a slow collector is what the test is about
            with collector.changed:
                collector.requests.append({k.lower(): v for k, v in self.headers.items()})
                status = collector.answers.pop(0) if collector.answers else 200
                if len(body) > collector.body_limit_bytes:
                    status = 413
                if collector.unreadable and collector.unreadable in body:
                    status = 400
                if coding == "zstd" and not collector.knows_zstd:
                    status = 415
                if status == 200:
                    request = ExportTraceServiceRequest.FromString(body)
                    collector.spans.extend(_received(request))
                collector.changed.notify_all()
            answer = ExportTraceServiceResponse()
            if collector.rejected:
                answer.partial_success.rejected_spans = collector.rejected
            payload = answer.SerializeToString() if status == 200 else b"no"
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def running_collector(port: int = 0) -> Iterator[Collector]:
    collector = Collector()
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(collector))
    server.daemon_threads = True
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
