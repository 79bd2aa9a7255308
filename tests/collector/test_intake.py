"""OTLP over real HTTP: what is answered, and that 200 means it is on disk."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
import zlib

import pytest
from backports import zstd
from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otlp import Trace, plain_body
from signal_bodies import log_body
from tachograph_collector.wal import Log, records
from tachograph_collector.wal.log import Limits
from tachograph_collector.window import Window

PROTOBUF = "application/x-protobuf"
JSON = "application/json"


def test_a_good_body_is_on_disk_when_200_comes(face):
    body = plain_body(1, 3)
    status, headers, answer = face.post(body)
    assert (status, headers["content-type"], answer) == (200, PROTOBUF, b"")
    assert face.stored() == [body]


ENCODERS = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("encoding", ENCODERS)
def test_compressed_bodies_are_taken(face, encoding):
    body = plain_body(1, 50)
    assert face.post(ENCODERS[encoding](body), content_encoding=encoding)[0] == 200
    assert face.stored() == [body]
    assert (
        face.count(
            f'bodies_received_total{{protocol="http/protobuf",encoding="{encoding}",signal="traces"}}'
        )
        == 1
    )


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_compressed_body_in_several_members_is_taken_whole(face, encoding):
    body = plain_body(1, 50)
    encode = ENCODERS[encoding]
    assert face.post(encode(body[:700]) + encode(body[700:]), content_encoding=encoding)[0] == 200
    assert face.stored() == [body]


def test_identity_is_an_encoding(face):
    assert face.post(plain_body(1, 1), content_encoding="identity")[0] == 200


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
        (b"not zstd", {"content_encoding": "zstd"}, 400, "not sound zstd"),
        (zstd.compress(plain_body(1, 3))[:-9], {"content_encoding": "zstd"}, 400, "cut short"),
        (plain_body(1, 1), {"content_encoding": "snappy"}, 415, "snappy"),
        (plain_body(1, 1), {"content_encoding": "gzip, zstd"}, 415, "Several"),
        (plain_body(1, 1), {"Content_Type": "text/plain"}, 415, "text/plain"),
        (plain_body(1, 1), {"Content_Type": ""}, 415, "send application/x-protobuf"),
        (b"\x00" * (1 << 21), {}, 413, "TACHO_MAX_BODY_BYTES"),
        (
            gzip.compress(b"\x00" * (1 << 26)),
            {"content_encoding": "gzip"},
            413,
            "TACHO_MAX_BODY_BYTES",
        ),
        (
            zstd.compress(b"\x00" * (1 << 26)),
            {"content_encoding": "zstd"},
            413,
            "TACHO_MAX_BODY_BYTES",
        ),
        (gzip.compress(b"") * 20_000, {"content_encoding": "gzip"}, 400, "10000 pieces"),
        (zstd.compress(b"") * 20_000, {"content_encoding": "zstd"}, 400, "10000 pieces"),
    ],
    ids=[
        *("garbage", "cut", "no gzip", "cut gzip", "no zstd", "cut zstd", "encoding", "chain"),
        *("type", "no type", "large", "gzip bomb", "zstd bomb", "gzip crumbs", "zstd crumbs"),
    ],
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


def assert_told_to_come_back(answer, why: str) -> None:
    status, headers, body = answer
    assert status == 503
    assert headers["retry-after"] in {"1", "2"}
    assert why in Status.FromString(body).message


def test_a_full_log_answers_503_with_retry_after_and_keeps_nothing(open_face):
    face = open_face(limits=Limits(min_free_bytes=0, max_unstored_bytes=100))
    assert_told_to_come_back(face.post(plain_body(1, 5)), "full")
    assert face.stored() == []


def test_a_nearly_full_disk_answers_503(open_face):
    face = open_face(limits=Limits(min_free_bytes=1 << 62))
    assert_told_to_come_back(face.post(plain_body(1, 5)), "disk is nearly full")


def test_a_stopping_collector_takes_nothing_more(face):
    face.receiver.stopping = True
    assert face.post(plain_body(1, 1))[0] == 503


def test_with_a_key_only_its_holder_may_send(open_face):
    face = open_face(api_key="s3cret")
    body = plain_body(1, 1)
    for path in ("/v1/traces", "/v1/logs"):
        assert face.post(body, path=path)[0] == 401
        assert face.post(body, path=path, Authorization="Bearer wrong")[0] == 401
        assert face.post(body, path=path, Authorization="Basic s3cret")[0] == 401
    assert face.stored() == []
    assert face.post(body, Authorization="Bearer s3cret")[0] == 200


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


# --- JSON ---


def json_body(trace: int = 1, **span) -> bytes:
    """A request with one span, in JSON."""
    made = {"traceId": f"{trace:032x}", "spanId": f"{trace:016x}", "name": "work"} | span
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [made]}]}]}).encode()


def test_json_is_stored_and_answered_with_json(face):
    status, headers, answer = face.post(json_body(), content_type=f"{JSON}; charset=utf-8")
    assert (status, headers["content-type"], answer) == (200, JSON, b"{}")
    assert len(face.stored()) == 1
    assert (
        face.count(
            'bodies_received_total{protocol="http/json",encoding="identity",signal="traces"}'
        )
        == 1
    )


def test_json_is_refused_with_json_that_names_the_place(face):
    status, headers, answer = face.post(json_body(kind="x"), content_type=JSON)
    told = json.loads(answer)
    assert (status, headers["content-type"], told["code"]) == (400, JSON, 3)
    assert "resourceSpans[0].scopeSpans[0].spans[0].kind" in told["message"]


def test_json_tells_dropped_spans_as_partial_success(face):
    status, _, answer = face.post(json_body(spanId="00"), content_type=JSON)
    assert status == 200
    assert json.loads(answer)["partialSuccess"]["rejectedSpans"] == "1"


def test_compressed_json_is_taken(face):
    body = gzip.compress(json_body())
    assert face.post(body, content_type=JSON, content_encoding="gzip")[0] == 200
    assert len(face.stored()) == 1


# --- what is mended, what is not stored ---


def test_one_broken_string_does_not_cost_the_batch(face):
    body = Trace().span(1, "good").span(2, "broken: @@").body().replace(b"@@", b"\xff\xfe")
    status, _, answer = face.post(body)
    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert (status, partial.rejected_spans) == (200, 0)
    assert "UTF-8" in partial.error_message
    (stored,) = face.stored()
    assert "broken: \ufffd\ufffd".encode() in stored
    assert b"good" in stored
    assert face.count("strings_mended_total") == 1


def logs_request() -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for _ in range(3):
        records.add().body.string_value = "x"
    return request


def metrics_request() -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    metrics.add().gauge.data_points.add()
    for _ in range(2):
        metrics.add().exponential_histogram.data_points.add()
    metrics.add()
    return request


@pytest.mark.parametrize(
    ("signal", "request_"), [("logs", logs_request()), ("metrics", metrics_request())]
)
def test_logs_and_metrics_are_kept_like_traces_in_both_forms(face, signal, request_):
    raw = request_.SerializeToString()
    assert face.post(raw, path=f"/v1/{signal}")[::2] == (200, b"")
    assert face.post(gzip.compress(raw), path=f"/v1/{signal}", content_encoding="gzip")[0] == 200
    body = json.dumps(json_format.MessageToDict(request_)).encode()
    status, _, answer = face.post(body, path=f"/otlp/v1/{signal}", content_type=JSON)
    assert (status, json.loads(answer)) == (200, {})
    assert face.stored() == [raw], "the same bytes, whichever way they came, are kept once"

    assert face.post(b"", path=f"/v1/{signal}")[::2] == (200, b"")
    assert face.post(b"garbage", path=f"/v1/{signal}")[0] == 400
    for odd in (b"[]", b'{"resourceLogs":[1],"resourceMetrics":"x"}', b"nonsense"):
        assert face.post(odd, path=f"/v1/{signal}", content_type=JSON)[0] == 400
    assert face.count(f'records_acknowledged_total{{signal="{signal}"}}') == 9
    assert face.count(f'bodies_refused_total{{reason="bad_body",signal="{signal}"}}') == 4


# --- sent again ---


def test_a_body_that_comes_again_is_answered_and_not_stored_again(face):
    body = plain_body(1, 3)
    for _ in range(3):
        assert face.post(body)[0] == 200
    assert face.post(gzip.compress(body), content_encoding="gzip")[0] == 200
    assert face.stored() == [body]
    assert face.count('bodies_repeated_total{signal="traces"}') == 3


def test_a_beat_of_an_open_span_is_stored_again_in_time_and_not_each_time(open_face):
    """A process that waits for a person sends the same bytes for hours: its run is not an interrupted one, and whoever
    sends them without a pause fills no disk.
    """
    clock = [1_000.0]
    face = open_face(window=Window(clock=lambda: clock[0]))
    beat = Trace().span(1, ms=None, tacho__layer="run", tacho__open=True).body()
    stored_at_s = []
    while clock[0] < 1_060:
        before = len(face.stored())
        for _ in range(3):
            assert face.post(beat)[0] == 200
        if len(face.stored()) > before:
            stored_at_s.append(clock[0] - 1_000)
        clock[0] += 5
    assert face.stored() == [beat] * 4
    assert stored_at_s == [0, 15, 30, 45]


def test_other_signals_that_come_again_are_not_stored_for_the_word_of_open_spans(open_face):
    clock = [1_000.0]
    face = open_face(window=Window(clock=lambda: clock[0]))
    body = log_body("tacho.open")
    for _ in range(3):
        assert face.post(body, path="/v1/logs")[0] == 200
        clock[0] += 60
    assert face.stored() == [body]


def test_a_refused_body_is_stored_when_it_comes_again(open_face):
    first, body = plain_body(2, 20), plain_body(1, 3)
    just_one = records.encoded_bytes("default", first)
    face = open_face(limits=Limits(min_free_bytes=0, max_unstored_bytes=just_one))
    assert face.post(first)[0] == 200
    assert face.post(body)[0] == 503
    face.log.confirm(face.log.committed)
    assert face.post(body)[0] == 200
    assert face.stored() == [body]
    assert face.count("bodies_repeated_total") == 0


class SlowDisk:
    """A log whose disk answers when told to."""

    def __init__(self, log):
        self._log = log
        self._held = []
        self.appended = threading.Semaphore(0)

    def append(self, project, body, spans, done, kind):
        self._log.append(project, body, spans, lambda error: self._hold(done, error), kind)

    def _hold(self, done, error):
        self._held.append((done, error))
        self.appended.release()

    def answer(self):
        for done, error in self._held:
            done(error)
        self._held.clear()

    def __getattr__(self, name):
        return getattr(self._log, name)


@pytest.fixture
def slow_disk(tmp_path):
    return SlowDisk(Log(tmp_path / "log", Limits(min_free_bytes=0)))


def test_a_disk_that_takes_too_long_is_503_and_the_body_counts_once_it_is_there(
    open_face, slow_disk
):
    face = open_face(log=slow_disk, patience_s=0.05)
    body = plain_body(1, 3)
    assert_told_to_come_back(face.post(body), "disk takes too long")
    assert_told_to_come_back(face.post(body), "disk takes too long")
    # The disk below may take longer than that patience too.
    assert slow_disk.appended.acquire(timeout=60)
    slow_disk.answer()
    assert face.post(body)[0] == 200
    assert face.stored() == [body]


def test_a_duplicate_waits_for_the_first_ones_verdict(open_face, slow_disk):
    face = open_face(log=slow_disk, patience_s=20.0)
    body = plain_body(1, 3)
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(face.post(body)[0])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    assert slow_disk.appended.acquire(timeout=60)
    until(lambda: face.count("log_queue_depth") == 4)
    assert answers == []
    slow_disk.answer()
    for thread in threads:
        thread.join(60)
    assert answers == [200] * 4
    assert face.stored() == [body]


# --- memory and slow clients ---


def until(condition) -> None:
    """Ask until it holds; the test's time limit bounds it."""
    pause = threading.Event()
    while not condition():
        pause.wait(0.005)


