"""Streams of the official client: recorded as they are read, ended however they end."""

from __future__ import annotations

import asyncio
import gc

import anthropic
import httpx2
import pytest
from anthropic import AsyncStream, Stream

import tachograph as tacho
from tachograph.demo.conversation import Fault
from tachograph.instruments import anthropic as hook
from tachograph_schemas import names

HOOKS = [hook]

MID_STREAM = Fault(529, "overloaded_error", "Overloaded", mid_stream=True)


def text_in(parsed, span) -> str:
    messages = parsed(span, names.GEN_AI_OUTPUT_MESSAGES)
    return "".join(part["content"] for part in messages[0]["parts"])


def test_stream_helper_is_recorded_whole(client, spans, ask, parsed):
    with client.messages.stream(**ask) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    span = spans.one(layer="model")
    assert span.attributes[names.GEN_AI_REQUEST_STREAM] is True
    assert text_in(parsed, span) == text
    assert span.attributes[names.GEN_AI_RESPONSE_ID] == message.id
    assert span.attributes[names.GEN_AI_USAGE_OUTPUT_TOKENS] == message.usage.output_tokens
    assert span.attributes[names.GEN_AI_RESPONSE_FINISH_REASONS] == ("end_turn",)
    assert 0 < span.attributes[names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK_S] < 60
    assert names.ABANDONED not in span.attributes


def test_raw_stream_keeps_its_type_and_events(client, spans, ask, parsed):
    stream = client.messages.create(**ask, stream=True)
    assert type(stream) is Stream
    events = list(stream)
    assert events[-1].type == "message_stop"
    assert "lazy dog" in text_in(parsed, spans.one(layer="model"))


def test_tool_arguments_are_put_together_from_their_pieces(client, spans, ask, parsed):
    tool = {"name": "read_weather", "input_schema": {"type": "object"}}
    with client.messages.stream(**ask, tools=[tool]) as stream:
        stream.until_done()
    parts = parsed(spans.one(layer="model"), names.GEN_AI_OUTPUT_MESSAGES)[0]["parts"]
    assert [part.get("arguments") for part in parts] == [None, {"city": "Oslo"}, {"city": "Bergen"}]


def test_async_streams_are_recorded_by_helper_and_raw(server, spans, ask, parsed):
    async def main() -> list[str]:
        async with anthropic.AsyncAnthropic(api_key="k", base_url=server.url) as client:
            async with client.messages.stream(**ask, thinking={"type": "adaptive"}) as stream:
                helped = await stream.get_final_text()
            raw = await client.messages.create(**ask, stream=True)
            assert type(raw) is AsyncStream
            kinds = [event.type async for event in raw]
            assert kinds[-1] == "message_stop"
            return [helped]

    (helped,) = asyncio.run(main())
    first, second = spans.where(layer="model")
    parts = parsed(first, names.GEN_AI_OUTPUT_MESSAGES)[0]["parts"]
    assert parts == [
        {"type": "reasoning", "content": "An easy one."},
        {"type": "text", "content": helped},
    ]
    assert text_in(parsed, second) == helped


def read_some(stream) -> None:
    """Up to the second piece of text."""
    seen = 0
    for event in stream:
        seen += event.type == "content_block_delta"
        if seen == 2:
            return


@pytest.mark.parametrize("how", ["closed", "left", "dropped"])
def test_an_abandoned_stream_ends_with_what_was_seen(client, spans, ask, parsed, how):
    stream = client.messages.create(**ask, stream=True)
    if how == "left":
        with stream:
            read_some(stream)
    else:
        read_some(stream)
        assert spans.where(layer="model") == []
        if how == "closed":
            stream.close()
        else:
            del stream
            gc.collect()
    span = spans.one(layer="model")
    assert span.attributes[names.ABANDONED] is True
    assert span.status == "unset"
    text = text_in(parsed, span)
    assert text.startswith("The quick brown")
    assert len(text) == 48
    assert names.GEN_AI_RESPONSE_FINISH_REASONS not in span.attributes
    assert span.attributes[names.GEN_AI_USAGE_INPUT_TOKENS] > 0


def test_a_stream_nobody_reads_ends_when_dropped(client, spans, ask):
    stream = client.messages.create(**ask, stream=True)
    del stream
    gc.collect()
    assert spans.one(layer="model").attributes[names.ABANDONED] is True


