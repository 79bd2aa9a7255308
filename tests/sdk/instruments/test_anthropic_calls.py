"""Calls of the official client, sync and async, as model spans."""

from __future__ import annotations

import asyncio

import anthropic

from tachograph.instruments import anthropic as hook
from tachograph_schemas import names

HOOKS = [hook]

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
