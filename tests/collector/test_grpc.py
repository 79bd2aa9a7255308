"""OTLP over real gRPC: the same bytes in the log as over HTTP, and answers that clients understand."""

from __future__ import annotations

import asyncio
import socket
import threading

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otlp import Trace, plain_body
from tachograph_collector.errors import StartError
from tachograph_collector.grpc_intake import GrpcIntake
from tachograph_collector.signals import LOGS, METRICS
from tachograph_collector.wal.log import Limits


def refused(face, body: bytes, **options) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        face.call(body, **options)
    return caught.value


def assert_told_to_come_back(error: grpc.RpcError, why: str) -> None:
    """Both places that clients look in say when."""
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert why in error.details()
    trailing = dict(error.trailing_metadata())
    status = Status.FromString(trailing["grpc-status-details-bin"])
    packed = RetryInfo()
    assert status.code == grpc.StatusCode.UNAVAILABLE.value[0]
    assert status.details[0].Unpack(packed)
    plain = RetryInfo.FromString(trailing["google.rpc.retryinfo-bin"])
    assert packed == plain
    assert 1 <= plain.retry_delay.ToMilliseconds() / 1e3 <= 2


def test_a_good_body_is_on_disk_when_the_call_returns(face):
    body = plain_body(1, 3)
    assert face.call(body) == b""
    assert face.stored() == [body]
    assert (
        face.count('bodies_received_total{protocol="grpc",encoding="unknown",signal="traces"}') == 1
    )


def test_gzip_is_taken(face):
    body = plain_body(1, 300)
    assert face.call(body, compression=grpc.Compression.Gzip) == b""
    assert face.stored() == [body]


def test_a_body_that_came_over_http_is_known_over_grpc(face):
    body = plain_body(1, 3)
    face.post(body)
    face.call(body)
    assert face.stored() == [body]


def test_garbage_is_an_invalid_argument(face):
    error = refused(face, b"garbage")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "not an OTLP trace export request" in error.details()
    assert face.stored() == []


def test_dropped_spans_and_mended_text_are_told_as_partial_success(face):
    trace = Trace().span(1, "@@")
    trace.request.resource_spans[0].scope_spans[0].spans.add(trace_id=b"short", span_id=b"12345678")
    answer = face.call(trace.body().replace(b"@@", b"\xff\xff"))
    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert partial.rejected_spans == 1
    assert "trace id" in partial.error_message
    assert "UTF-8" in partial.error_message


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip])
def test_a_body_over_the_limit_is_refused_for_good(open_face, compression):
    face = open_face(max_body_bytes=10_000)
    body = plain_body(1, 100)
    assert 10_000 < len(body) < 20_000
    error = refused(face, body, compression=compression)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "TACHO_MAX_BODY_BYTES" in error.details()


def test_a_bomb_is_not_inflated(open_face):
    face = open_face(max_body_bytes=10_000)
    error = refused(face, bytes(1 << 26), compression=grpc.Compression.Gzip)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert face.stored() == []


def test_a_full_log_tells_when_to_come_back(open_face):
    face = open_face(limits=Limits(min_free_bytes=0, max_unstored_bytes=100))
    assert_told_to_come_back(refused(face, plain_body(1, 5)), "full")
    assert face.count('bodies_refused_total{reason="not_now",signal="traces"}') == 1


def test_too_much_in_flight_tells_when_to_come_back(open_face):
    face = open_face(in_flight_bytes=1000)
    with face.receiver.memory.loan() as other:
        other.claim(900)
        assert_told_to_come_back(refused(face, plain_body(1, 5)), "busy")
    assert face.call(plain_body(1, 5)) == b""


def test_a_stopping_collector_tells_when_to_come_back(face):
    face.receiver.stopping = True
    assert_told_to_come_back(refused(face, plain_body(1, 1)), "stopping")


def test_with_a_key_only_its_holder_may_send(open_face):
    face = open_face(api_key="s3cret")
    body = plain_body(1, 1)
    for metadata in ([], [("authorization", "Bearer wrong")], [("authorization", "s3cret")]):
        error = refused(face, body, metadata=metadata)
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert "TACHO_API_KEY" in error.details()
    assert face.stored() == []
    face.call(body, metadata=[("authorization", "Bearer s3cret")])
    assert face.stored() == [body]


def test_logs_and_metrics_have_services_of_their_own(face):
    logs = ExportLogsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add(event_name="e")
    metrics = ExportMetricsServiceRequest()
    metrics.resource_metrics.add().scope_metrics.add().metrics.add().sum.data_points.add(as_int=1)
    for signal, request in ((LOGS, logs), (METRICS, metrics)):
        assert face.call(request.SerializeToString(), service=signal.service) == b""
        code = refused(face, b"garbage", service=signal.service).code()
        assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert face.stored() == [logs.SerializeToString(), metrics.SerializeToString()]


def test_an_unknown_service_is_unimplemented(face):
    assert refused(face, b"", service="no.such.Service").code() is grpc.StatusCode.UNIMPLEMENTED


def test_many_calls_at_once_are_all_stored(face):
    failures = []

    def client(number):
        try:
            for turn in range(5):
                face.call(plain_body(1 + number * 100 + turn, 3))
        except grpc.RpcError as error:
            failures.append(error)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(face.stored()) == 30


def test_a_taken_port_is_named_with_its_setting(face):
    async def again(port):
        GrpcIntake("127.0.0.1", port, 1 << 20)

    port = int(face.grpc.rpartition(":")[2])
    with pytest.raises(StartError, match=f"Port {port} .*TACHO_GRPC_PORT"):
        asyncio.run(again(port))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(StartError, match="TACHO_GRPC_PORT"):
            asyncio.run(again(other.getsockname()[1]))


def test_stopping_lets_a_call_under_way_finish(open_face):
    """The call waits for the disk while the server stops; it is answered all the same."""
    face = open_face()
    append, held, started = face.log.append, [], threading.Event()

    def slow(project, body, spans, done, kind):
        def hold(error):
            held.append((done, error))
            started.set()

        append(project, body, spans, hold)

    face.log.append = slow
    answers = []
    thread = threading.Thread(target=lambda: answers.append(face.call(plain_body(1, 1))))
    thread.start()
    assert started.wait(60)
    face.begin_stop()
    for done, error in held:
        done(error)
    thread.join(60)
    assert answers == [b""]
