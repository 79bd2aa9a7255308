"""The screen against the redactor: what would be masked is never waved through."""

from __future__ import annotations

import sys
import types

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tachograph import _screen
from tachograph._redact import Redactor
from tachograph._screen import best_engine, python_engine, re2_engine

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
# Whichever is used where the tests run: what one of them would let pass may be all that the other looks at.
ENGINES = {"re2": re2_engine(), "python": python_engine()}


def suspects(contents):
    """What both engines say: for texts of which they must say the same."""
    found = [_screen.suspects(contents, engine=engine) for engine in ENGINES.values()]
    assert found[0] == found[1]
    return found[0]


def assert_examined(content):
    """Neither engine waves it through."""
    for name, engine in ENGINES.items():
        assert _screen.suspects([content], engine=engine), name


def span_bytes(key: str, text: str) -> bytes:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(name="n")
    span.attributes.add(key=key).value.string_value = text
    return span.SerializeToString()


@settings(max_examples=2_000, deadline=None)
@given(texts)
@example("x-api-key: abcdefgh")
@example("--_credential hunter2hunter2")
@example("--2nd-password hunter2hunter2")
@example("--.token hunter2hunter2")
def test_text_that_would_be_masked_is_never_waved_through(text):
    """Whatever stands around the secret."""
    text = text.encode("utf-8", "replace").decode()
    _, count = REDACTOR.redact("tacho.input", text)
    if count:
        assert_examined(span_bytes("tacho.input", text))


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
    numbers = "[0.8444218515250481, -12345678901234567, 1700000000123456789, 555-1234 5678]"
    assert not suspects([span_bytes("tacho.input", numbers)])


@pytest.mark.parametrize(
    "form", ['{{"{0}":5}}', '{{\\"{0}\\": \\"x\\"}}', "{{'{0}': 'x'}}", '["a","my {0}"]']
)
@pytest.mark.parametrize("name", ["max_tokens", "total_tokens", "cache_key", "key", "next_token"])
def test_quoted_names_that_are_no_secrets_pass(name, form):
    """They are in every answer of a model."""
    assert not suspects([span_bytes("tacho.input", form.format(name))])


@pytest.mark.parametrize("backslashes", [1, 100, 1_000])
def test_names_are_known_however_often_they_are_escaped(backslashes):
    quote = backslashes * "\\" + '"'
    text = f"{quote}client_secret{quote}:{quote}hunter2{quote}"
    assert REDACTOR.redact("tacho.input", text)[1]
    assert suspects([span_bytes("tacho.input", text)])


@pytest.mark.parametrize("card", ["4111111111111111", "4111 1111 1111 1111", "378282246310005"])
def test_card_is_known_however_long_its_text_is(card):
    """The length stands before a text in protobuf, and may look like a digit or a letter."""
    # Lengths that end in a digit, in a letter, and in none; of one byte, two and three.
    for size in (19, 33, 48, 55, 57, 65, 97, 122, 127, 128, 300, 6_200, 8_320, 12_480, 800_100):
        text = card.ljust(size, "!")
        assert REDACTOR.redact("tacho.input", text)[1]
        assert_examined(span_bytes("tacho.input", text))


@pytest.mark.parametrize("before", ["", "1", "x", "x: ", "5 ", "\\n", "-", "9999 ", "12345678901 "])
def test_card_is_known_behind_whatever_may_stand_there(before):
    for secret in SECRETS[-5:]:
        text = f"{before}{secret}"
        if REDACTOR.redact("tacho.input", text)[1]:
            assert_examined(span_bytes("tacho.input", text))
            assert_examined(text.encode())


@settings(max_examples=30, deadline=None)
@given(st.lists(texts | words, max_size=6), st.sampled_from([0, 300_000]))
def test_each_of_many_is_judged_as_if_it_were_alone(found, filling_bytes):
    """They are screened as one text, which has its limits."""
    contents = [
        span_bytes("tacho.input", text.encode("utf-8", "replace").decode() + filling_bytes * "x")
        for text in found
    ]
    for engine in ENGINES.values():
        alone = [
            place
            for place, content in enumerate(contents)
            if _screen.suspects([content], engine=engine)
        ]
        assert _screen.suspects(contents, engine=engine) == alone


def test_letters_that_are_everywhere_hide_nothing():
    """What is rare is looked for otherwise than what is not."""
    for filling in ("k", "_", "-", "0", "=", "@", "ek", "0000 0000 "):
        for secret in (SECRETS[0], "token=abcdefgh1", "4111 1111 1111 1111", "https://u:hunter2@h"):
            text = f"{5_000 * filling} {secret} {5_000 * filling}"
            assert suspects([b"a", text.encode(), b"b"]) == [1]


def test_what_begins_within_a_name_that_is_passed_over_is_found():
    """The engine with one expression for everything goes on within it, not behind."""
    for text in ('"next_token4111111111111111"', '"next_token","sk-ant-abcdefgh12345678"'):
        if REDACTOR.redact("tacho.input", text)[1]:
            assert_examined(text.encode())
    assert_examined(b'"a key":"b","client_secret":"c"')


@pytest.mark.parametrize("module", [None, types.ModuleType("re2")], ids=["missing", "another"])
def test_without_re2_python_looks(monkeypatch, module):
    """Not installed, or another package of that name."""
    monkeypatch.setitem(sys.modules, "re2", module)
    monkeypatch.setattr(_screen, "_engine", None)
    assert re2_engine() is None
    assert _screen.suspects([b"a", b"password=b"]) == [1]


def test_re2_is_used_where_it_is_installed():
    assert best_engine().func is re2_engine().func


LOOKING = """
import os, random, signal, sys, threading
import tachograph as tacho
from tachograph._screen import best_engine, suspects

tacho.init(endpoint="http://127.0.0.1:9", service="svc")
looks = threading.Event()
def look():
    chance = random.Random(7)
    while True:
        suspects([chance.randbytes(90_000)])
        looks.set()
threading.Thread(target=look, daemon=True).start()
looks.wait()
"""
"""A thread of the process screens something new at every moment, as a sender under load does."""


def test_a_child_that_is_forked_in_the_midst_of_a_look_looks(run_script):
    """RE2 has locks of its own, and would wait for ever for a thread that is not there."""
    source = """
for _ in range(60):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        os._exit(0 if suspects([b"a", b"password=b"]) == [1] and best_engine() else 1)
    status = os.waitpid(pid, 0)[1]
    assert status == 0, status
"""
    run_script(LOOKING + source)


def test_a_process_that_ends_in_the_midst_of_a_look_is_not_aborted(run_script):
    """Python ends a thread that comes back to it then, and C++ ends the process for that."""
    assert run_script(LOOKING, check=False).returncode == 0


def test_at_the_end_python_looks(run_script):
    """What is still to be sent by others, after the end of ours, is screened all the same."""
    source = """
import atexit
atexit._run_exitfuncs()
print(type(best_engine()).__name__, suspects([b"a", b"password=b"]))
"""
    assert run_script(LOOKING + source).stdout == "function [1]\n"
