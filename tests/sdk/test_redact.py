"""Secrets are masked in whatever leaves the process, and nothing else is."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tachograph import _redact
from tachograph._redact import Redactor, is_sensitive

SENSITIVE = [
    "password",
    "db_password",
    "dbPassword",
    "passwd",
    "secret",
    "client_secret",
    "clientSecret",
    "api_key",
    "apiKey",
    "x-api-key",
    "OPENAI_API_KEY",
    "authorization",
    "http.request.header.authorization",
    "credentials",
    "private_key",
    "privateKey",
    "cookie",
    "set-cookie",
    "access_token",
    "accessToken",
    "refresh_token",
    "token",
    "auth.token",
    "secret_key",
    "aws_secret_access_key",
    "pwd",
    "passphrase",
    "csrf_token",
    "connection_string",
]

HARMLESS = [
    "max_tokens",
    "input_tokens",
    "author",
    "authority",
    "token_count",
    "password_reset_at",
    "tokens",
    "key",
    "keyboard",
    "gen_ai.usage.input_tokens",
    "tacho.input",
    "secretary",
    "has_secretary",
    "authorization_status",
    "total_tokens",
    "passenger",
    "compass_direction",
    "key_id",
    "session.id",
    "user.id",
    "primary_key",
    "cookie_count",
    "next_page_token",
    "eos_token",
    "first_token",
    "tacho.run.id",
]


@pytest.mark.parametrize("key", SENSITIVE)
def test_values_of_sensitive_keys_are_masked(key):
    """As an attribute and as a key of JSON in an attribute."""
    redactor = Redactor()
    assert redactor.redact(key, "hunter2")[0].startswith("[redacted:")
    text, count = redactor.redact("tacho.input", json.dumps({"a": [{key: "hunter2"}], "b": 1}))
    assert "hunter2" not in text
    assert json.loads(text)["b"] == 1
    assert count == 1


@pytest.mark.parametrize("key", HARMLESS)
def test_harmless_keys_stay_readable(key):
    """Token counts and authors are what the record is for."""
    text = json.dumps({key: "value 7"})
    assert Redactor().redact("tacho.input", text) == (text, 0)
    assert not is_sensitive(key)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("key sk-ant-api03-AAAABBBBCCCCDDDD here", "anthropic_key"),
        ("sk-proj-abcdefghijklmnopqrstuv", "api_key"),
        ("AKIAIOSFODNN7EXAMPLE", "aws_key"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "github_token"),
        ("xoxb-123456789012-abcdef", "slack_token"),
        ("sk_live_abcdefghijklmnop", "stripe_key"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk", "jwt"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "private_key"),
        ("-----BEGIN PRIVATE KEY-----\ncut off", "private_key"),
        ("Authorization: Bearer abcdefgh12345678", "bearer"),
        ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "authorization"),
        ("postgres://bob:hunter2@db/x", "url_password"),
        ("https://x.org/?a=1&token=abc123&b=2", "token"),
        ("run with password=hunter2 please", "password"),
    ],
)
def test_secrets_are_known_by_their_shape(text, kind):
    """Anywhere in a text, plain or inside JSON inside JSON."""
    redactor = Redactor()
    masked, count = redactor.redact("note", text)
    assert f"[redacted:{kind}" in masked
    assert count == 1
    nested = json.dumps({"args": json.dumps({"note": text})})
    again, _ = redactor.redact("tacho.input", nested)
    assert f"[redacted:{kind}" in again
    json.loads(json.loads(again)["args"])


@pytest.mark.parametrize(
    "text",
    [
        "risk-assessment-of-the-whole-company",
        "the bearer of this letter",
        "mail bob@example.org about https://example.org/a",
        "the right height for a mighty knight",
        "password: please choose one",
        '{"a": "unfinished',
    ],
)
def test_ordinary_text_is_left_alone(text):
    """A record full of masks is no record."""
    assert Redactor().redact("tacho.output", text) == (text, 0)


def test_equal_secrets_have_equal_marks_and_no_part_of_them_is_shown():
    """Enough to tell that two are the same, whatever was around them."""
    redactor = Redactor()
    first, _ = redactor.redact("n", "AKIAIOSFODNN7EXAMPLE")
    again, _ = redactor.redact("m", "the key is AKIAIOSFODNN7EXAMPLE.")
    other, _ = redactor.redact("n", "AKIAIOSFODNN7EXAMPLF")
    assert re.fullmatch(r"\[redacted:aws_key:[0-9a-f]{4}\]", first)
    assert first in again
    assert first != other
    by_key, _ = redactor.redact("password", "correct horse")
    assert by_key in redactor.redact("x", '{"password":"correct horse"}')[0]


def test_containers_under_sensitive_keys_go_as_a_whole():
    """`credentials: {user, pw}` hides its parts; flags and nulls do not need to."""
    text, _ = Redactor().redact("x", '{"credentials":{"pw":"b"},"has_password":true,"token":null}')
    parsed = json.loads(text)
    assert parsed.pop("credentials").startswith("[redacted:credential:")
    assert parsed == {"has_password": True, "token": None}


def test_cut_and_escaped_json_is_masked_too():
    """Payloads of foreign spans may be cut anywhere."""
    redactor = Redactor()
    for text in ('{"password":"hunter2 and mo', 'say \\"password\\": \\"hunter2\\" ok'):
        assert "hunter2" not in redactor.redact("x", text)[0]


def test_hooks_mask_what_only_the_user_knows():
    """A regex, a pattern text, a function."""
    redactor = Redactor(
        [re.compile(r"INV-\d+"), r"\bIBAN \w+", lambda key, text: text.replace("Bob", "B.")]
    )
    masked, count = redactor.redact("x", "Bob paid INV-123 from IBAN DE123")
    assert re.fullmatch(
        r"B\. paid \[redacted:custom:\w{4}\] from \[redacted:custom:\w{4}\]", masked
    )
    assert count == 3


def test_hook_that_raises_costs_the_value_never_the_secret(monkeypatch, caplog):
    """On failure the value is replaced, logged once a minute."""
    monkeypatch.setattr("tachograph._guard._last_said_s", {})

    def broken(key, text):
        raise RuntimeError

    redactor = Redactor([broken])
    assert redactor.redact("x", "secret stuff") == ("[redacted:not examined]", 1)
    redactor.redact("x", "more")
    assert len(caplog.records) == 1


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException])
def test_hook_may_raise_anything(error):
    """The sender's thread lives on and the value stays here."""

    def broken(key, text):
        raise error

    assert Redactor([broken]).redact("x", "secret stuff") == ("[redacted:not examined]", 1)


