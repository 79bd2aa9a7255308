"""The hot path against the long way round: whatever a call is, both leave the same record."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import tachograph as tacho
from tachograph import _call, _hot
from tachograph.testing import captured_spans
from tachograph_schemas import names

INPUT, OUTPUT = "gen_ai.tool.call.arguments", "gen_ai.tool.call.result"
LONG = "é" * 700
VARYING = {names.RUN_ID, names.RUN_CODE_VERSION}

payloads = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.just(LONG),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
decorators = st.sampled_from(
    [
        tacho.tool,
        tacho.tool(name="étoile", risk="high", scope="orders:read", call_id="c-1"),
        tacho.effect,
        tacho.step,
        tacho.agent(name="writer", version="2"),
        tacho.model(provider="openai", model="m-1"),
        tacho.memory(operation="read", tier="long"),
        tacho.tool(capture_input=False),
        tacho.tool(capture_output=False),
        tacho.context,
    ]
)


def nothing():
    pass


def overwrite():
    trace.get_current_span().set_attributes({INPUT: "mine", OUTPUT: "mine", "note": 1})


def tell():
    span = trace.get_current_span()
    span.add_event("seen", {"n": 1})
    span.update_name("renamed")
    span.set_status(trace.StatusCode.ERROR, "partly")


def end_early():
    trace.get_current_span().end()


def fail():
    raise ValueError("broken")


def describe_run():
    tacho.current_run().set(session="later")


bodies = st.sampled_from([nothing, overwrite, tell, end_early, fail, describe_run])


class Kept:
    """What reaches the spool: the states of spans that were open, and the finished ones."""

    def __init__(self):
        self.open, self.final, self.closed_ids = [], [], []

    def keep(self, kind, content):
        self.final.append(told(content))

    def opened(self, span_id, kind, content, *, announce):
        self.open.append((announce, told(content)))

    def closed(self, span_id):
        self.closed_ids.append(span_id)


def told(content):
    """A record without what differs between any two calls."""
    span = Span.FromString(content)
    found = {pair.key: str(pair.value) for pair in span.attributes if pair.key not in VARYING}
    keys = [pair.key for pair in span.attributes]
    assert len(keys) == len(set(keys))
    events = [(event.name, len(event.attributes)) for event in span.events]
    ended = bool(span.end_time_unix_nano)
    assert span.start_time_unix_nano
    assert span.end_time_unix_nano >= span.start_time_unix_nano or not ended
    status = (span.status.code, span.status.message)
    above = bool(span.parent_span_id)
    return span.name, span.kind, found, events, ended, status, above, span.flags


def record(decorator, body, arguments, result, limit_bytes):
    """What two calls of the same function leave, and one of its children."""

    @tacho.step(name="child")
    def child():
        return tacho.current_run().id != ""

    def work(a, b=2):
        body()
        assert child()
        return result

    decorated = decorator(work)
    kept = Kept()

    @tacho.run(agent="boss", session="s-1", customer="c-1")
    def handle():
        for call in (lambda: decorated(*arguments), lambda: decorated(a=arguments[0])):
            try:
                call()
            except ValueError:
                assert body is fail

    with captured_spans() as spans:
        recorder = _call._recorder.active()
        before, recorder.keeper = recorder.keeper, kept
        usual, recorder.capture_limit_bytes = recorder.capture_limit_bytes, limit_bytes
        try:
            handle()
        finally:
            recorder.keeper, recorder.capture_limit_bytes = before, usual
        seen = [
            {k: v for k, v in span.attributes.items() if k not in VARYING} for span in spans.all()
        ]
    return kept.open, kept.final, len(kept.closed_ids), seen


@settings(max_examples=120, deadline=None)
@given(decorators, bodies, st.tuples(payloads, payloads), payloads, st.sampled_from([200, 65_536]))
def test_both_ways_leave_the_same_record(decorator, body, arguments, result, limit_bytes):
    """Open and finished, as bytes and as attributes, whatever happens inside."""
    taken = []
    short = _hot.open_call

    def noted(*given):
        taken.append(short(*given))
        return taken[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_call, "open_call", noted)
        hot = record(decorator, body, arguments, result, limit_bytes)
        patch.setattr(_call, "open_call", lambda *_: None)
        long = record(decorator, body, arguments, result, limit_bytes)
    assert taken
    assert None not in taken
    assert hot == long


def test_coroutines_take_it_too(spans):
    """Tasks side by side keep their own parents."""

    @tacho.tool
    async def look(n):
        await asyncio.sleep(0)
        return await deeper(n)

    @tacho.step
    async def deeper(n):
        await asyncio.sleep(0)
        return n

    @tacho.run(agent="boss")
    async def handle():
        await asyncio.gather(*(look(n) for n in range(5)))

    asyncio.run(handle())
    by_id = {span.span_id: span for span in spans}
    for span in spans.where(layer="step"):
        assert by_id[span.parent_id].input["n"] == span.input["n"]


def test_what_was_prepared_goes_with_the_run(spans):
    """A function must not hold on to the runs it was called in."""

    @tacho.tool
    def look():
        return None

    @tacho.run(agent="boss")
    def handle():
        look()
        seen.append(weakref.ref(_call.frame_of().run.span))

    seen: list[weakref.ref[object]] = []
    handle()
    with spans._lock:
        spans._finished.clear()
    gc.collect()
    assert seen[0]() is None


def test_functions_made_in_a_loop_are_forgotten(spans):
    """A run of a million steps that decorates in each of them keeps a bounded number."""

    @tacho.run(agent="boss")
    def handle():
        for n in range(_hot._MADE_LIMIT + 10):
            tacho.tool(name=f"t{n}")(nothing)()
        return len(_call.frame_of().made)

    assert handle() <= _hot._MADE_LIMIT
    assert len(spans.where(layer="tool")) == _hot._MADE_LIMIT + 10
