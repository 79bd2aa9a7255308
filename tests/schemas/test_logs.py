"""Log records as rows: columns, odd values, and the content of spans that only their logs carry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from otlp import Trace, span_id
from signal_bodies import log_body
from tachograph_collector.signals import LOGS
from tachograph_schemas import queries
from tachograph_schemas.span_logs import span_logs

SHARED = Path(__file__).parents[3] / "shared" / "data" / "captures"
CAPTURES = sorted(SHARED.glob("*/logs/*")) or [None]
TRACE, SPAN = (7).to_bytes(16, "big"), (2).to_bytes(8, "big")


def test_a_log_record_arrives_whole(load_signal, ask):
    load_signal(
        "logs",
        log_body(
            "hello",
            trace_id=TRACE,
            span_id=SPAN,
            severity=17,
            event_name="e",
            at_ns=1_000_000_005,
            n=3,
            tags=["a", 1],
            ok=True,
        ),
    )
    (row,) = ask(
        "SELECT body, trace_id, span_id, run_id, severity_number, severity, event_name, service, scope, attributes,"
        " toUnixTimestamp64Nano(time), toUnixTimestamp64Nano(assumeNotNull(observed_time)) FROM logs"
    )
    assert row[:9] == (
        "hello",
        TRACE.hex(),
        SPAN.hex(),
        TRACE.hex(),
        17,
        "ERROR",
        "e",
        "shop",
        "test",
    )
    assert row[9] == {"n": "3", "tags": '["a",1]', "ok": "true"}
    assert row[10:] == (1_000_000_005, 1_000_000_010)


@pytest.mark.parametrize(
    ("body", "text"),
    [("x", "x"), (3, "3"), (True, "true"), (["a", 1], '["a",1]'), (None, ""), ("", "")],
)
def test_bodies_of_every_type_become_text(load_signal, ask, body, text):
    load_signal("logs", log_body(body))
    assert ask("SELECT body FROM logs") == [(text,)]


def test_odd_records_do_not_fail_the_batch(load_signal, ask):
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    records.add(time_unix_nano=2**64 - 1, severity_number=-7, trace_id=b"short", span_id=SPAN)
    records.add(trace_id=bytes(16), span_id=bytes(8))
    records.add(severity_number=99, severity_text="LOUD")
    load_signal("logs", request.SerializeToString())
    rows = ask("SELECT trace_id, span_id, severity_number, severity FROM logs ORDER BY severity")
    assert rows == [("", "", 0, ""), ("", "", 0, ""), ("", "", 0, "LOUD")]


def test_a_record_that_names_its_run_belongs_to_it(load_signal, ask):
    load_signal("logs", log_body("x", trace_id=TRACE, tacho__run__id="r1"))
    assert ask("SELECT run_id, trace_id FROM logs") == [("r1", TRACE.hex())]


def test_the_same_request_again_shows_its_records_once_and_equal_records_stay_apart(
    load_signal, ask
):
    body = log_body("same", "same", at_ns=5)
    load_signal("logs", body)
    load_signal("logs", body)
    assert ask("SELECT count() FROM logs") == [(2,)]
    timeless = log_body("tick", at_ns=0)
    load_signal("logs", timeless)
    load_signal("logs", timeless)
    assert ask("SELECT count() FROM logs WHERE body = 'tick'") == [(2,)], (
        "without a time: two events"
    )


def test_an_evaluation_is_found_from_its_span(load, load_signal, client):
    load(Trace(7).span(2, "chat", gen_ai__operation__name="chat").body())
    load_signal(
        "logs",
        log_body(
            None,
            trace_id=TRACE,
            span_id=SPAN,
            event_name="gen_ai.evaluation.result",
            gen_ai__evaluation__name="correct",
            gen_ai__evaluation__score__value=0.5,
        ),
        log_body("elsewhere", trace_id=(8).to_bytes(16, "big"), span_id=SPAN),
        log_body("of the run", trace_id=TRACE),
    )
    (row,) = span_logs(client, TRACE.hex(), span_id(2))
    assert row.event_name == "gen_ai.evaluation.result"
    assert row.attributes["gen_ai.evaluation.score.value"] == "0.5"
    assert len(span_logs(client, TRACE.hex())) == 2
    assert len(span_logs(client, TRACE.hex(), limit=1)) == 1
    assert span_logs(client, TRACE.hex(), text_chars=2)[1].body in {"of", ""}


def test_the_logs_of_all_traces_of_a_run_are_found(load, load_signal, client):
    for trace in (7, 8):
        load(Trace(trace).span(1, "work", tacho__run__id="r1").body())
        load_signal("logs", log_body(str(trace), trace_id=trace.to_bytes(16, "big")))
    load_signal("logs", log_body("named", tacho__run__id="r1"), log_body("other"))
    assert {row.body for row in span_logs(client, "r1")} == {"7", "8", "named"}


def test_a_span_without_content_shows_that_of_its_details_event(load, load_signal, client):
    load(Trace(7).span(2, "chat", gen_ai__operation__name="chat").body())
    messages = [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    load_signal(
        "logs",
        log_body(
            None,
            trace_id=TRACE,
            span_id=SPAN,
            event_name="gen_ai.client.inference.operation.details",
            gen_ai__input__messages=messages,
            gen_ai__output__messages=[{"role": "assistant", "parts": []}],
        ),
    )
    found = queries.span(client, TRACE.hex(), span_id(2))
    assert json.loads(found.input) == messages
    assert json.loads(found.output)[0]["role"] == "assistant"


def test_a_span_without_content_shows_that_of_its_message_events(load, load_signal, client):
    load(Trace(7).span(2, "chat", gen_ai__operation__name="chat").body())
    ids = {"trace_id": TRACE, "span_id": SPAN}
    call = {"id": "c1", "function": {"name": "search", "arguments": '{"q":1}'}}
    load_signal(
        "logs",
        log_body({"content": "hi"}, event_name="gen_ai.user.message", at_ns=1, **ids),
        log_body({"tool_calls": [call]}, event_name="gen_ai.assistant.message", at_ns=2, **ids),
        log_body(
            {"id": "c1", "content": "found"}, event_name="gen_ai.tool.message", at_ns=3, **ids
        ),
        log_body(
            {"index": 0, "message": {"content": "done"}}, event_name="gen_ai.choice", at_ns=4, **ids
        ),
    )
    found = queries.span(client, TRACE.hex(), span_id(2))
    user, asked, answered = json.loads(found.input)
    assert user == {"role": "user", "parts": [{"type": "text", "content": "hi"}]}
    assert asked["parts"] == [
        {"type": "tool_call", "id": "c1", "name": "search", "arguments": '{"q":1}'}
    ]
    assert answered["parts"][0]["response"] == "found"
    assert json.loads(found.output)[0]["parts"][0]["content"] == "done"


def test_content_of_the_span_itself_wins(load, load_signal, client):
    load(Trace(7).span(2, "x", gen_ai__operation__name="chat", input__value="mine").body())
    load_signal(
        "logs",
        log_body(
            {"content": "theirs"}, trace_id=TRACE, span_id=SPAN, event_name="gen_ai.user.message"
        ),
    )
    assert queries.span(client, TRACE.hex(), span_id(2)).input == "mine"


@pytest.mark.parametrize(
    "path", CAPTURES, ids=lambda path: path and f"{path.parent.parent.name}-{path.stem}"
)
def test_logs_of_real_clients_are_stored_whole(load_signal, ask, path):
    if path is None:
        pytest.skip(
            "../shared/data is not here: this test reads real recordings beside the checkout"
        )
    raw = path.read_bytes()
    found = (LOGS.read_json if path.suffix == ".json" else LOGS.read_protobuf)(raw)
    load_signal("logs", found.data)
    if path.suffix == ".json":
        records = [
            record
            for resource in json.loads(raw)["resourceLogs"]
            for scope in resource["scopeLogs"]
            for record in scope["logRecords"]
        ]
        traces = [record.get("traceId", "") for record in records]
        attributes = [len(record["attributes"]) for record in records]
    else:
        records = [
            record
            for resource in ExportLogsServiceRequest.FromString(raw).resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]
        traces = [record.trace_id.hex() for record in records]
        attributes = [len(record.attributes) for record in records]
    rows = ask("SELECT trace_id, length(attributes) FROM logs")
    assert sorted(rows) == sorted(zip(traces, attributes, strict=True))
