"""The official OpenAI client against a local server: what is recorded, and that nothing else changes."""

from __future__ import annotations

import asyncio
import json

import httpx2
import openai
import pytest
from openai_server import (
    OpenAIServer,
    Reply,
    chunks,
    completion,
    refusal,
    response,
    said,
)
from pydantic import BaseModel, ValidationError

import tachograph as tacho
from tachograph.instruments import openai as hook
from tachograph_schemas import names

HOOKS = [hook]

WEATHER = {
    "type": "function",
    "function": {
        "name": "read_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CALL = {"id": "call_1", "type": "function"}
OSLO = {**CALL, "function": {"name": "read_weather", "arguments": '{"city": "Oslo"}'}}
ASK = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Say something."}]}
TOKENS = {
    names.GEN_AI_USAGE_INPUT_TOKENS: 1200,
    names.GEN_AI_USAGE_CACHE_READ_TOKENS: 1024,
    names.GEN_AI_USAGE_OUTPUT_TOKENS: 90,
    names.GEN_AI_USAGE_REASONING_TOKENS: 64,
}


class Risk(BaseModel):
    clause: str
    cap_usd: int


@pytest.fixture
def server():
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def client(server):
    with openai.OpenAI(api_key="test-key", base_url=server.url) as made:
        yield made


def shows(span, expected):
    assert {key: span.attributes.get(key) for key in expected} == expected


def parsed(span, attribute):
    return json.loads(span.attributes[attribute])


def in_async(server, ask):
    async def main():
        async with openai.AsyncOpenAI(api_key="k", base_url=server.url) as client:
            return await ask(client)

    return asyncio.run(main())


def test_a_chat_completion_is_one_model_span(server, client, spans):
    server.will_say(completion({"content": "Hello."}))
    answer = client.chat.completions.create(
        **ASK | {"messages": [{"role": "developer", "content": "Be brief."}, *ASK["messages"]]},
        max_completion_tokens=300,
        temperature=0.5,
        top_p=0.9,
        stop="END",
    )
    assert type(answer).__name__ == "ChatCompletion"
    span = spans.one()
    assert (span.name, span.layer, span.status) == ("chat gpt-5-mini", "model", "unset")
    shows(
        span,
        TOKENS
        | {
            names.GEN_AI_OPERATION_NAME: "chat",
            names.GEN_AI_PROVIDER_NAME: "openai",
            names.GEN_AI_REQUEST_MODEL: "gpt-5-mini",
            names.GEN_AI_REQUEST_MAX_TOKENS: 300,
            names.GEN_AI_REQUEST_TEMPERATURE: 0.5,
            names.GEN_AI_REQUEST_TOP_P: 0.9,
            names.GEN_AI_REQUEST_STOP_SEQUENCES: ("END",),
            names.GEN_AI_REQUEST_STREAM: None,
            names.GEN_AI_RESPONSE_ID: "chatcmpl-1",
            names.GEN_AI_RESPONSE_MODEL: "gpt-5-mini-2025-08-07",
            names.GEN_AI_RESPONSE_FINISH_REASONS: ("stop",),
            names.OPENAI_RESPONSE_SERVICE_TIER: "default",
            names.OPENAI_API_TYPE: "chat_completions",
            names.OPENAI_REQUEST_ID: "req_1",
            names.SERVER_ADDRESS: "127.0.0.1",
        },
    )
    assert parsed(span, names.GEN_AI_SYSTEM_INSTRUCTIONS) == [
        {"type": "text", "content": "Be brief."}
    ]
    assert parsed(span, names.GEN_AI_INPUT_MESSAGES) == [
        {"role": "user", "parts": [{"type": "text", "content": "Say something."}]}
    ]
    assert parsed(span, names.GEN_AI_OUTPUT_MESSAGES) == [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "Hello."}],
            "finish_reason": "stop",
        }
    ]


def test_tools_are_recorded_in_both_directions(server, client, spans):
    server.will_say(completion({"tool_calls": [OSLO]}, finish="tool_calls"))
    result = {"role": "tool", "tool_call_id": "call_0", "content": "rain"}
    before = {"role": "assistant", "tool_calls": [{**OSLO, "id": "call_0"}]}
    client.chat.completions.create(
        **ASK | {"messages": [*ASK["messages"], before, result]}, tools=[WEATHER]
    )
    span = spans.one(layer="model")
    assert parsed(span, names.GEN_AI_TOOL_DEFINITIONS) == [
        {"type": "function", **WEATHER["function"]}
    ]
    part = {"type": "tool_call", "name": "read_weather", "arguments": {"city": "Oslo"}}
    assert parsed(span, names.GEN_AI_INPUT_MESSAGES)[1:] == [
        {"role": "assistant", "parts": [{**part, "id": "call_0"}]},
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": "call_0", "response": "rain"}],
        },
    ]
    assert parsed(span, names.GEN_AI_OUTPUT_MESSAGES)[0]["parts"] == [{**part, "id": "call_1"}]


