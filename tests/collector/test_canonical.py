"""A body is checked alone, and what comes out is the same trace in canonical form."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otlp import Trace, plain_body
from tachograph_collector.canonical import canonical
from tachograph_collector.errors import BadBodyError, TooLargeError


def parsed(body: bytes) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(body)


def attributes(body: bytes) -> dict[str, str]:
    span = parsed(body).resource_spans[0].scope_spans[0].spans[0]
    return {item.key: item.value for item in span.attributes}


def test_a_flat_body_stays_the_same_bytes():
    body = Trace().span(1, text="x", count=-1, ratio=0.5, yes=True, tags=["a", 1, None]).body()
    assert canonical(body).data == body
    assert canonical(body).spans == 1


def test_nested_and_binary_values_become_json_text():
    body = Trace().span(1, tree={"a": {"b": [1, {"c": None}]}}, raw=b"\x00\xff", flat=["a"]).body()
    found = attributes(canonical(body).data)
    assert json.loads(found["tree"].string_value) == {"a": {"b": [1, {"c": None}]}}
    assert json.loads(found["raw"].string_value) == "AP8="
    assert found["flat"].array_value.values[0].string_value == "a"


def test_unknown_fields_are_dropped_and_nothing_else():
    body = Trace().span(1, a="b").body()
    extended = body + bytes([0xFA, 0x06, 0x03]) + b"new"  # field 111, length-delimited
    assert parsed(canonical(extended).data) == parsed(body)


def test_scope_attributes_do_not_reach_the_engine_nested():
    request = parsed(Trace().span(1).body())
    scope = request.resource_spans[0].scope_spans[0].scope
    scope.attributes.add(key="k").value.kvlist_value.values.add(key="x")
    assert canonical(request.SerializeToString()).spans == 1


@pytest.mark.parametrize(
    "body",
    [
        b"garbage that is no protobuf",
        b"\x0a\xff\xff\xff\xff\x0f",
        b"{}",
        b"\x1f\x8b\x08\x00",
        b"\x00",
    ],
)
def test_garbage_is_refused_with_a_reason(body):
    with pytest.raises(BadBodyError, match="not an OTLP trace export request"):
        canonical(body)


def test_the_refusal_says_what_the_body_looks_like():
    with pytest.raises(BadBodyError, match="looks like JSON"):
        canonical(b'{"resourceSpans": []}')
    with pytest.raises(BadBodyError, match="looks gzipped"):
        canonical(b"\x1f\x8b\x08\x00\x00")


def test_every_cut_of_a_body_is_refused_or_is_a_sound_shorter_body():
    body = plain_body(1, 4)
    whole = len(parsed(body).resource_spans[0].scope_spans[0].spans)
    for end in range(1, len(body)):
        with pytest.raises(BadBodyError):
            canonical(body[:end])
    assert canonical(body).spans == whole


def test_an_empty_body_is_an_empty_request():
    assert canonical(b"").spans == 0
    assert canonical(b"").data == b""


@pytest.mark.parametrize(
    ("trace_id", "span_id"),
    [
        (b"", b"12345678"),
        (bytes(16), b"12345678"),
        (b"x" * 15, b"12345678"),
        (b"x" * 16, b""),
        (b"x" * 16, bytes(8)),
        (b"x" * 16, b"123456789"),
    ],
)
def test_spans_without_usable_ids_are_dropped_and_counted(trace_id, span_id):
    request = parsed(Trace().span(1, "good").body())
    request.resource_spans[0].scope_spans[0].spans.add(
        trace_id=trace_id, span_id=span_id, name="bad"
    )
    found = canonical(request.SerializeToString())
    assert (found.spans, found.rejected) == (1, 1)
    assert [s.name for s in parsed(found.data).resource_spans[0].scope_spans[0].spans] == ["good"]


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_mutated_bodies_are_refused_or_canonical_for_good(seed):
    """What is accepted parses, holds no nested value, and is a fixed point of the canonical form."""
    chance = random.Random(seed)
    body = bytearray(
        Trace().span(1, a=["x", 2], b={"c": b"d"}, e=1.5).span(2, "n", 1, error="boom").body()
    )
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(body))
        match chance.randrange(4):
            case 0:
                body[at] = chance.randrange(256)
            case 1:
                del body[at : at + chance.randint(1, 9)]
            case 2:
                body[at:at] = chance.randbytes(chance.randint(1, 9))
            case 3:
                body[at:at] = body[at : at + chance.randint(1, 30)]
    try:
        found = canonical(bytes(body))
    except BadBodyError:
        return
    if found.spans:
        again = canonical(found.data)
        assert (again.data, again.spans, again.rejected) == (found.data, found.spans, 0)


def test_deep_nesting_is_bounded():
    assert "deepest" in attributes(canonical(nested_body(40)).data)["key"].string_value
    with pytest.raises(BadBodyError):
        canonical(nested_body(200))


def nested_body(depth: int) -> bytes:
    """A span with an attribute value nested ``depth`` lists deep; protobuf's own writer refuses that."""

    def field(number: int, content: bytes) -> bytes:
        size, out = len(content), bytearray([number << 3 | 2])
        while size > 127:
            out.append(size & 127 | 128)
            size >>= 7
        return bytes(out) + bytes([size]) + content

    value = field(1, b"deepest")
    for _ in range(depth):
        value = field(5, field(1, value))
    attribute = field(1, b"key") + field(2, value)
    span = field(1, b"t" * 16) + field(2, b"s" * 8) + field(9, attribute)
    return field(1, field(2, field(2, span)))


def test_real_captures_are_all_accepted(shared_data):
    count = 0
    for path in sorted(shared_data.glob("captures/*/*.pb")):
        body = path.read_bytes()
        sent = sum(len(s.spans) for r in parsed(body).resource_spans for s in r.scope_spans)
        found = canonical(body)
        assert (found.spans, found.rejected) == (sent, 0), path
        count += sent
    assert count > 500


def test_a_large_resource_on_many_spans_is_refused():
    """Each row repeats its resource: 1 MB on 50,000 spans would ask the engine for 47 GB."""
    trace = Trace(1, note="x" * 400_000)
    for number in range(1, 1001):
        trace.span(number)
    with pytest.raises(TooLargeError, match="resource's attributes"):
        canonical(trace.body())
