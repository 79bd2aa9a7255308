"""Logs and metrics on their way into the log: canonical bytes, JSON, odd values, real exporters."""

from __future__ import annotations

import base64
import json

import pytest
from google.protobuf import json_format
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from otlp import any_value, key_values
from signal_bodies import all_points, log_body
from tachograph_collector.canonical import MAX_SPANS
from tachograph_collector.errors import BadBodyError, TooLargeError
from tachograph_collector.signals import FACES, LOGS, METRICS

REQUESTS = {"logs": ExportLogsServiceRequest, "metrics": ExportMetricsServiceRequest}


def as_json(request) -> bytes:
    """OTLP's JSON of a request: protobuf's, with ids in hex."""
    made = json_format.MessageToDict(request)

    def mend(value):
        if isinstance(value, list):
            return [mend(item) for item in value]
        if not isinstance(value, dict):
            return value
        hexed = {
            key: base64.b64decode(value[key]).hex() for key in ("traceId", "spanId") if key in value
        }
        return {key: mend(item) for key, item in value.items()} | hexed

    return json.dumps(mend(made)).encode()


@pytest.mark.parametrize(
    ("signal", "raw", "count"),
    [
        ("logs", log_body("plain", event_name="e", number=3, tags=["a", 1]), 1),
        ("metrics", all_points(), 6),
    ],
)
def test_a_flat_body_is_canonical_as_it_is_and_json_gives_the_same_bytes(signal, raw, count):
    found = FACES[signal].read_protobuf(raw)
    assert (found.data, found.spans) == (raw, count)
    again = FACES[signal].read_json(as_json(REQUESTS[signal].FromString(raw)))
    assert again == found


def test_nested_values_of_a_log_record_become_json_text():
    raw = log_body({"role": "user", "parts": [{"n": 1}]}, tree={"a": [None, 2.5]}, raw=b"\x01")
    for found in (
        LOGS.read_protobuf(raw),
        LOGS.read_json(as_json(ExportLogsServiceRequest.FromString(raw))),
    ):
        (record,) = (
            ExportLogsServiceRequest.FromString(found.data)
            .resource_logs[0]
            .scope_logs[0]
            .log_records
        )
        assert json.loads(record.body.string_value) == {"role": "user", "parts": [{"n": 1}]}
        texts = {each.key: each.value.string_value for each in record.attributes}
        assert json.loads(texts["tree"]) == {"a": [None, 2.5]}
        assert json.loads(texts["raw"]) == "AQ=="


def test_unknown_fields_are_dropped_and_known_ones_stay():
    raw = log_body("x", event_name="e")
    extended = raw + b"\xfa\x01\x03abc"  # field 31, of a later OTLP
    assert LOGS.read_protobuf(extended).data == raw


def test_broken_text_is_mended_in_every_signal():
    for face, raw in ((LOGS, log_body("good BROKEN text")), (METRICS, all_points("BROKEN"))):
        found = face.read_protobuf(raw.replace(b"BROKEN", b"BRO\xff\xfeN"))
        assert found.mended == 1
        assert "BRO\ufffd\ufffdN".encode() in found.data
        assert "UTF-8" in face.answer(found).partial_success.error_message


def test_too_many_records_are_refused_before_they_are_built():
    many = MAX_SPANS + 1
    points = nested(b"\x12", nested(b"\x2a", b"\x0a\x00" * many))
    for face, records in ((LOGS, b"\x12\x00" * many), (METRICS, points)):
        with pytest.raises(TooLargeError, match=str(many)):
            face.read_protobuf(nested(b"\x0a", nested(b"\x12", records)))


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def nested(tag: bytes, inner: bytes) -> bytes:
    return tag + varint(len(inner)) + inner


def test_a_large_resource_on_many_records_is_refused():
    request = ExportLogsServiceRequest()
    resource_logs = request.resource_logs.add()
    resource_logs.resource.attributes.extend(key_values({"blob": "x" * 1_000_000}))
    records = resource_logs.scope_logs.add().log_records
    for _ in range(300):
        records.add(body=any_value("x"))
    with pytest.raises(TooLargeError, match="repeated"):
        LOGS.read_protobuf(request.SerializeToString())


@pytest.mark.parametrize(
    ("face", "body", "place"),
    [
        (
            LOGS,
            {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": 1}]}]}]},
            "logRecords[0].body",
        ),
        (LOGS, {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"traceId": "zz"}]}]}]}, "traceId"),
        (
            METRICS,
            {
                "resourceMetrics": [
                    {"scopeMetrics": [{"metrics": [{"sum": {"dataPoints": [{"asInt": "x"}]}}]}]}
                ]
            },
            "sum.dataPoints[0].asInt",
        ),
        (
            METRICS,
            {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"sum": {}, "gauge": {}}]}]}]},
            "metrics[0]",
        ),
    ],
)
def test_json_that_cannot_be_read_is_refused_with_its_place(face, body, place):
    with pytest.raises(BadBodyError) as caught:
        face.read_json(json.dumps(body).encode())
    assert place in str(caught.value)


def test_a_body_without_records_needs_no_place_in_the_log():
    empty_metric = ExportMetricsServiceRequest()
    empty_metric.resource_metrics.add().scope_metrics.add().metrics.add(
        name="nothing"
    ).gauge.SetInParent()
    for face, raw in ((LOGS, b""), (METRICS, empty_metric.SerializeToString())):
        assert face.read_protobuf(raw).data == b""


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_the_log_exporter_of_the_sdk_is_understood(face, protocol):
    exporter = (
        HttpLogs(f"{face.url}/v1/logs", timeout=60)
        if protocol == "http"
        else GrpcLogs(f"http://{face.grpc}", insecure=True, timeout=60)
    )
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger = provider.get_logger("test")
    logger.emit(
        LogRecord(event_name="gen_ai.evaluation.result", body={"why": ["a"]}, attributes={"s": 0.5})
    )
    provider.shutdown()
    (stored,) = face.stored()
    record = (
        ExportLogsServiceRequest.FromString(stored).resource_logs[0].scope_logs[0].log_records[0]
    )
    assert record.event_name == "gen_ai.evaluation.result"
    assert json.loads(record.body.string_value) == {"why": ["a"]}
    assert face.count('records_acknowledged_total{signal="logs"}') == 1


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_the_metric_exporter_of_the_sdk_is_understood(face, protocol):
    exporter = (
        HttpMetrics(f"{face.url}/v1/metrics", timeout=60)
        if protocol == "http"
        else GrpcMetrics(f"http://{face.grpc}", insecure=True, timeout=60)
    )
    provider = MeterProvider([PeriodicExportingMetricReader(exporter, 1e9)])
    meter = provider.get_meter("test")
    meter.create_counter("calls").add(3, {"model": "m"})
    meter.create_histogram("took").record(0.2)
    provider.force_flush()
    provider.shutdown()
    stored = [ExportMetricsServiceRequest.FromString(body) for body in face.stored()]
    found = {
        metric.name
        for request in stored
        for scope in request.resource_metrics[0].scope_metrics
        for metric in scope.metrics
    }
    assert {"calls", "took"} <= found


def test_each_record_of_the_log_says_its_signal(face):
    face.post(log_body("x"), path="/v1/logs")
    face.post(all_points(), path="/v1/metrics")
    records, _ = face.log.read(face.log.start(), 1 << 30, 1 << 30)
    assert [record.kind for record in records] == [1, 2], "written into files: never to be changed"
