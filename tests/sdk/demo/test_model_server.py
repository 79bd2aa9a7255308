"""The official client, unmodified, against the bundled model server."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request

import anthropic
import pytest

from tachograph.demo.conversation import (
    OVERLOADED,
    RATE_LIMITED,
    Conversation,
    Fault,
    Text,
    Thinking,
    ToolCall,
)
from tachograph.demo.model_server import ModelServer

MODEL = "claude-haiku-4-5"
WEATHER = {
    "name": "read_weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


class Forecaster:
    """Asks for the weather of every city in the task at once, then answers from what it was told."""

    def answers(self, conversation: Conversation) -> bool:
        return "read_weather" in conversation.tools

    def reply(self, conversation: Conversation):
        results = conversation.results_of("read_weather")
        if not results:
            cities = conversation.first_text.split(" and ")
            return [
                Thinking("I need the reports first."),
                Text("Let me look that up."),
                *(ToolCall("read_weather", {"city": city}) for city in cities),
            ]
        return [Text("; ".join(f"{result.input['city']}: {result.content}" for result in results))]


class Poet:
    """Answers anything with the same four lines."""

    def answers(self, conversation: Conversation) -> bool:
        return True

    def reply(self, conversation: Conversation):
        return [Text("One line.\nTwo lines.\nTHE END\nafter the end")]


@pytest.fixture
def server():
    with ModelServer([Forecaster(), Poet()], min_cacheable_tokens=50) as running:
        yield running


@pytest.fixture
def client(server):
    with anthropic.Anthropic(api_key="test-key", base_url=server.url) as made:
        yield made


def say(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def test_create_returns_a_message_with_usage_and_request_id(client):
    message = client.messages.create(model=MODEL, max_tokens=200, messages=say("A poem, please."))
    assert message.content[0].text.startswith("One line.")
    assert message.stop_reason == "end_turn"
    assert message.id.startswith("msg_01")
    assert message._request_id.startswith("req_01")
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 5
    assert message.usage.cache_read_input_tokens == 0


def test_create_is_deterministic_for_a_seed_and_ids_do_not_repeat():
    def ids(seed: int) -> list[str]:
        with ModelServer([Poet()], seed=seed) as server:
            with anthropic.Anthropic(api_key="k", base_url=server.url) as client:
                return [
                    client.messages.create(model=MODEL, max_tokens=50, messages=say("Hi")).id
                    for _ in range(2)
                ]

    assert ids(1) == ids(1)
    assert len(set(ids(1) + ids(2))) == 4


def test_create_stops_at_a_stop_sequence_and_at_max_tokens(client):
    ask = {"model": MODEL, "messages": say("A poem, please.")}
    stopped = client.messages.create(max_tokens=200, stop_sequences=["THE END"], **ask)
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "THE END")
    assert "after the end" not in stopped.content[0].text
    cut = client.messages.create(max_tokens=6, **ask)
    assert cut.stop_reason == "max_tokens"
    assert cut.usage.output_tokens <= 6


def test_raw_stream_has_the_events_of_the_api_in_order(client):
    with client.messages.create(
        model=MODEL, max_tokens=200, messages=say("A poem, please."), stream=True
    ) as stream:
        events = list(stream)
    kinds = [event.type for event in events]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert events[-2].delta.stop_reason == "end_turn"
    assert events[-2].usage.output_tokens > 5


def test_stream_helper_gathers_text_and_tool_input(client):
    with client.messages.stream(
        model=MODEL, max_tokens=900, messages=say("Oslo"), tools=[WEATHER]
    ) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert text == "Let me look that up."
    assert message.stop_reason == "tool_use"
    assert message.content[-1].input == {"city": "Oslo"}


def test_thinking_is_sent_only_when_asked_for(client):
    ask = {"model": MODEL, "max_tokens": 2000, "messages": say("Oslo"), "tools": [WEATHER]}
    plain = client.messages.create(**ask)
    assert [block.type for block in plain.content] == ["text", "tool_use"]
    with client.messages.stream(**ask, thinking={"type": "adaptive"}) as stream:
        thought = stream.get_final_message()
    assert [block.type for block in thought.content] == ["thinking", "text", "tool_use"]
    assert thought.content[0].signature
    assert thought.usage.output_tokens_details.thinking_tokens > 0


def test_parallel_tools_run_a_whole_conversation(client):
    messages = say("Oslo and Bergen")
    ask = {"model": MODEL, "max_tokens": 900, "tools": [WEATHER]}
    first = client.messages.create(messages=messages, **ask)
    calls = [block for block in first.content if block.type == "tool_use"]
    assert [call.input["city"] for call in calls] == ["Oslo", "Bergen"]
    assert len({call.id for call in calls}) == 2
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": f"rain {number} mm"}
        for number, call in enumerate(calls)
    ]
    messages += [
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": results},
    ]
    last = client.messages.create(messages=messages, **ask)
    assert last.content[0].text == "Oslo: rain 0 mm; Bergen: rain 1 mm"


def test_async_client_creates_and_streams_concurrently(server):
    async def main() -> list[str]:
        async with anthropic.AsyncAnthropic(api_key="k", base_url=server.url) as client:
            ask = {"model": MODEL, "max_tokens": 100, "messages": say("Hi")}

            async def streamed() -> str:
                async with client.messages.stream(**ask) as stream:
                    return await stream.get_final_text()

            async def created() -> str:
                return (await client.messages.create(**ask)).content[0].text

            return await asyncio.gather(streamed(), created(), streamed())

    texts = asyncio.run(main())
    assert len(set(texts)) == 1


def test_prompt_cache_writes_once_and_reads_later_with_both_lifetimes(client):
    system = [
        {
            "type": "text",
            "text": "rules " * 100,
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
        {"type": "text", "text": "notes " * 100, "cache_control": {"type": "ephemeral"}},
    ]
    ask = {"model": MODEL, "max_tokens": 50, "system": system}
    first = client.messages.create(messages=say("one"), **ask).usage
    assert first.cache_read_input_tokens == 0
    assert first.cache_creation.ephemeral_1h_input_tokens > 100
    assert first.cache_creation.ephemeral_5m_input_tokens > 100
    split = first.cache_creation
    assert first.cache_creation_input_tokens == (
        split.ephemeral_1h_input_tokens + split.ephemeral_5m_input_tokens
    )
    second = client.messages.create(messages=say("another question"), **ask).usage
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens
    assert second.cache_creation_input_tokens == 0
    assert 0 < second.input_tokens < 50


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"model": "claude-nowhere-1"}, anthropic.NotFoundError),
        ({"messages": []}, anthropic.BadRequestError),
        (
            {"messages": [{"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_x", "content": "?"}
            ]}]},
            anthropic.BadRequestError,
        ),
    ],
)  # fmt: skip
def test_invalid_requests_raise_the_clients_typed_errors(client, change, error):
    ask = {"model": MODEL, "max_tokens": 50, "messages": say("Hi")} | change
    with pytest.raises(error) as caught:
        client.messages.create(**ask)
    assert caught.value.request_id.startswith("req_01")
    assert caught.value.body["type"] == "error"


def test_a_missing_and_a_wrong_key_are_refused():
    with ModelServer([Poet()], api_key="right") as server:
        with anthropic.Anthropic(api_key="wrong", base_url=server.url) as client:
            with pytest.raises(anthropic.AuthenticationError):
                client.messages.create(model=MODEL, max_tokens=5, messages=say("Hi"))
        request = urllib.request.Request(server.url + "/v1/messages", data=b"{}", method="POST")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=60)
        with caught.value as answer:
            assert answer.code == 401
            assert json.load(answer)["error"]["type"] == "authentication_error"


@pytest.mark.parametrize("fault", [OVERLOADED, RATE_LIMITED])
def test_the_client_retries_overload_and_rate_limit(server, client, fault):
    server.fail_next(fault, times=2)
    message = client.messages.create(model=MODEL, max_tokens=50, messages=say("Hi"))
    assert message.stop_reason == "end_turn"
    assert len(server.requests) == 3


def test_an_error_in_the_middle_of_a_stream_reaches_the_client(server, client):
    server.fail_next(Fault(529, "overloaded_error", "Overloaded", mid_stream=True))
    with client.messages.stream(model=MODEL, max_tokens=50, messages=say("Hi")) as stream:
        with pytest.raises(anthropic.APIStatusError) as caught:
            stream.until_done()
    assert caught.value.type == "overloaded_error"
    assert len(server.requests) == 1


def test_count_tokens_agrees_with_usage(client):
    ask = {"model": MODEL, "messages": say("How many tokens is this?")}
    counted = client.messages.count_tokens(**ask).input_tokens
    assert client.messages.create(max_tokens=9, **ask).usage.input_tokens == counted
