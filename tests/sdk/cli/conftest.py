"""Fixtures for the command line: a running collector with a few runs, and `tacho` called as users call it."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from collector_process import Collector

from clickhouse_server import clickhouse_server  # noqa: F401
from otlp import Trace
from tachograph.cli import main
from tachograph_schemas import names, queries

EVIL = "\x1b]0;owned\x07\x1b[31mred\u202e"


def a_refund(trace: int, goal: str, **run: str) -> Trace:
    """A run with a model call, a read and a refund."""
    asked = [
        {
            "role": "assistant",
            "parts": [
                {
                    "type": "tool_call",
                    "id": "c1",
                    "name": "lookup_order",
                    "arguments": {"id": "A-1"},
                }
            ],
        }
    ]
    made = Trace(trace, service="shop")
    made.span(1, "invoke_agent support", ms=2000, **{
        names.LAYER: "run", names.GEN_AI_AGENT_NAME: "support", names.RUN_GOAL: goal, names.RUN_OUTCOME: "success",
        names.RUN_TRIGGER: "cli", names.CUSTOMER: "Acme", **run,
    })  # fmt: skip
    made.span(2, "chat claude-haiku-4-5", 1, at_ms=10, ms=500, **{
        names.LAYER: "model", names.GEN_AI_OPERATION_NAME: "chat", names.GEN_AI_PROVIDER_NAME: "anthropic",
        names.GEN_AI_REQUEST_MODEL: "claude-haiku-4-5", names.GEN_AI_OUTPUT_MESSAGES: json.dumps(asked),
        names.GEN_AI_USAGE_INPUT_TOKENS: 1000, names.GEN_AI_USAGE_OUTPUT_TOKENS: 50,
    })  # fmt: skip
    for number, (tool, effect) in enumerate(
        (("lookup_order", "read"), ("refund", "write")), start=3
    ):
        made.span(number, f"execute_tool {tool}", 1, at_ms=600 + 100 * number, ms=50, **{
            names.LAYER: "tool", names.GEN_AI_TOOL_NAME: tool, names.TOOL_EFFECT: effect,
            names.INPUT: json.dumps({"id": "A-1"}), names.OUTPUT: '"done"',
        })  # fmt: skip
    return made


def a_failure(trace: int) -> Trace:
    made = Trace(trace, service="nightly")
    made.span(1, "invoke_agent nightly", ms=100, error="no disk", **{names.LAYER: "run", names.GEN_AI_AGENT_NAME: "nightly", names.RUN_GOAL: f"Back up {EVIL}", names.RUN_OUTCOME: "failure", names.ERROR_TYPE: "OSError"})  # fmt: skip
    return made


IDS = [0x11110000A << 92, 0x2222AAAAA << 92, 0x2222BBBBB << 92]


@pytest.fixture(scope="session")
def collector(tmp_path_factory) -> Iterator[Collector]:
    """A collector with three runs, two of whose ids begin alike."""
    running = Collector(tmp_path_factory.mktemp("cli") / "home").start()
    bodies = [
        a_failure(IDS[0]),
        a_refund(IDS[1], "Refund order A-1"),
        a_refund(IDS[2], "返金 on order A-2"),
    ]
    for trace in bodies:
        request = urllib.request.Request(
            f"{running.url}/v1/traces", trace.body(), {"Content-Type": "application/x-protobuf"}
        )
        urllib.request.urlopen(request, timeout=30).read()
    with running.client() as client:
        deadline = time.monotonic() + 180
        while queries.runs_summary(client, queries.RunFilter()).runs < len(bodies):
            assert time.monotonic() < deadline, "the runs did not become readable"
            time.sleep(0.05)
    yield running
    running.stop()


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def environment(monkeypatch, tmp_path) -> pytest.MonkeyPatch:
    """No setting of whoever runs the tests; a home and a working directory of its own."""
    for name in list(os.environ):
        if name.startswith(("TACHO_", "OTEL_", "NO_COLOR", "COLUMNS")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TACHO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.fixture
def tacho(environment, capsys) -> Callable[..., Result]:
    """Call `tacho`; by default no collector runs."""

    def call(*words: str) -> Result:
        code = main(list(words))
        said = capsys.readouterr()
        return Result(code, said.out, said.err)

    return call


@pytest.fixture
def recorded(collector, environment, tacho) -> Callable[..., Result]:
    """Call `tacho` where the collector with its three runs is running."""
    environment.setenv("TACHO_HOME", str(collector.home))
    return tacho


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def serve() -> Iterator[Callable[[int], str]]:
    """Start a program that answers every request with one status, and give its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(status: int) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Silent."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
