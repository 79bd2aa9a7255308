"""The collector's OTLP listeners, in this process, over a real log."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import threading

import grpc
import pytest
import uvloop

from tachograph_collector.app import CollectorApp
from tachograph_collector.grpc_intake import TRACE_SERVICE, GrpcIntake
from tachograph_collector.intake import Intake
from tachograph_collector.keys import Keys
from tachograph_collector.listeners import listen, server
from tachograph_collector.metrics import Metrics
from tachograph_collector.receive import Receiver
from tachograph_collector.wal import Log
from tachograph_collector.wal.log import Limits

PROTOBUF = "application/x-protobuf"


class Face:
    """OTLP over HTTP and gRPC, served by a thread."""

    def __init__(
        self,
        home,
        *,
        log=None,
        limits=Limits(min_free_bytes=0),
        api_key="",
        max_body_bytes=1 << 20,
        stall_s=30.0,
        port=0,
        grpc_port=0,
        **options,
    ):
        self.log = log or Log(home / "log", limits)
        self.metrics = Metrics()
        self.receiver = Receiver(self.log, self.metrics, max_body_bytes=max_body_bytes, **options)
        self._keys = Keys(api_key)
        self._intake = Intake(self.receiver, self._keys, stall_s=stall_s)
        self._max_body_bytes = max_body_bytes
        self._grpc_port = grpc_port
        self._socket = listen("127.0.0.1", port, "TACHO_HTTP_PORT")
        self.port = self._socket.getsockname()[1]
        self._server = server(CollectorApp(self._intake, not_found))
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(60)

    def _run(self):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self):
        intake = GrpcIntake("127.0.0.1", self._grpc_port, self._max_body_bytes)
        self.grpc = intake.address
        await intake.start(self.receiver, self._keys)
        self._ready.set()
        await self._server.serve(sockets=[self._socket])
        self._stopping.set()
        await intake.stop(60)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, body: bytes, *, path="/v1/traces", method="POST", **headers: str):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=180)
        with contextlib.closing(connection):
            named = {"content-type": PROTOBUF} | {
                name.replace("_", "-").lower(): value for name, value in headers.items()
            }
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()

    def call(self, body: bytes, *, service=TRACE_SERVICE, timeout_s=60, **options):
        """One gRPC call with these bytes; raises ``grpc.RpcError``."""
        unlimited = [("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(self.grpc, options=unlimited) as channel:
            return channel.unary_unary(f"/{service}/Export")(body, timeout=timeout_s, **options)

    def stored(self) -> list[bytes]:
        return [record.body for record in self.log.read(self.log.start(), 1 << 40, 1 << 40)[0]]

    def count(self, line: str) -> float:
        """A value of ``/metrics`` by its name and labels as printed, without the common prefix."""
        for row in self.metrics.text().splitlines():
            name, _, value = row.rpartition(" ")
            if name == f"tacho_collector_{line}":
                return float(value)
        return 0.0

    def begin_stop(self):
        """Stop to listen; calls under way go on."""
        self._server.should_exit = True
        assert self._stopping.wait(60)

    def close(self):
        """Stop and close all; does nothing the second time."""
        self._server.should_exit = True
        self._thread.join(60)
        assert not self._thread.is_alive()
        self.log.close()
        self._socket.close()


async def not_found(scope, receive, send):
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def open_face(tmp_path):
    """A function that opens a face over a log; it is closed at the end."""
    opened = []

    def open_one(**options):
        home = tmp_path / str(len(opened))
        home.mkdir()
        opened.append(Face(home, **options))
        return opened[-1]

    yield open_one
    for face in opened:
        face.close()


@pytest.fixture
def face(open_face):
    return open_face()
