"""The screen against the redactor: what would be masked is never waved through."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tachograph._redact import Redactor
from tachograph._screen import suspects

SECRETS = [
    "sk-ant-abcdefgh12345678", "sk_live_abcdefghijkl", "rk_test_abcdefghijkl1", "whsec_abcdefghijklmnop",
    "sk-proj-abcdefghijkl", "sk-abcdefghijklmnopqrst", "gsk_abcdefghijklmnopqrst", "r8_abcdefghijklmnopqrst",
    "fw_abcdefghijklmnopqrst", "pcsk_abcdefghijklmnopqrst", "nvapi-abcdefghijklmnopqrst", "secret_abcdefghijklmnopqrst",
    "ntn_abcdefghijklmnopqrst", "lin_api_abcdefghijklmnopqrst", "figd_abcdefghijklmnopqrst",
    "rubygems_abcdefghijklmnopqrst", "sntrys_abcdefghijklmnopqrst", "glsa_abcdefghijklmnopqrst",
    "shpat_abcdefghijklmnopqrst", "shpca_abcdefghijklmnopqrst", "xai-abcdefghijklmnopqrst", "pplx-abcdefghijklmnopqrst",
    "tvly-dev-abcdefghijklmnop", "lsv2_pt_abcdefghijklmnop", "dop_v1_" + "a" * 32, "hvs.abcdefghijklmnopqrst",
    "dckr_pat_abcdefghijklmnop", "SG.abcdefghijklmnop.abcdefghijklmnop", "AKIAABCDEFGHIJKLMNOP", "ASIAABCDEFGHIJKLMNOP",
    "ghp_abcdefghijklmnopqrst", "github_pat_abcdefghijklmnopqrst", "glpat-abcdefghijklmnop", "glsoat-abcdefghijklmnop",
    "gldt-abcdefghijklmnop", "glrt-abcdefghijklmnop", "glcbt-abcdefghijklmnop", "glptt-abcdefghijklmnop",
    "glft-abcdefghijklmnop", "npm_" + "a" * 30, "pypi-AgEabcdefghijklmnop", "pypi-" + "a" * 48,
    "hf_abcdefghijklmnopqrst", "api_org_abcdefghijklmnopqrst", "xoxb-abcdefghij", "xapp-abcdefghij",
    "hooks.slack.com/services/abcdefghijklmnopqrst", "AIza" + "a" * 30, "ya29.abcdefghijklmnopqrst",
    "GOCSPX-abcdefghijklmnopqrst", "12345678:AA" + "a" * 33, "eyJabcdef.abcdef.abc", "Bearer abcdefgh1",
    "bearer abcdefgh1", "BEARER abcdefgh1", "Basic YTpiYzpk", "basic YTpiYzpk", "https://user:hunter2@host",
    "https:\\/\\/user:hunter2@host", "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
    "4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005", "3782-822463-10005",
]  # fmt: skip
NAMES = [
    "password", "passwd", "Passphrase", "passcodes", "PWD", "secret", "client_secret", "secrets", "secret access key",
    "api_key", "apiKey", "x-api-key", "private_key", "signing-key", "Authorization", "credentials", "Cookie", "cookies",
    "access_token", "idToken", "csrf-token", "token", "session_token_hash", "x-auth", "connection_string",
    "connectionString", "sig", "signature", "x-amz-signature", "password_value", "token2", "API key", "to\u212aen",
]  # fmt: skip
SHAPES = [
    '{{"{0}":"{1}"}}', '{{"{0}": {{"a": "{1}"}}}}', '{{\\"{0}\\": \\"{1}\\"}}', "{0}={1}", "{0}: {1}", "{0} = {1}", "{0}:={1}",
    "--{0} {1}", "--{0}={1}", '["{0}","{1}"]', '{{"name":"{0}","value":"{1}"}}', "'{0}': '{1}'", "?{0}%3D{1}", "{0}\\u003d{1}",
    '{{"{0}":1234}}', "a {0} b {1}", "{0}=>{1}",
]  # fmt: skip
words = st.text(st.characters(codec="utf-8"), max_size=12)
texts = st.one_of(
    st.builds(lambda a, b, c: a + b + c, words, st.sampled_from(SECRETS), words),
    st.builds(
        lambda a, shape, name, value, b: a + shape.format(name, value) + b,
        words,
        st.sampled_from(SHAPES),
        st.sampled_from(NAMES),
        st.one_of(words, st.just("hunter2hunter2"), st.sampled_from(SECRETS)),
        words,
    ),
)
REDACTOR = Redactor()


def span_bytes(key: str, text: str) -> bytes:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(name="n")
    span.attributes.add(key=key).value.string_value = text
    return span.SerializeToString()


@settings(max_examples=2_000, deadline=None)
@given(texts)
@example("x-api-key: abcdefgh")
def test_text_that_would_be_masked_is_never_waved_through(text):
    """Whatever stands around the secret."""
    text = text.encode("utf-8", "replace").decode()
    _, count = REDACTOR.redact("tacho.input", text)
    assert not count or suspects([span_bytes("tacho.input", text)])


@pytest.mark.parametrize("secret", SECRETS)
def test_every_shape_is_known_to_both(secret):
    """A shape that only one of them knows would be masked by luck."""
    assert REDACTOR.redact("note", f"a {secret} b")[1]
    assert suspects([f"a {secret} b".encode()])


@pytest.mark.parametrize("name", ["password", "http.request.header.authorization", "x-api-key"])
def test_attribute_named_for_a_secret_is_examined(name):
    """Its value may look like anything."""
    assert suspects([span_bytes(name, "plain")])


def test_ordinary_records_pass():
    """Else nothing would be gained."""
    text = '{"customer":"C-1","top_k":5,"note":"the token budget of this model is a key figure, pass it on"}'
    assert not suspects([span_bytes("gen_ai.tool.call.arguments", text)])
    assert not suspects([span_bytes("gen_ai.usage.total", "1700000000")])


@settings(max_examples=30, deadline=None)
@given(st.lists(texts | words, max_size=6), st.sampled_from([0, 300_000]))
def test_each_of_many_is_judged_as_if_it_were_alone(found, filling_bytes):
    """They are screened as one text, which has its limits."""
    contents = [
        span_bytes("tacho.input", text.encode("utf-8", "replace").decode() + filling_bytes * "x")
        for text in found
    ]
    alone = [place for place, content in enumerate(contents) if suspects([content])]
    assert suspects(contents) == alone


def test_letters_that_are_everywhere_hide_nothing():
    """What is rare is looked for otherwise than what is not."""
    for filling in ("k", "_", "-", "0", "=", "@", "ek", "0000 0000 "):
        for secret in (SECRETS[0], "token=abcdefgh1", "4111 1111 1111 1111", "https://u:hunter2@h"):
            text = f"{5_000 * filling} {secret} {5_000 * filling}"
            assert suspects([b"a", text.encode(), b"b"]) == [1]
