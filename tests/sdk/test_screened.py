"""What a tape has looked through is left out of the span's screening, and nothing else is."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from test_screen import texts

from tachograph import _otlp, _screened
from tachograph._redact import Redactor
from tachograph._screened import Screened

REDACTOR = Redactor()
INPUT, OUTPUT = "gen_ai.tool.call.arguments", "gen_ai.tool.call.result"
ID = 0x0102030405060708
filling = st.sampled_from(["", " and so on" * 20, "long, " * 500])
payloads = st.builds(
    lambda text, more, inside: json.dumps({"a": text + more} if inside else text + more).encode(),
    texts | st.text(st.characters(codec="utf-8"), max_size=200),
    filling,
    st.booleans(),
)


def span_of(attributes):
    """A span as OTLP."""
    head = _otlp.head(1, ID, 2, "n", 0, 3)
    return head + b"".join(_otlp.text_attribute(name, content) for name, content in attributes)


@settings(max_examples=300, deadline=None)
@given(payloads, payloads, st.sampled_from([INPUT, "password", "x-api-key"]), texts)
def test_what_would_be_masked_is_still_found(given_one, result, name, note):
    """However little of the span is left to be screened."""
    span = span_of([(name, given_one), ("note", note.encode("utf-8", "replace")), (OUTPUT, result)])
    screened = Screened()
    for payload in (given_one, result):
        if not REDACTOR.suspects([payload]):
            screened.note(ID, payload)
    read = Span.FromString(span)
    REDACTOR.redact_span(read)
    is_masked = read != Span.FromString(span)
    assert not is_masked or REDACTOR.suspects([screened.rest_of(span)])


def test_only_a_payload_of_that_span_is_left_out():
    clean, other = json.dumps("clean " * 30).encode(), json.dumps("other " * 30).encode()
    screened = Screened()
    screened.note(ID, clean)
    screened.note(ID + 1, other)
    span = span_of([(INPUT, other), ("note", b"sk-" + clean), (OUTPUT, clean)])
    # In the note it is a part of a value: that stays, and stands before the result.
    assert screened.rest_of(span) == span
    screened.note(ID, clean)
    span = span_of([(INPUT, other), (OUTPUT, clean)])
    assert screened.rest_of(span) == span.replace(clean, b"")
    assert screened.rest_of(span) == span, "once"


def test_a_longer_text_is_no_payload_though_its_length_ends_alike():
    """In OTLP, 12,872 is written with the byte of 100 at its end."""
    clean = json.dumps("x" * 98).encode()
    longer = clean + b" and more".ljust(12_872 - 100, b"!")
    screened = Screened()
    screened.note(ID, clean)
    assert screened.rest_of(span_of([("note", longer)])) == span_of([("note", longer)])


def test_little_is_remembered(monkeypatch):
    monkeypatch.setattr(_screened, "_LIMIT_BYTES", 500)
    screened = Screened()
    payload = b'"' + b"x" * 198 + b'"'
    for number in range(4):
        screened.note(ID + number, payload)
    assert screened.rest_of(span_of([(INPUT, payload)])) == span_of([(INPUT, payload)])
    screened.note(ID, payload)
    assert payload not in screened.rest_of(span_of([(INPUT, payload)]))
