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


def test_last_four_are_shown_of_long_keys_only():
    """Enough to tell which key it was, never enough of a password."""
    assert Redactor().redact("n", "AKIAIOSFODNN7EXAMPLE")[0] == "[redacted:aws_key …MPLE]"
    assert Redactor().redact("password", "correct horse battery staple")[0] == "[redacted:password]"


def test_containers_under_sensitive_keys_go_as_a_whole():
    """`credentials: {user, pw}` hides its parts; flags and nulls do not need to."""
    text, _ = Redactor().redact("x", '{"credentials":{"pw":"b"},"has_password":true,"token":null}')
    assert json.loads(text) == {
        "credentials": "[redacted:credential]",
        "has_password": True,
        "token": None,
    }


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
    assert masked == "B. paid [redacted:custom] from [redacted:custom]"
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