def begin(face, body: bytes, *, declared: int) -> socket.socket:
    """Send the head of a request and only a part of its body."""
    opened = socket.create_connection(("127.0.0.1", face.port), timeout=60)
    head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nContent-Length: {declared}\r\n\r\n"
    opened.sendall(head.encode() + body)
    return opened


def test_bodies_in_flight_are_bounded_and_given_back(open_face):
    face = open_face(in_flight_bytes=3000)
    first = begin(face, b"x" * 2500, declared=2600)
    until(lambda: face.count("in_flight_bytes") == 2500)
    body = plain_body(1, 10)
    assert_told_to_come_back(face.post(body), "busy with other bodies")
    first.close()
    until(lambda: face.count("bodies_in_flight") == 0)
    assert face.post(body)[0] == 200
    assert face.count("in_flight_bytes") == 0


def test_what_decompression_makes_counts_as_in_flight(open_face):
    face = open_face(in_flight_bytes=100_000)
    first = begin(face, b"x" * 2500, declared=2600)
    until(lambda: face.count("in_flight_bytes") == 2500)
    packed = gzip.compress(plain_body(1, 2000))
    assert len(packed) < 90_000 < len(plain_body(1, 2000))
    assert_told_to_come_back(face.post(packed, content_encoding="gzip"), "busy with other bodies")
    first.close()


