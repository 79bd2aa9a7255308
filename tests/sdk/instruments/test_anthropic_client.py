"""What the instrument does around a call: errors, retries, budgets, other ways in, and leaving no trace."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import warnings

import anthropic
import httpx2
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import tachograph as tacho
from tachograph.demo.conversation import OVERLOADED, RATE_LIMITED
from tachograph.instruments import anthropic as hook
from tachograph_schemas import names

HOOKS = [hook]

needs_client_traces = pytest.mark.skipif(
    "open_telemetry" not in inspect.signature(anthropic.Anthropic).parameters,
    reason="this version of the client makes no spans of its own",
)


def test_an_api_error_is_recorded_and_raised_unchanged(client, spans, ask):
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.messages.create(**ask | {"model": "claude-nowhere"})
    span = spans.one(layer="model")
    assert span.status == "error"
    assert span.attributes[names.HTTP_RESPONSE_STATUS_CODE] == 404
    assert span.attributes[names.ANTHROPIC_ERROR_TYPE] == "not_found_error"
    assert span.attributes[names.ANTHROPIC_REQUEST_ID] == caught.value.request_id
    assert span.attributes[names.ERROR_TYPE] == "anthropic.NotFoundError"
    assert span.events[0].name == "exception"
    assert "claude-nowhere" in span.events[0].attributes["exception.message"]


def test_no_connection_is_recorded_as_an_error(spans, ask):
    with anthropic.Anthropic(api_key="k", base_url="http://127.0.0.1:9", max_retries=0) as client:
        with pytest.raises(anthropic.APIConnectionError):
            client.messages.create(**ask)
    span = spans.one(layer="model")
    assert span.attributes[names.ERROR_TYPE] == "anthropic.APIConnectionError"
    assert names.HTTP_RESPONSE_STATUS_CODE not in span.attributes


def test_retries_of_the_client_are_spans_below_the_call(server, client, spans, ask):
    server.fail_next(OVERLOADED)
    server.fail_next(RATE_LIMITED)
    client.messages.create(**ask)
    call = spans.one(layer="model")
    retries = spans.where(layer="retry")
    assert [span.attributes[names.HTTP_RESPONSE_STATUS_CODE] for span in retries] == [529, 429]
    assert [span.attributes[names.RETRY_ATTEMPT] for span in retries] == [1, 2]
    assert {span.parent_id for span in retries} == {call.span_id}
    assert all(span.end_time_ns - span.start_time_ns >= 15_000_000 for span in retries)
    assert call.attributes[names.HTTP_REQUEST_RESEND_COUNT] == 2
    assert call.status == "unset"


def test_retries_of_the_async_client_are_recorded_too(server, spans, ask):
    async def main() -> None:
        async with anthropic.AsyncAnthropic(api_key="k", base_url=server.url) as client:
            await client.messages.create(**ask)

    server.fail_next(OVERLOADED)
    asyncio.run(main())
    assert spans.one(layer="retry").parent_id == spans.one(layer="model").span_id


def test_a_used_up_budget_stops_the_call_before_any_request(server, client, spans, ask):
    with tacho.budget(model_calls=1):
        client.messages.create(**ask)
        with pytest.raises(tacho.BudgetExceeded):
            client.messages.create(**ask)
        with pytest.raises(tacho.BudgetExceeded), client.messages.stream(**ask):
            pass
    assert len(server.requests) == 1
    assert len(spans.where(layer="model")) == 1
    assert spans.where(layer="budget")[0].attributes[names.BUDGET_ACTION] == "stopped"


def test_usage_is_charged_to_the_budgets_around_the_call(client, spans, ask):
    with tacho.budget(tokens=10_000) as budget:
        usage = client.messages.create(**ask).usage
        assert budget.used("tokens") == usage.input_tokens + usage.output_tokens
        stream = client.messages.create(**ask, stream=True)
    for _ in stream:
        pass
    assert len(spans.where(layer="model")) == 2


def test_beta_messages_and_raw_responses_are_recorded_and_keep_their_types(client, spans, ask):
    beta = client.beta.messages.create(**ask)
    raw = client.messages.with_raw_response.create(**ask)
    with client.messages.with_streaming_response.create(**ask) as unread:
        read = unread.parse()
    assert type(beta).__name__ == "BetaMessage"
    assert type(raw).__name__ == "APIResponse"
    assert raw.headers["request-id"].startswith("req_")
    recorded = [span.attributes[names.GEN_AI_RESPONSE_ID] for span in spans.where(layer="model")]
    assert recorded == [beta.id, raw.parse().id, read.id]
    assert all(names.ABANDONED not in span.attributes for span in spans)


def test_a_compressed_raw_body_is_read(spans, ask, client):
    import gzip

    plain = client.messages.create(**ask)

    def compressed(request: httpx2.Request) -> httpx2.Response:
        body = gzip.compress(plain.to_json().encode())
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        return httpx2.Response(200, headers=headers, stream=httpx2.ByteStream(body))

    transport = httpx2.MockTransport(compressed)
    with httpx2.Client(transport=transport) as http:
        other = anthropic.Anthropic(api_key="k", base_url="http://model.test", http_client=http)
        with other.messages.with_streaming_response.create(**ask) as unread:
            assert plain.id.encode() in b"".join(unread.iter_bytes())
    last = spans.where(layer="model")[-1]
    assert last.attributes[names.GEN_AI_RESPONSE_ID] == plain.id


@needs_client_traces
def test_the_clients_own_span_is_not_doubled_and_other_calls_keep_theirs(server, spans, ask):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with anthropic.Anthropic(
        api_key="k", base_url=server.url, open_telemetry={"tracer_provider": provider}
    ) as client:
        client.messages.create(**ask)
        with client.messages.stream(**ask) as stream:
            stream.until_done()
        assert exporter.get_finished_spans() == ()
        client.messages.count_tokens(model=ask["model"], messages=ask["messages"])
    assert [span.name for span in exporter.get_finished_spans()] == [
        "anthropic.messages.count_tokens"
    ]
    assert len(spans.where(layer="model")) == 2


@needs_client_traces
def test_the_trace_context_still_travels_with_the_request(spans, ask):
    seen: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers.get("traceparent", ""))
        return httpx2.Response(500, json={"type": "error", "error": {"type": "api_error"}})

    for propagation in (True, False):
        with httpx2.Client(transport=httpx2.MockTransport(answer)) as http:
            client = anthropic.Anthropic(
                api_key="k",
                base_url="http://model.test",
                http_client=http,
                max_retries=0,
                open_telemetry={"propagation": propagation},
            )
            with pytest.raises(anthropic.InternalServerError):
                client.messages.create(**ask)
    span = spans.where(layer="model")[0]
    assert seen[0].startswith(f"00-{span.trace_id}-{span.span_id}-")
    assert seen[1:] == [""]


@needs_client_traces
def test_without_a_recorder_the_client_is_left_alone(server, ask):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    hook.install()
    try:
        with anthropic.Anthropic(
            api_key="k", base_url=server.url, open_telemetry={"tracer_provider": provider}
        ) as client:
            client.messages.create(**ask)
    finally:
        hook.uninstall()
    assert [span.name for span in exporter.get_finished_spans()] == ["anthropic.messages.create"]


def test_install_twice_records_once_and_uninstall_restores(spans):
    from anthropic._base_client import AsyncAPIClient, SyncAPIClient

    once = SyncAPIClient.request
    hook.install()
    assert SyncAPIClient.request is once
    assert inspect.iscoroutinefunction(AsyncAPIClient.request)
    hook.uninstall()
    assert SyncAPIClient.request is once.__wrapped__
    hook.install()


def test_deprecation_warnings_still_point_at_the_callers_line(client, spans, ask):
    from anthropic.resources.messages import DEPRECATED_MODELS

    old = next(iter(DEPRECATED_MODELS))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(anthropic.NotFoundError):
            client.messages.create(**ask | {"model": old})
    assert [warning.filename for warning in caught] == [__file__]


def test_a_missing_client_names_the_extra_to_install():
    code = (
        "import sys; sys.modules['anthropic'] = None\n"
        "try:\n import tachograph.instruments.anthropic\n"
        "except ImportError as error:\n print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "tachograph[anthropic]"' in done.stdout


def test_a_fault_of_the_instrument_never_reaches_the_caller(client, spans, ask, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("a fault of ours")

    for place in ("input_messages", "output_messages"):
        monkeypatch.setattr(f"tachograph.instruments._anthropic_dialect.{place}", broken)
    monkeypatch.setattr("tachograph.instruments._anthropic_dialect.MessageBuilder.add", broken)
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    assert client.messages.create(**ask).stop_reason == "end_turn"
    with client.messages.stream(**ask) as stream:
        assert stream.get_final_message().stop_reason == "end_turn"
    assert [span.status for span in spans.where(layer="model")] == ["unset", "error"]