def test_pictures_are_named_by_their_digest(server, client, spans):
    server.will_say(completion({"content": "A cat."}))
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "aGVs" * 500}}
    client.chat.completions.create(
        **ASK | {"messages": [{"role": "user", "content": [picture]}]},
    )
    (part,) = parsed(spans.one(), names.GEN_AI_INPUT_MESSAGES)[0]["parts"]
    assert (part["type"], part["mime_type"], part["size_chars"]) == ("blob", "image/png", 2000)
    assert "aGVs" not in json.dumps(part)


@pytest.mark.parametrize("usage", [True, False])
def test_a_stream_is_recorded_when_it_was_read(server, client, spans, usage):
    """Without ``include_usage`` the API counts nothing; then tokens are unknown, not 0."""
    server.will_say(chunks({"content": "Hel"}, {"content": "lo."}, usage=usage))
    stream = client.chat.completions.create(**ASK, stream=True)
    assert type(stream) is openai.Stream
    assert len(spans) == 0
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == "Hello."
    span = spans.one(layer="model")
    shows(span, {key: value if usage else None for key, value in TOKENS.items()})
    shows(
        span,
        {
            names.GEN_AI_REQUEST_STREAM: True,
            names.ABANDONED: None,
            names.GEN_AI_RESPONSE_FINISH_REASONS: ("stop",),
            names.OPENAI_REQUEST_ID: "req_1",
        },
    )
    assert span.attributes[names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK_S] > 0
    assert parsed(span, names.GEN_AI_OUTPUT_MESSAGES)[0]["parts"] == [
        {"type": "text", "content": "Hello."}
    ]


def test_tool_calls_are_put_together_from_their_pieces(server, client, spans):
    def piece(place, **function):
        return {"tool_calls": [{"index": place, "id": f"call_{place}", "function": function}]}

    server.will_say(
        chunks(
            piece(0, name="read_weather", arguments=""),
            piece(0, arguments='{"city":'),
            piece(0, arguments='"Oslo"}'),
            piece(1, name="read_weather", arguments="{broken"),
            finish="tool_calls",
        )
    )
    with client.chat.completions.stream(**ASK) as stream:
        for _ in stream:
            pass
    parts = parsed(spans.one(layer="model"), names.GEN_AI_OUTPUT_MESSAGES)[0]["parts"]
    assert [(part["id"], part["arguments"]) for part in parts] == [
        ("call_0", {"city": "Oslo"}),
        ("call_1", "{broken"),
    ]


def test_an_abandoned_and_a_cut_stream_say_so(server, client, spans):
    server.will_say(chunks({"content": "Hel"}, {"content": "lo."}))
    with client.chat.completions.create(**ASK, stream=True) as stream:
        next(stream)
    server.will_say(chunks({"content": "Hel"}, finish=None, usage=False))
    server.replies.popleft()
    list(client.chat.completions.create(**ASK, stream=True))
    left, cut = spans.where(layer="model")
    assert left.attributes[names.ABANDONED] is True
    assert parsed(left, names.GEN_AI_OUTPUT_MESSAGES)[0]["parts"][0]["content"] == "Hel"
    assert (cut.status, cut.attributes[names.ERROR_TYPE]) == ("error", "EOFError")


def test_structured_output_keeps_its_type_and_its_usage_even_when_refused(server, client, spans):
    server.will_say(
        completion({"content": '{"clause": "7", "cap_usd": 500000}'}),
        completion({"content": '{"clause": "7", "cap_usd": "$500,000"}'}),
        completion({"content": '{"cl'}, finish="length"),
    )
    answer = client.chat.completions.parse(**ASK, response_format=Risk)
    assert answer.choices[0].message.parsed == Risk(clause="7", cap_usd=500000)
    with pytest.raises(ValidationError):
        client.chat.completions.parse(**ASK, response_format=Risk)
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(**ASK, response_format=Risk)
    calls = spans.where(layer="model")
    assert [span.status for span in calls] == ["unset", "error", "error"]
    for span in calls:
        shows(span, TOKENS)


def test_retries_after_overload_are_spans_below_the_call(server, client, spans):
    server.will_say(
        refusal(429, "rate_limit_exceeded"), refusal(500, "server_error"), completion({})
    )
    client.chat.completions.create(**ASK)
    call, retries = spans.one(layer="model"), spans.where(layer="retry")
    assert [span.attributes[names.HTTP_RESPONSE_STATUS_CODE] for span in retries] == [429, 500]
    assert {span.parent_id for span in retries} == {call.span_id}
    assert call.attributes[names.HTTP_REQUEST_RESEND_COUNT] == 2
    assert call.status == "unset"


