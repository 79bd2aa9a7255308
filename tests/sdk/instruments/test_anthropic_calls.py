"""Calls of the official client, sync and async, as model spans."""

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
from tachograph.instruments.anthropic import install, uninstall
from tachograph_schemas import names

WEATHER = {
    "name": "read_weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def test_create_is_one_model_span_with_request_response_and_usage(client, spans, ask, parsed):
    message = client.messages.create(
        **ask,
        system="Be brief.",
        stop_sequences=["END"],
        # The client takes these only through here since version 2.
        extra_body={"temperature": 0.5, "top_p": 0.9, "top_k": 5},
    )
    span = spans.one(layer="model")
    assert len(spans) == 1
    assert span.name == "chat claude-haiku-4-5"
    assert span.status == "unset"
    expected = {
        names.GEN_AI_OPERATION_NAME: "chat",
        names.GEN_AI_PROVIDER_NAME: "anthropic",
        names.GEN_AI_REQUEST_MODEL: "claude-haiku-4-5",
        names.GEN_AI_REQUEST_MAX_TOKENS: 300,
        names.GEN_AI_REQUEST_TEMPERATURE: 0.5,
        names.GEN_AI_REQUEST_TOP_P: 0.9,
        names.GEN_AI_REQUEST_TOP_K: 5,
        names.GEN_AI_REQUEST_STOP_SEQUENCES: ("END",),
        names.GEN_AI_RESPONSE_ID: message.id,
        names.GEN_AI_RESPONSE_MODEL: "claude-haiku-4-5",
        names.GEN_AI_RESPONSE_FINISH_REASONS: ("end_turn",),
        names.GEN_AI_USAGE_INPUT_TOKENS: message.usage.input_tokens,
        names.GEN_AI_USAGE_OUTPUT_TOKENS: message.usage.output_tokens,
        names.ANTHROPIC_REQUEST_ID: message._request_id,
    }
    assert {key: span.attributes.get(key) for key in expected} == expected
    assert names.GEN_AI_REQUEST_STREAM not in span.attributes
    assert parsed(span, names.GEN_AI_SYSTEM_INSTRUCTIONS) == [
        {"type": "text", "content": "Be brief."}
    ]
    assert parsed(span, names.GEN_AI_INPUT_MESSAGES) == [
        {"role": "user", "parts": [{"type": "text", "content": "Say something."}]}
    ]
    output = parsed(span, names.GEN_AI_OUTPUT_MESSAGES)
    assert output[0]["finish_reason"] == "end_turn"
    assert output[0]["parts"] == [{"type": "text", "content": message.content[0].text}]


def test_async_create_records_concurrent_calls_apart(server, spans, ask):
    async def main() -> list[str]:
        async with anthropic.AsyncAnthropic(api_key="k", base_url=server.url) as client:
            answers = await asyncio.gather(
                *(client.messages.create(**ask | {"max_tokens": n}) for n in (10, 20, 30))
            )
            return [answer.id for answer in answers]

    ids = asyncio.run(main())
    recorded = {
        span.attributes[names.GEN_AI_REQUEST_MAX_TOKENS]: span.attributes[names.GEN_AI_RESPONSE_ID]
        for span in spans.where(layer="model")
    }
    assert recorded == dict(zip((10, 20, 30), ids, strict=True))


def test_parallel_tool_use_is_recorded_in_both_directions(client, spans, ask, parsed):
    ask |= {"tools": [WEATHER], "max_tokens": 900}
    first = client.messages.create(**ask)
    calls = [block for block in first.content if block.type == "tool_use"]
    ask["messages"] += [
        {"role": "assistant", "content": first.content},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": calls[0].id, "content": "rain"},
                {
                    "type": "tool_result",
                    "tool_use_id": calls[1].id,
                    "content": [{"type": "text", "text": "station is down"}],
                    "is_error": True,
                },
            ],
        },
    ]
    client.messages.create(**ask)
    before, after = spans.where(layer="model")
    assert parsed(before, names.GEN_AI_TOOL_DEFINITIONS) == [
        {
            "type": "function",
            "name": "read_weather",
            "description": "The weather in a city.",
            "parameters": WEATHER["input_schema"],
        }
    ]
    assert before.attributes[names.GEN_AI_RESPONSE_FINISH_REASONS] == ("tool_use",)
    assert parsed(before, names.GEN_AI_OUTPUT_MESSAGES)[0]["parts"] == [
        {"type": "text", "content": "Looking."},
        {
            "type": "tool_call",
            "id": calls[0].id,
            "name": "read_weather",
            "arguments": {"city": "Oslo"},
        },
        {
            "type": "tool_call",
            "id": calls[1].id,
            "name": "read_weather",
            "arguments": {"city": "Bergen"},
        },
    ]
    asked, results = parsed(after, names.GEN_AI_INPUT_MESSAGES)[1:]
    assert [part["type"] for part in asked["parts"]] == ["text", "tool_call", "tool_call"]
    assert results == {
        "role": "tool",
        "parts": [
            {"type": "tool_call_response", "id": calls[0].id, "response": "rain"},
            {
                "type": "tool_call_response",
                "id": calls[1].id,
                "response": [{"type": "text", "content": "station is down"}],
                "is_error": True,
            },
        ],
    }


