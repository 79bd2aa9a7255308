"""Generators: the span lasts as long as they do, the context only while their own code runs."""

from __future__ import annotations

import asyncio
import gc

import pytest
from opentelemetry import trace

import tachograph as tacho


def _current_name() -> str:
    return getattr(trace.get_current_span(), "name", "")


@tacho.step
def numbers(count):
    for n in range(count):
        assert _current_name() == "numbers"
        yield n
    return "done"


@tacho.step
async def numbers_async(count):
    for n in range(count):
        await asyncio.sleep(0)
        assert _current_name() == "numbers_async"
        yield n


def test_items_are_collected_and_the_consumer_is_not_inside(spans):
    """Between two items the consumer's own spans are not children of the generator."""
    seen = []
    for n in numbers(3):
        assert _current_name() == ""
        tacho.step(name="consumer")(lambda: None)()
        seen.append(n)
    assert seen == [0, 1, 2]
    assert spans.one(name="numbers").output == [0, 1, 2]
    assert {span.parent for span in spans.where(name="consumer")} == {None}


def test_return_value_send_and_throw_reach_the_body(spans):
    """The generator protocol is complete."""

    @tacho.step
    def echo():
        received = yield "ready"
        try:
            yield received
        except KeyError:
            yield "caught"
        return "end"

    body = echo()
    assert next(body) == "ready"
    assert body.send(5) == 5
    assert body.throw(KeyError()) == "caught"
    with pytest.raises(StopIteration) as stop:
        next(body)
    assert stop.value.value == "end"
    assert spans.one().output == ["ready", 5, "caught"]
    assert spans.one().status == "unset"


def test_spans_open_across_a_yield_stay_the_bodys_own(spans):
    """A `with` around a yield is current again when the body goes on, and never outside."""
    tracer = trace.get_tracer("foreign")

    @tacho.step
    def body():
        with tracer.start_as_current_span("inner"):
            yield 1
            assert _current_name() == "inner"
            yield 2
        assert _current_name() == "body"

    for _ in body():
        assert _current_name() == ""
    assert spans.one(name="inner").parent == "body"


def test_abandoned_generator_ends_its_span_with_a_mark(spans):
    """A consumer that breaks off must not leave a span open for ever."""
    for n in numbers(100):
        if n == 1:
            break
    gc.collect()
    span = spans.one()
    assert span.attributes["tacho.abandoned"] is True
    assert span.output == [0, 1]
    assert span.status == "unset"


def test_generator_never_started_makes_no_span(spans):
    """The span covers the first next to the end: no next, no span."""
    numbers(3).close()
    assert len(spans) == 0


def test_error_in_the_body_is_recorded(spans):
    """What was yielded before is kept."""

    @tacho.step
    def fail():
        yield 1
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(fail())
    assert spans.one().status == "error"
    assert spans.one().output == [1]


def test_yielded_items_are_bounded(spans):
    """An endless stream must not become an endless record."""

    @tacho.step
    def stream():
        for _ in range(5_000):
            yield "x" * 100

    assert sum(1 for _ in stream()) == 5_000
    span = spans.one()
    assert len(span.attributes["tacho.output"]) <= 65_536
    assert span.attributes["tacho.truncated_bytes"] > 400_000


def test_async_generator_is_recorded_like_a_sync_one(spans):
    """Items, nesting and order are the same."""

    async def main():
        seen = []
        async for n in numbers_async(3):
            assert _current_name() == ""
            seen.append(n)
        return seen

    assert asyncio.run(main()) == [0, 1, 2]
    assert spans.one().output == [0, 1, 2]


def test_abandoned_async_generator_ends_its_span_with_a_mark(spans):
    """Also when the event loop's hooks close it later."""

    async def main():
        async for _ in numbers_async(100):
            break

    asyncio.run(main())
    gc.collect()
    assert spans.one().attributes["tacho.abandoned"] is True
    assert spans.one().output == [0]


def test_async_generator_aclose_runs_the_bodys_cleanup(spans):
    """aclose must reach the body's finally block, with its awaits."""
    cleaned = []

    @tacho.step
    async def body():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    async def main():
        stream = body()
        await anext(stream)
        await stream.aclose()

    asyncio.run(main())
    assert cleaned == [True]
    assert len(spans) == 1


def test_asend_and_athrow_reach_the_body(spans):
    """The async generator protocol is complete."""

    @tacho.step
    async def echo():
        received = yield "ready"
        try:
            yield received
        except KeyError:
            yield "caught"

    async def main():
        body = echo()
        return [await anext(body), await body.asend(4), await body.athrow(KeyError())]

    assert asyncio.run(main()) == ["ready", 4, "caught"]


def test_run_as_generator_is_a_run(spans):
    """Streaming agents are generators: children made while it runs belong to the run."""

    @tacho.run
    def agent(task):
        tacho.gate("ok", allow=True)
        yield "a"
        tacho.gate("ok", allow=True)
        yield "b"

    assert list(agent("t")) == ["a", "b"]
    run = spans.one(layer="run")
    assert run.attributes["tacho.run.outcome"] == "success"
    assert run.attributes["tacho.run.spans_made"] == 3
    assert {span.run_id for span in spans} == {run.trace_id}