@pytest.mark.parametrize("stream", [False, True])
def test_a_refused_call_raises_what_it_would_and_says_why(server, client, spans, stream):
    server.will_say(refusal(429, "insufficient_quota"))
    with pytest.raises(openai.RateLimitError) as caught:
        client.with_options(max_retries=0).chat.completions.create(**ASK, stream=stream)
    span = spans.one(layer="model")
    shows(
        span,
        {
            names.HTTP_RESPONSE_STATUS_CODE: 429,
            names.OPENAI_ERROR_TYPE: "insufficient_quota",
            names.OPENAI_REQUEST_ID: caught.value.request_id,
            names.ERROR_TYPE: "openai.RateLimitError",
            names.GEN_AI_USAGE_INPUT_TOKENS: None,
        },
    )
    hook.uninstall()
    with pytest.raises(openai.RateLimitError) as plain:
        client.with_options(max_retries=0).chat.completions.create(**ASK, stream=stream)
    assert str(plain.value) == str(caught.value)
    assert len(spans) == 1


def test_raw_and_streamed_responses_keep_their_types(server, client, spans):
    server.will_say(completion({"content": "Hello."}))
    raw = client.chat.completions.with_raw_response.create(**ASK)
    with client.chat.completions.with_streaming_response.create(**ASK) as unread:
        read = unread.parse()
    assert type(raw).__name__ == "LegacyAPIResponse"
    assert type(unread).__name__ == "APIResponse"
    assert raw.headers["x-request-id"] == "req_1"
    assert raw.parse().choices[0].message.content == read.choices[0].message.content == "Hello."
    for span in spans.where(layer="model"):
        shows(span, TOKENS | {names.ABANDONED: None, names.GEN_AI_RESPONSE_ID: "chatcmpl-1"})
    assert len(spans) == 2


def test_a_raw_response_may_become_a_stream(server, client, spans):
    server.will_say(chunks({"content": "Hello."}))
    raw = client.chat.completions.with_raw_response.create(**ASK, stream=True)
    assert len(list(raw.parse())) == 3
    shows(spans.one(layer="model"), TOKENS)


def test_a_response_is_recorded_with_what_the_provider_did(server, client, spans):
    thought = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "An easy one."}],
    }
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    search["action"] = {"type": "search", "query": "oslo weather"}
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "read_weather"}
    call["arguments"] = '{"city": "Oslo"}'
    server.will_say(Reply(response([thought, search, call, said("Rain.")])))
    answer = client.responses.create(
        model="gpt-5-mini",
        instructions="Be brief.",
        input=[
            {"role": "user", "content": "Weather?"},
            {"type": "function_call_output", "call_id": "call_0", "output": "rain"},
        ],
        tools=[{"type": "function", **WEATHER["function"], "strict": True}],
        max_output_tokens=300,
        conversation="conv_1",
    )
    assert answer.output_text == "Rain."
    span = spans.one(layer="model")
    shows(
        span,
        TOKENS
        | {
            names.GEN_AI_USAGE_CACHE_WRITE_TOKENS: 100,
            names.GEN_AI_REQUEST_MAX_TOKENS: 300,
            names.GEN_AI_CONVERSATION_ID: "conv_1",
            names.OPENAI_API_TYPE: "responses",
            names.GEN_AI_RESPONSE_FINISH_REASONS: ("completed",),
        },
    )
    assert [m["role"] for m in parsed(span, names.GEN_AI_INPUT_MESSAGES)] == ["user", "tool"]
    parts = parsed(span, names.GEN_AI_OUTPUT_MESSAGES)[0]["parts"]
    assert [part["type"] for part in parts] == [
        "reasoning",
        "server_tool_call",
        "tool_call",
        "text",
    ]
    assert parts[2]["arguments"] == {"city": "Oslo"}
    assert parsed(span, names.GEN_AI_SYSTEM_INSTRUCTIONS)[0]["content"] == "Be brief."


def events_of(whole, last="response.completed"):
    delta = {
        "type": "response.output_text.delta",
        "output_index": 0,
        "content_index": 0,
        "item_id": "msg_1",
        "delta": "Rain.",
        "logprobs": [],
        "sequence_number": 2,
    }
    started = response([], status="in_progress")
    return [
        {"type": "response.created", "response": started, "sequence_number": 1},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**said(""), "status": "in_progress", "content": []},
            "sequence_number": 1,
        },
        {
            "type": "response.content_part.added",
            "output_index": 0,
            "content_index": 0,
            "item_id": "msg_1",
            "part": {"type": "output_text", "text": "", "annotations": []},
            "sequence_number": 1,
        },
        delta,
        {"type": last, "response": whole, "sequence_number": 3},
    ]


