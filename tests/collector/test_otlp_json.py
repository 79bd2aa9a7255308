"""OTLP/JSON becomes the same canonical bytes as OTLP/protobuf, and what cannot be read is named by its place."""

from __future__ import annotations

import base64
import json
import math

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otlp import Trace, any_value
from tachograph_collector.canonical import MAX_SPANS, canonical
from tachograph_collector.errors import BadBodyError, TooLargeError
from tachograph_collector.otlp_json import canonical_json

TRACE_ID, SPAN_ID = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"


def body(*spans: dict, **resource) -> bytes:
    given = {"scopeSpans": [{"spans": list(spans)}]} | resource
    return json.dumps({"resourceSpans": [given]}).encode()


def span(**members) -> dict:
    return {"traceId": TRACE_ID, "spanId": SPAN_ID} | members


def read(raw: bytes):
    """The only span of a body, as it is kept."""
    request = ExportTraceServiceRequest.FromString(canonical_json(raw).data)
    return request.resource_spans[0].scope_spans[0].spans[0]


def value(given):
    """What is kept of one attribute value."""
    (attribute,) = read(body(span(attributes=[{"key": "k", "value": given}]))).attributes
    return attribute.value


def as_json(message) -> dict:
    """A request as OTLP's JSON: protobuf's JSON, but ids are hex."""
    out = MessageToDict(message)

    def mend(node):
        if isinstance(node, dict):
            for key in ("traceId", "spanId", "parentSpanId"):
                if key in node:
                    node[key] = base64.b64decode(node[key]).hex()
        for child in node.values() if isinstance(node, dict) else node:
            if isinstance(child, dict | list):
                mend(child)

    mend(out)
    return out


# --- the law ---

TEXT = st.text(max_size=12)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | TEXT
    | st.binary(max_size=9)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ATTRIBUTES = st.dictionaries(TEXT, VALUES, max_size=4)
UINT32, FIXED64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
IDS, SHORT_IDS = st.binary(min_size=14, max_size=17), st.binary(min_size=7, max_size=9)


@st.composite
def requests(draw):
    request = ExportTraceServiceRequest()
    for _ in range(draw(st.integers(0, 2))):
        resource_spans = request.resource_spans.add(schema_url=draw(TEXT))
        fill(resource_spans.resource, draw)
        for _ in range(draw(st.integers(0, 2))):
            scope_spans = resource_spans.scope_spans.add(schema_url=draw(TEXT))
            scope_spans.scope.name, scope_spans.scope.version = draw(TEXT), draw(TEXT)
            fill(scope_spans.scope, draw)
            for _ in range(draw(st.integers(0, 3))):
                fill_span(scope_spans.spans.add(), draw)
    return request


def fill(owner, draw):
    owner.dropped_attributes_count = draw(UINT32)
    for key, item in draw(ATTRIBUTES).items():
        owner.attributes.add(key=key).value.CopyFrom(any_value(item))


def fill_span(made, draw):
    made.trace_id, made.span_id = draw(IDS), draw(SHORT_IDS)
    made.parent_span_id, made.trace_state, made.name = draw(SHORT_IDS), draw(TEXT), draw(TEXT)
    made.kind, made.status.code = draw(st.integers(0, 5)), draw(st.integers(0, 2))
    made.status.message, made.flags = draw(TEXT), draw(UINT32)
    made.start_time_unix_nano, made.end_time_unix_nano = draw(FIXED64), draw(FIXED64)
    made.dropped_events_count, made.dropped_links_count = draw(UINT32), draw(UINT32)
    fill(made, draw)
    for _ in range(draw(st.integers(0, 2))):
        fill(made.events.add(name=draw(TEXT), time_unix_nano=draw(FIXED64)), draw)
    for _ in range(draw(st.integers(0, 2))):
        link = made.links.add(trace_id=draw(IDS), span_id=draw(SHORT_IDS), flags=draw(UINT32))
        link.trace_state = draw(TEXT)
        fill(link, draw)


@settings(max_examples=250, deadline=None)
@given(request=requests())
def test_json_and_protobuf_of_a_request_become_the_same_bytes(request):
    assert canonical_json(json.dumps(as_json(request)).encode()) == canonical(
        request.SerializeToString()
    )


# --- what clients write ---