def test_a_body_alone_may_be_as_large_as_bodies_may_be(open_face):
    face = open_face(in_flight_bytes=10)
    assert face.post(plain_body(1, 10))[0] == 200


def test_a_body_that_stalls_is_dropped_with_its_connection(open_face):
    face = open_face(stall_s=0.1)
    client = begin(face, b"x" * 10, declared=100)
    answer = http.client.HTTPResponse(client)
    answer.begin()
    assert answer.status == 408
    assert "0.1 seconds" in Status.FromString(answer.read()).message
    assert client.recv(1) == b""
    client.close()
    assert face.count("in_flight_bytes") == 0


def test_a_connection_is_kept_for_the_next_body(face):
    connection = http.client.HTTPConnection("127.0.0.1", face.port, timeout=60)
    ports = set()
    for number in range(3):
        connection.request(
            "POST", "/v1/traces", plain_body(number + 1, 1), {"Content-Type": PROTOBUF}
        )
        answer = connection.getresponse()
        answer.read()
        ports.add(connection.sock.getsockname()[1])
        assert answer.status == 200
    connection.close()
    assert len(ports) == 1


def test_pages_of_a_browser_are_not_invited(face):
    status, headers, _ = face.post(b"", method="OPTIONS", Origin="https://example.org")
    assert status == 405
    assert not [name for name in headers if name.lower().startswith("access-control")]
    _, headers, _ = face.post(plain_body(1, 1), Origin="https://example.org")
    assert not [name for name in headers if name.lower().startswith("access-control")]


def test_very_many_tiny_spans_are_refused_before_they_are_built(open_face):
    face = open_face(max_body_bytes=1 << 24)
    spans = b"\x12\x00" * 2_000_000
    for body in (
        field(1, field(2, spans)),  # spans
        field(1, spans),  # scopes
        b"\x0a\x00" * 2_000_000,  # resources
    ):
        status, _, answer = face.post(body)
        assert status == 413
        assert "Send smaller batches" in Status.FromString(answer).message


def field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field."""
    size, out = len(content), bytearray([number << 3 | 2])
    while size > 127:
        out.append(size & 127 | 128)
        size >>= 7
    return bytes(out) + bytes([size]) + content


@pytest.mark.parametrize("origin", ["http://elsewhere.example", "null", "http://127.0.0.1:4318"])
def test_a_page_of_a_browser_sends_no_spans_even_under_a_name_that_leads_here(face, origin):
    """DNS rebinding: for the browser such a page and the collector are the same site, but it says its name."""
    status, _, _ = face.post(b"", origin=origin, host="elsewhere.example")
    assert status == 403
    assert face.stored() == []
    assert face.post(b"")[0] == 200