def test_a_stream_of_a_response_and_its_failure(server, client, spans):
    failure = {"code": "server_error", "message": "The model is out."}
    failed = response([], status="failed", error=failure, usage=None)
    server.will_say(
        Reply(events=events_of(response([said("Rain.")]))),
        Reply(events=events_of(failed, "response.failed")),
        Reply(events=events_of(None)[:-1]),
    )
    kinds = [
        event.type
        for event in client.responses.create(model="gpt-5-mini", input="Weather?", stream=True)
    ]
    assert kinds[-1] == "response.completed"
    for _ in range(2):
        list(client.responses.create(model="gpt-5-mini", input="Weather?", stream=True))
    whole, refused, cut = spans.where(layer="model")
    shows(whole, TOKENS | {names.ABANDONED: None})
    assert whole.status == "unset"
    assert refused.status_message == "server_error: The model is out."
    assert cut.attributes[names.ERROR_TYPE] == "EOFError"
    assert parsed(cut, names.GEN_AI_OUTPUT_MESSAGES)[0]["parts"][0]["content"] == "Rain."


def test_a_parsed_response_keeps_its_type(server, client, spans):
    server.will_say(Reply(response([said('{"clause": "7", "cap_usd": 5}')])))
    answer = client.responses.parse(model="gpt-5-mini", input="Risks?", text_format=Risk)
    assert answer.output_parsed == Risk(clause="7", cap_usd=5)
    shows(spans.one(layer="model"), TOKENS)


def test_the_async_client_is_recorded_in_every_way(server, spans):
    server.will_say(
        refusal(429, "rate_limit_exceeded"),
        completion({"content": "1"}),
        chunks({"content": "2"}),
        completion({"content": "3"}),
        Reply(events=events_of(response([said("4")]))),
    )

    async def ask(client):
        plain = await client.chat.completions.create(**ASK)
        async for _ in await client.chat.completions.create(**ASK, stream=True):
            pass
        raw = await client.chat.completions.with_raw_response.create(**ASK)
        assert raw.parse().choices[0].message.content == "3"
        async with client.responses.stream(model="gpt-5-mini", input="?") as stream:
            await stream.get_final_response()
        return plain

    assert in_async(server, ask).choices[0].message.content == "1"
    calls = spans.where(layer="model")
    texts = [parsed(span, names.GEN_AI_OUTPUT_MESSAGES)[0]["parts"][0]["content"] for span in calls]
    assert texts == ["1", "2", "3", "4"]
    for span in calls:
        shows(span, TOKENS)
    assert spans.one(layer="retry").parent_id == calls[0].span_id


def test_budgets_are_charged_and_stop_calls_before_any_request(server, client, spans):
    server.will_say(completion({"content": "Hello."}))
    with tacho.budget(tokens=1000) as budget:
        client.chat.completions.create(**ASK)
        assert budget.used("tokens") == 1290
        with pytest.raises(tacho.BudgetExceeded):
            client.responses.create(model="gpt-5-mini", input="?")
    assert len(server.requests) == 1


def test_the_provider_is_the_host_s(server, spans):
    server.will_say(completion({}))
    azure = openai.AzureOpenAI(api_key="k", api_version="1", azure_endpoint=server.url)
    azure.chat.completions.create(**ASK)

    def nobody(request):
        raise httpx2.ConnectError("nobody is there")

    with httpx2.Client(transport=httpx2.MockTransport(nobody)) as http:
        other = openai.OpenAI(
            api_key="k", base_url="https://api.deepseek.com", max_retries=0, http_client=http
        )
        with pytest.raises(openai.APIConnectionError):
            other.chat.completions.create(**ASK)
    providers = [span.attributes[names.GEN_AI_PROVIDER_NAME] for span in spans]
    assert providers == ["azure.ai.openai", "deepseek"]


def test_a_legacy_http_client_is_recorded_as_well(server, spans):
    """The client still takes ``httpx``; its responses want bodies of its own types."""
    httpx = pytest.importorskip("httpx")
    server.will_say(chunks({"content": "Hello."}))
    with httpx.Client() as http:
        client = openai.OpenAI(api_key="k", base_url=server.url, http_client=http)
        list(client.chat.completions.create(**ASK, stream=True))
    shows(spans.one(layer="model"), TOKENS)


def test_nothing_is_sent_that_would_not_be(server, client, spans):
    """The request is the same, byte for byte as the server reads it."""
    server.will_say(completion({}))
    client.chat.completions.create(**ASK, extra_body={"mine": 1}, extra_headers={"x-mine": "1"})
    hook.uninstall()
    client.chat.completions.create(**ASK, extra_body={"mine": 1}, extra_headers={"x-mine": "1"})
    assert server.requests[0] == server.requests[1]
    assert server.headers[0] == server.headers[1]