def test_real_captures_are_all_accepted(shared_data):
    spans = 0
    for path in sorted(shared_data.glob("captures/*/[0-9]*.json")):
        found = canonical_json(path.read_bytes())
        assert (found.rejected, found.mended) == (0, 0), path
        spans += found.spans
    assert spans >= 30


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"stringValue": "x"}, any_value("x")),
        ({"intValue": 7}, any_value(7)),
        ({"intValue": "-7"}, any_value(-7)),
        ({"intValue": str(2**63 - 1)}, any_value(2**63 - 1)),
        ({"intValue": 7.0}, any_value(7)),
        ({"intValue": 1e21}, any_value(1e21)),
        ({"doubleValue": 0.5}, any_value(0.5)),
        ({"doubleValue": 3}, any_value(3.0)),
        ({"doubleValue": "0.5"}, any_value(0.5)),
        ({"doubleValue": "Infinity"}, any_value(math.inf)),
        ({"doubleValue": "-Infinity"}, any_value(-math.inf)),
        ({"doubleValue": 10**400}, any_value(math.inf)),
        ({"boolValue": False}, any_value(False)),
        ({}, any_value(None)),
        (None, any_value(None)),
        ({"stringValue": None}, any_value(None)),
        ({"futureValue": 1}, any_value(None)),
        ({"arrayValue": {"values": [{"intValue": "1"}, {}]}}, any_value([1, None])),
        ({"arrayValue": {}}, any_value([])),
        ({"bytesValue": "AP8="}, any_value('"AP8="')),
        ({"bytesValue": "AP8"}, any_value('"AP8="')),
        ({"bytesValue": "-_8="}, any_value('"+/8="')),
    ],
    ids=str,
)
def test_attribute_values_are_read_as_clients_write_them(given, kept):
    assert value(given) == kept


@pytest.mark.parametrize("given", [None, "NaN", math.nan])
def test_nan_is_written_in_three_ways(given):
    assert math.isnan(value({"doubleValue": given}).double_value)


def test_nested_values_become_json_text():
    tree = {
        "kvlistValue": {
            "values": [
                {"key": "list", "value": {"arrayValue": {"values": [{"doubleValue": None}, {}]}}},
                {"key": "empty"},
                {"value": {"intValue": "3"}},
            ]
        }
    }
    assert json.loads(value(tree).string_value) == {"list": ["NaN", None], "empty": None, "": 3}


def test_enumerations_are_numbers_or_names():
    for kind in (3, "3", "SPAN_KIND_CLIENT"):
        assert read(body(span(kind=kind))).kind == 3
    for code in (2, "STATUS_CODE_ERROR"):
        assert read(body(span(status={"code": code}))).status.code == 2


def test_times_are_text_or_numbers_even_inexact_ones():
    for exact in ("1795203378266000000", 1795203378266000000):
        assert read(body(span(startTimeUnixNano=exact))).start_time_unix_nano == int(exact)
    for inexact in (1795203378266000000.0, 1.5):
        kept = read(body(span(startTimeUnixNano=inexact))).start_time_unix_nano
        assert kept == int(inexact)


def test_ids_are_hex_in_either_case_and_may_be_missing():
    kept = read(body(span(traceId=TRACE_ID.upper())))
    assert kept.trace_id.hex() == TRACE_ID
    assert kept.parent_span_id == b""
    assert read(body(span(parentSpanId=""))).parent_span_id == b""


def test_spans_without_usable_ids_are_dropped_and_counted():
    found = canonical_json(body(span(), {"name": "no ids"}, span(spanId="00")))
    assert (found.spans, found.rejected) == (1, 2)


def test_unknown_keys_are_ignored_and_null_is_absent():
    made = span(name=None, attributes=None, futureField={"x": [1]}, trace_id="not camel case")
    assert canonical_json(body(made, schemaUrl=None, resource=None)).spans == 1
    assert canonical_json(b"{}").spans == 0
    assert canonical_json(b'{"resourceSpans": null}').spans == 0
    assert canonical_json(b'\xef\xbb\xbf{"resourceSpans": []}').spans == 0


def test_halves_of_surrogate_pairs_are_mended_and_counted():
    nested = {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "\udd14"}}]}}
    made = span(
        name="cut \ud83e",
        attributes=[
            {"key": "\ud83e\ud83e", "value": {"stringValue": "whole \U0001f914"}},
            {"key": "n", "value": nested},
        ],
    )
    raw = body(made)
    assert b"\\ud83e" in raw
    found = canonical_json(raw)
    kept = read(raw)
    assert kept.name == "cut \ufffd"
    assert kept.attributes[0].key == "\ufffd\ufffd"
    assert kept.attributes[0].value.string_value == "whole \U0001f914"
    assert json.loads(kept.attributes[1].value.string_value) == {"k": "\ufffd"}
    assert found.mended == 3


def test_broken_utf8_is_mended():
    raw = body(span(name="@@")).replace(b"@@", b"a\xffb")
    assert read(raw).name == "a\ufffdb"
    assert canonical_json(raw).mended == 1


# --- what is refused ---