def test_places_in_the_record_can_be_named():
    """Globs over dotted paths: of the attribute, and of what is inside its JSON."""
    redactor = Redactor(paths=["*.card", "tacho.input.customer.*", "app.private"])
    value = {
        "card": {"n": 1},
        "customer": {"name": "Bob", "age": 7},
        "items": [{"card": "x"}],
        "n": 1,
    }
    text, count = redactor.redact("tacho.input", json.dumps(value))
    parsed = json.loads(text)
    assert count == 4
    assert parsed["n"] == 1
    masked = [parsed["card"], *parsed["customer"].values(), parsed["items"][0]["card"]]
    assert all(item.startswith("[redacted:rule:") for item in masked)
    assert redactor.redact("app.private", "anything")[0].startswith("[redacted:rule:")
    assert redactor.redact("app.public", "anything") == ("anything", 0)
    assert redactor.redact("tacho.input", text) == (text, 0)


def test_mail_addresses_are_masked_on_request_only():
    """They are what many records are about."""
    text = "from bob@example.org to <ann.lee+x@mail.example.co.uk>, not @bob or a@b"
    assert Redactor().redact("x", text) == (text, 0)
    masked, count = Redactor(emails=True).redact("x", text)
    assert count == 2
    assert "example" not in masked
    assert masked.endswith("not @bob or a@b")


def test_longer_than_can_be_examined_is_cut(monkeypatch):
    """What was not looked at does not leave."""
    monkeypatch.setattr(_redact, "EXAMINED_LIMIT_CHARS", 100)
    masked, count = Redactor().redact("x", "a" * 100 + " AKIAIOSFODNN7EXAMPLE")
    assert masked.endswith("a [21 characters were not examined and left out]")
    assert count == 1


def test_broken_pattern_masks_everything(caplog):
    """A pattern that does not compile must not let secrets pass."""
    assert Redactor(["("]).redact("x", "anything")[0].startswith("[redacted:custom")
    assert "all texts are masked" in caplog.text


def test_every_text_of_a_request_is_examined():
    """Resource, scope, name, status, attributes, arrays, bytes, events, links."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    key = "AKIAIOSFODNN7EXAMPLE"
    resource_spans.resource.attributes.add(key="r").value.string_value = key
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.attributes.add(key="s").value.string_value = key
    span = scope_spans.spans.add(name=f"GET {key}")
    span.status.message = key
    span.attributes.add(key="a").value.array_value.values.add().string_value = key
    span.attributes.add(key="b").value.bytes_value = key.encode()
    span.attributes.add(key="m").value.kvlist_value.values.add(
        key="password"
    ).value.string_value = "x"
    span.attributes.add(key="n").value.int_value = 5
    span.events.add(name="e").attributes.add(key="e").value.string_value = key
    span.links.add().attributes.add(key="l").value.string_value = key
    Redactor().redact_request(request)
    assert key not in str(request)
    counts = [
        pair.value.int_value for pair in span.attributes if pair.key == "tacho.redacted_count"
    ]
    assert counts == [7]


@given(st.text(), st.text())
def test_redaction_never_raises_and_is_stable(key, text):
    """Hostile text in, text out; masking twice changes nothing more."""
    redactor = Redactor()
    once, _ = redactor.redact(key, text)
    once.encode("utf-8", "surrogatepass")
    assert redactor.redact("x", redactor.redact("x", text)[0]) == (redactor.redact("x", text)[0], 0)


@given(st.text(alphabet='"\\:{}[],passwordtoken =@/.0'))
def test_redaction_survives_broken_json(text):
    """Quotes and backslashes in any order end quickly."""
    Redactor().redact("x", text)
    assert _redact.is_sensitive("token")


def test_escaped_lone_surrogate_does_not_spoil_the_text():
    """Protobuf refuses lone surrogates; parsing JSON makes them from escapes."""
    text, count = Redactor().redact("x", '{"a":"\\ud800","token":"x"}')
    assert count == 1
    text.encode("utf-8")