@pytest.mark.parametrize("how", ["closed", "left"])
def test_an_abandoned_async_stream_ends_with_what_was_seen(server, spans, ask, parsed, how):
    async def main() -> None:
        async with anthropic.AsyncAnthropic(api_key="k", base_url=server.url) as client:
            if how == "left":
                async with client.messages.stream(**ask) as helper:
                    async for _ in helper.text_stream:
                        break
                return
            stream = await client.messages.create(**ask, stream=True)
            async for event in stream:
                if event.type == "content_block_delta":
                    break
            await stream.close()

    asyncio.run(main())
    span = spans.one(layer="model")
    assert span.attributes[names.ABANDONED] is True
    assert text_in(parsed, span).startswith("The quick brown")


class Halting(httpx2.AsyncByteStream):
    """Comes so far, and no further."""

    def __init__(self, begin: bytes) -> None:
        self._begin = begin

    async def __aiter__(self):
        yield self._begin
        await asyncio.Event().wait()


def test_a_cancelled_async_stream_ends_with_what_was_seen(spans, ask, parsed, client):
    with client.messages.with_streaming_response.create(**ask, stream=True) as response:
        events = b"".join(response.iter_bytes()).split(b"\n\n")
    first = next(at for at, event in enumerate(events) if b"content_block_delta" in event)
    begin = b"\n\n".join(events[: first + 1]) + b"\n\n"

    def answer(request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, stream=Halting(begin))

    async def main() -> None:
        reached = asyncio.Event()

        async def read(stream) -> None:
            async for event in stream:
                if event.type == "content_block_delta":
                    reached.set()

        async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
            other = anthropic.AsyncAnthropic(
                api_key="k", base_url="http://model.test", http_client=http
            )
            stream = await other.messages.create(**ask, stream=True)
            task = asyncio.create_task(read(stream))
            await reached.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await stream.close()

    asyncio.run(main())
    span = spans.where(layer="model")[-1]
    assert span.attributes[names.ERROR_TYPE].endswith("CancelledError")
    assert text_in(parsed, span).startswith("The quick brown")


def test_an_error_in_the_stream_is_recorded_with_the_text_before_it(
    server, client, spans, ask, parsed
):
    server.fail_next(MID_STREAM)
    with pytest.raises(anthropic.APIStatusError) as caught:
        with client.messages.stream(**ask) as stream:
            stream.until_done()
    span = spans.one(layer="model")
    assert span.status == "error"
    assert span.attributes[names.ANTHROPIC_ERROR_TYPE] == caught.value.type == "overloaded_error"
    assert text_in(parsed, span).startswith("The quick brown")


def test_a_stream_cut_by_the_server_is_an_error_of_the_record_alone(spans, ask, client):
    events = []
    with client.messages.with_streaming_response.create(**ask, stream=True) as response:
        events = b"".join(response.iter_bytes()).split(b"\n\n")
    cut = b"\n\n".join(events[: len(events) // 2]) + b"\n\n"

    def answer(request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, stream=httpx2.ByteStream(cut))

    with httpx2.Client(transport=httpx2.MockTransport(answer)) as http:
        other = anthropic.Anthropic(api_key="k", base_url="http://model.test", http_client=http)
        seen = list(other.messages.create(**ask, stream=True))
    assert seen[-1].type != "message_stop"
    span = spans.where(layer="model")[-1]
    assert span.status == "error"
    assert "before its last event" in span.status_message


def test_a_raw_response_parsed_as_a_stream_is_recorded(client, spans, ask, parsed):
    raw = client.messages.with_raw_response.create(**ask, stream=True)
    assert list(raw.parse())[-1].type == "message_stop"
    with client.messages.with_streaming_response.create(**ask, stream=True) as response:
        read_some(response.parse())
    whole, part = spans.where(layer="model")
    assert "lazy dog" in text_in(parsed, whole)
    assert part.attributes[names.ABANDONED] is True
    assert text_in(parsed, part) == "The quick brown fox jumps over the lazy dog. The"[:48]


def test_a_stream_is_charged_to_the_budget_it_was_asked_in(client, spans, ask):
    with tacho.budget(tokens=5, strict=False):
        with tacho.budget(model_calls=5):
            stream = client.messages.create(**ask, stream=True)
        list(stream)
        with pytest.raises(tacho.BudgetExceeded):
            client.messages.create(**ask)


def test_streams_nest_under_the_span_they_were_asked_in(client, spans, ask):
    @tacho.agent(name="writer")
    def write():
        return client.messages.create(**ask, stream=True)

    stream = write()
    list(stream)
    assert spans.one(layer="model").parent_id == spans.one(layer="agent").span_id
