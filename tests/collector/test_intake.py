"""OTLP over real HTTP: what is answered, and that 200 means it is on disk."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import threading
import zlib

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otlp import Trace, plain_body
from tachograph_collector.app import CollectorApp
from tachograph_collector.intake import Intake
from tachograph_collector.listeners import listen, server
from tachograph_collector.metrics import Metrics
from tachograph_collector.wal import Log
from tachograph_collector.wal.log import Limits

PROTOBUF = "application/x-protobuf"


class Face:
    """An intake behind a real server, over a real log."""

    def __init__(
        self, home, *, limits=Limits(min_free_bytes=0), api_key="", max_body_bytes=1 << 20
    ):
        self.log = Log(home / "log", limits)
        self.metrics = Metrics()
        self.intake = Intake(self.log, self.metrics, max_body_bytes=max_body_bytes, api_key=api_key)
        self._socket = listen("127.0.0.1", 0, "TACHO_HTTP_PORT")
        self.port = self._socket.getsockname()[1]
        self._server = server(CollectorApp(self.intake, not_found))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))
        self._thread.start()

    def post(self, body: bytes, *, path="/v1/traces", method="POST", **headers: str):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            named = {"Content-Type": PROTOBUF} | {
                k.replace("_", "-"): v for k, v in headers.items()
            }
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()

    def stored(self) -> list[bytes]:
        return [record.body for record in self.log.read(self.log.start(), 1 << 40, 1 << 40)[0]]

    def close(self):
        self._server.should_exit = True
        self._thread.join(10)
        self.log.close()
        self._socket.close()


async def not_found(scope, receive, send):
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def face(tmp_path):
    opened = Face(tmp_path)
    yield opened
    opened.close()


def test_a_good_body_is_on_disk_when_200_comes(face):
    body = plain_body(1, 3)
    status, headers, answer = face.post(body)
    assert (status, headers["content-type"], answer) == (200, PROTOBUF, b"")
    assert face.stored() == [body]


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
def test_compressed_bodies_are_taken(face, encode):
    body = plain_body(1, 50)
    encoding = "gzip" if encode is gzip.compress else "deflate"
    status, _, _ = face.post(encode(body), content_encoding=encoding)
    assert status == 200
    assert face.stored() == [body]


def test_an_empty_request_is_fine_and_stores_nothing(face):
    assert face.post(b"")[0] == 200
    assert face.stored() == []


def test_any_path_before_v1_traces_is_understood(face):
    assert face.post(plain_body(1, 1), path="/api/public/otel/v1/traces")[0] == 200
    assert face.post(plain_body(1, 1), path="/v2/traces")[0] == 404


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (b"garbage", {}, 400, "not an OTLP trace export request"),
        (plain_body(1, 3)[:-7], {}, 400, "not an OTLP trace export request"),
        (b"not gzip", {"content_encoding": "gzip"}, 400, "not sound gzip"),
        (gzip.compress(plain_body(1, 3))[:-9], {"content_encoding": "gzip"}, 400, "cut short"),
        (plain_body(1, 1), {"content_encoding": "snappy"}, 415, "snappy"),
        (plain_body(1, 1), {"Content_Type": "text/plain"}, 415, "text/plain"),
        (b"\x00" * (1 << 21), {}, 413, "TACHO_MAX_BODY_BYTES"),
        (
            gzip.compress(b"\x00" * (1 << 26)),
            {"content_encoding": "gzip"},
            413,
            "TACHO_MAX_BODY_BYTES",
        ),
    ],
    ids=["garbage", "cut", "no gzip", "cut gzip", "encoding", "type", "large", "bomb"],
)
def test_a_refused_body_gets_the_reason_and_harms_no_neighbour(face, body, headers, status, says):
    before, after = plain_body(1, 2), plain_body(2, 2)
    face.post(before)
    found, answer_headers, answer = face.post(body, **headers)
    face.post(after)
    assert found == status
    assert answer_headers["content-type"] == PROTOBUF
    assert says in Status.FromString(answer).message
    assert face.stored() == [before, after]


def test_dropped_spans_are_told_as_partial_success(face):
    trace = Trace().span(1)
    trace.request.resource_spans[0].scope_spans[0].spans.add(trace_id=b"short", span_id=b"12345678")
    status, _, answer = face.post(trace.body())
    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert (status, partial.rejected_spans) == (200, 1)
    assert "trace id" in partial.error_message


def test_a_full_log_answers_503_with_retry_after_and_keeps_nothing(tmp_path):
    face = Face(tmp_path, limits=Limits(min_free_bytes=0, max_unstored_bytes=100))
    try:
        status, headers, answer = face.post(plain_body(1, 5))
        assert (status, headers["retry-after"]) == (503, "1")
        assert "full" in Status.FromString(answer).message
        assert face.stored() == []
    finally:
        face.close()


def test_a_nearly_full_disk_answers_503(tmp_path):
    face = Face(tmp_path, limits=Limits(min_free_bytes=1 << 62))
    try:
        status, headers, answer = face.post(plain_body(1, 5))
        assert (status, headers["retry-after"]) == (503, "1")
        assert "disk is nearly full" in Status.FromString(answer).message
    finally:
        face.close()


def test_a_stopping_collector_takes_nothing_more(face):
    face.intake.stopping = True
    assert face.post(plain_body(1, 1))[0] == 503


def test_with_a_key_only_its_holder_may_send(tmp_path):
    face = Face(tmp_path, api_key="s3cret")
    try:
        body = plain_body(1, 1)
        assert face.post(body)[0] == 401
        assert face.post(body, Authorization="Bearer wrong")[0] == 401
        assert face.post(body, Authorization="Basic s3cret")[0] == 401
        assert face.stored() == []
        assert face.post(body, Authorization="Bearer s3cret")[0] == 200
    finally:
        face.close()


def test_other_methods_are_told_what_to_do(face):
    status, headers, _ = face.post(b"", method="GET")
    assert (status, headers["allow"]) == (405, "POST")


def test_many_clients_at_once_are_all_acknowledged_and_stored(face):
    failures = []

    def client(number):
        for turn in range(10):
            if face.post(plain_body(1 + number * 100 + turn, 3))[0] != 200:
                failures.append((number, turn))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(face.stored()) == 80