SPANS = "resourceSpans[0].scopeSpans[0].spans"
ATTRIBUTE = f"{SPANS}[0].attributes[1].value"


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"name": 1}, f"{SPANS}[0].name: text is expected, not a number"),
        ({"kind": "SPAN_KIND_ODD"}, f"{SPANS}[0].kind: "),
        ({"kind": 2**31}, f"{SPANS}[0].kind: the number is not from"),
        ({"traceId": "xyz"}, f"{SPANS}[0].traceId: an id in hex"),
        ({"traceId": 5}, f"{SPANS}[0].traceId: text is expected"),
        ({"startTimeUnixNano": "soon"}, f"{SPANS}[0].startTimeUnixNano: "),
        ({"startTimeUnixNano": "9" * 5000}, f"{SPANS}[0].startTimeUnixNano: "),
        ({"startTimeUnixNano": -1}, f"{SPANS}[0].startTimeUnixNano: "),
        ({"startTimeUnixNano": True}, f"{SPANS}[0].startTimeUnixNano: .* not a truth value"),
        ({"startTimeUnixNano": math.inf}, f"{SPANS}[0].startTimeUnixNano: "),
        ({"status": []}, f"{SPANS}[0].status: an object is expected, not an array"),
        ({"events": [{}, {"name": {}}]}, f"{SPANS}[0].events[1].name: "),
        ({"links": {}}, f"{SPANS}[0].links: an array is expected"),
        ({"attributes": [{}, []]}, f"{SPANS}[0].attributes[1]: an object"),
    ],
    ids=lambda given: str(given)[:40],
)
def test_what_cannot_be_read_is_named_by_its_place(members, place):
    with pytest.raises(BadBodyError) as caught:
        canonical_json(body(span(**members)))
    head, _, tail = place.partition(".*")
    assert head in str(caught.value)
    assert tail in str(caught.value)


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("text", ": an object is expected, not text"),
        ({"stringValue": 1}, ".stringValue: "),
        ({"boolValue": "true"}, ".boolValue: "),
        ({"intValue": 0.5}, ".intValue: "),
        ({"intValue": []}, ".intValue: "),
        ({"doubleValue": "many"}, ".doubleValue: "),
        ({"doubleValue": {}}, ".doubleValue: "),
        ({"arrayValue": []}, ".arrayValue: an object"),
        ({"arrayValue": {"values": {}}}, ".arrayValue.values: an array"),
        ({"arrayValue": {"values": [{}, {"intValue": "x"}]}}, ".arrayValue.values[1].intValue: "),
        ({"bytesValue": "!"}, ".bytesValue: base64"),
        ({"bytesValue": "é"}, ".bytesValue: base64"),
        ({"kvlistValue": {"values": [1]}}, ".kvlistValue.values[0]: "),
        ({"kvlistValue": {"values": [{"key": 1}]}}, ".kvlistValue.values[0].key: "),
        (
            {"kvlistValue": {"values": [{"value": {"boolValue": 1}}]}},
            ".kvlistValue.values[0].value.boolValue: ",
        ),
    ],
    ids=str,
)
def test_a_wrong_attribute_value_is_named_by_its_place(given, place):
    with pytest.raises(BadBodyError) as caught:
        canonical_json(body(span(attributes=[{"key": "fine"}, {"key": "k", "value": given}])))
    assert ATTRIBUTE + place in str(caught.value)


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"null", b"1", b'"x"', b"{", b"{}}", b"\x0a\x02", b"[" * 100_000, b"1" * 5000],
    ids=lambda raw: repr(raw[:10]),
)
def test_garbage_is_refused(raw):
    with pytest.raises(BadBodyError, match="JSON"):
        canonical_json(raw)


def test_depth_and_size_are_bounded():
    def nested(levels):
        tree = {"stringValue": "deepest"}
        for _ in range(levels):
            tree = {"arrayValue": {"values": [tree]}}
        return tree

    assert "deepest" in value(nested(60)).string_value
    with pytest.raises(BadBodyError, match="more than 64 levels"):
        value(nested(70))
    with pytest.raises(BadBodyError, match="nested too deeply"):
        canonical_json(b'{"resourceSpans":' + b"[" * 50_000 + b"]" * 50_000 + b"}")
    with pytest.raises(TooLargeError, match="spans"):
        canonical_json(
            b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b"{}," * MAX_SPANS + b"{}]}]}]}"
        )
    with pytest.raises(TooLargeError, match="objects and arrays"):
        canonical_json(b"{" * 2_000_001)


def test_a_trace_as_the_sdk_sends_it_is_the_same_both_ways():
    request = Trace().span(1, a="b", n=[1, [2]], error="x", events=[("e", {"k": 1.5})]).request
    raw = json.dumps(as_json(request)).encode()
    assert canonical_json(raw) == canonical(request.SerializeToString())