def test_thinking_and_media_become_parts_without_their_bytes(client, spans, ask, parsed):
    picture = {"type": "base64", "media_type": "image/png", "data": "aGVsbG8=" * 500}
    ask["messages"] = [
        {
            "role": "user",
            "content": [
                {"type": "image", "source": picture},
                {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
                {"type": "text", "text": "What is this?"},
            ],
        }
    ]
    client.messages.create(**ask, thinking={"type": "adaptive"})
    span = spans.one(layer="model")
    blob, uri, text = parsed(span, names.GEN_AI_INPUT_MESSAGES)[0]["parts"]
    assert (blob["type"], blob["modality"], blob["mime_type"]) == ("blob", "image", "image/png")
    assert "data" not in blob
    assert len(blob["sha256"]) == 64
    assert uri == {"type": "uri", "modality": "document", "uri": "https://example.com/a.pdf"}
    assert text == {"type": "text", "content": "What is this?"}
    parts = parsed(span, names.GEN_AI_OUTPUT_MESSAGES)[0]["parts"]
    assert parts[0] == {"type": "reasoning", "content": "An easy one."}
    assert span.attributes[names.GEN_AI_USAGE_REASONING_TOKENS] > 0


def test_cache_usage_is_inclusive_and_split_by_lifetime(client, spans, ask):
    ask["system"] = [
        {
            "type": "text",
            "text": "rules " * 90,
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
        {"type": "text", "text": "notes " * 90, "cache_control": {"type": "ephemeral"}},
    ]
    first, second = (client.messages.create(**ask).usage for _ in range(2))
    writing, reading = (span.attributes for span in spans.where(layer="model"))
    written = first.cache_creation
    assert writing[names.ANTHROPIC_CACHE_WRITE_1H_TOKENS] == written.ephemeral_1h_input_tokens > 0
    assert writing[names.ANTHROPIC_CACHE_WRITE_5M_TOKENS] == written.ephemeral_5m_input_tokens > 0
    assert writing[names.GEN_AI_USAGE_CACHE_WRITE_TOKENS] == first.cache_creation_input_tokens
    assert reading[names.GEN_AI_USAGE_CACHE_READ_TOKENS] == second.cache_read_input_tokens > 0
    total = second.input_tokens + second.cache_read_input_tokens
    assert reading[names.GEN_AI_USAGE_INPUT_TOKENS] == total
    assert writing[names.GEN_AI_USAGE_INPUT_TOKENS] == total


def test_changes_after_the_call_do_not_change_the_record(client, spans, ask, parsed):
    with client.messages.stream(**ask) as stream:
        ask["messages"][0]["content"] = "something else"
        ask["messages"].append({"role": "user", "content": "more"})
        stream.until_done()
    message = client.messages.create(**ask | {"messages": [{"role": "user", "content": "first"}]})
    message.content[0].text = "changed"
    streamed, created = spans.where(layer="model")
    assert parsed(streamed, names.GEN_AI_INPUT_MESSAGES) == [
        {"role": "user", "parts": [{"type": "text", "content": "Say something."}]}
    ]
    assert "changed" not in created.attributes[names.GEN_AI_OUTPUT_MESSAGES]


def test_one_shot_iterators_reach_both_the_api_and_the_record(server, client, spans, ask, parsed):
    blocks = ({"type": "text", "text": text} for text in ("one", "two"))
    ask["messages"] = iter([{"role": "user", "content": blocks}])
    client.messages.create(**ask)
    assert [part["text"] for part in server.requests[0]["messages"][0]["content"]] == ["one", "two"]
    recorded = parsed(spans.one(layer="model"), names.GEN_AI_INPUT_MESSAGES)
    assert [part["content"] for part in recorded[0]["parts"]] == ["one", "two"]


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


def test_without_a_recorder_the_client_is_left_alone(server, ask):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    install()
    try:
        with anthropic.Anthropic(
            api_key="k", base_url=server.url, open_telemetry={"tracer_provider": provider}
        ) as client:
            client.messages.create(**ask)
    finally:
        uninstall()
    assert [span.name for span in exporter.get_finished_spans()] == ["anthropic.messages.create"]


def test_install_twice_records_once_and_uninstall_restores(spans):
    from anthropic._base_client import AsyncAPIClient, SyncAPIClient

    once = SyncAPIClient.request
    install()
    assert SyncAPIClient.request is once
    assert inspect.iscoroutinefunction(AsyncAPIClient.request)
    uninstall()
    assert SyncAPIClient.request is once.__wrapped__
    install()


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
