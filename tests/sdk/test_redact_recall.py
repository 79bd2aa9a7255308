"""What is found and what is left alone: a table of secrets, and a corpus of what only looks like one."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import uuid
from pathlib import Path

import pytest

from tachograph._redact import Redactor

ROOT = Path(__file__).parents[2]
MIXED = "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xYz"
"""Joined at run time, so that scanners of repositories find no secret here."""
HEX = "0123456789abcdef" * 4
JWT = "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTYifQ." + MIXED

TOKENS = {
    "openai": "sk-" + MIXED + MIXED[:15],
    "openai project": "sk-proj-" + MIXED + "_-" + MIXED,
    "anthropic": "sk-ant-" + "api03-" + MIXED,
    "openrouter": "sk-or-v1-" + HEX,
    "aws id": "AKIA" + "IOSFODNN7EXAMPLE",
    "aws session id": "ASIA" + "IOSFODNN7EXAMPLE",
    "github": "ghp_" + MIXED + "abc",
    "github oauth": "gho_" + MIXED + "abc",
    "github app": "ghs_" + MIXED + "abc",
    "github fine-grained": "github_pat_" + MIXED + "_" + MIXED,
    "gitlab": "glpat-" + MIXED[:20],
    "npm": "npm_" + MIXED + "abc",
    "pypi": "pypi-" + "AgEIcHlwaS5vcmc" + MIXED,
    "hugging face": "hf_" + MIXED,
    "sendgrid": "SG." + MIXED[:22] + "." + MIXED + MIXED[:10],
    "google access": "ya29." + MIXED + "_-" + MIXED,
    "google api": "AIza" + MIXED + "ab",
    "groq": "gsk_" + MIXED + MIXED[:19],
    "replicate": "r8_" + MIXED,
    "xai": "xai-" + MIXED + MIXED,
    "perplexity": "pplx-" + MIXED,
    "digitalocean": "dop_v1_" + HEX,
    "webhook": "whsec_" + MIXED,
    "slack bot": "xoxb-" + "123456789012-" + MIXED[:24],
    "slack user": "xoxp-" + "123456789012-" + MIXED[:24],
    "slack app": "xapp-" + "1-A012345-" + HEX,
    "langsmith": "lsv2_pt_" + HEX[:32] + "_" + HEX[:10],
    "tavily": "tvly-" + MIXED,
    "stripe": "sk_live_" + MIXED[:24],
    "stripe restricted": "rk_live_" + MIXED[:24],
    "vault": "hvs." + MIXED,
    "telegram": "12345678:" + "AA" + MIXED,
    "jwt": JWT,
    "card": "4111 1111 1111 1111",
    "card without gaps": "5500005555555559",
    "amex": "3782-822463-10005",
}

NAMED = {
    "azure storage": (
        "DefaultEndpointsProtocol=https;AccountKey={};EndpointSuffix=x",
        MIXED + "+/==",
    ),
    "bearer header": ("Authorization: Bearer {}", MIXED),
    "lower bearer": ("authorization: bearer {}", MIXED),
    "basic header": ("Authorization: Basic {}", "dXNlcjpwYXNzd29yZA=="),
    "basic alone": ("curl -H 'X: Basic {}'", "dXNlcjpwYXNzd29yZA=="),
    "cookie": ("Cookie: {}", "session=abc; csrftoken=def"),
    "set-cookie": ("Set-Cookie: {}", "sid=31d4d96e407aad42; Path=/"),
    "api key header": ("X-Api-Key: {}", "9c1f6d"),
    "url": ("postgres://bob:{}@db.internal:5432/x", "hunter2"),
    "url with an at": ("redis://:{}@cache", "p@ss:word"),
    "url without user": ("amqp://{}@host", ":s3cr3t"),
    "colon": ("password: {}", "x"),
    "yaml": ("db:\n  password: {}\n  port: 5432", "hunter2"),
    "environment": ("X_SECRET={}", "tiger"),
    "export": ("export OPENAI_API_KEY='{}'", "abc-def"),
    "dotenv": ("A=1\nDB_PASSWORD={}\nB=2", "correcthorse"),
    "option": ("login --password {} --user bob", "hunter2"),
    "option assigned": ("login --api-key={}", "abc123"),
    "two words": ("The API key: {}", "abc123def"),
    "query": ("https://x.org/?a=1&access_token={}&b=2", "abc123"),
    "signed url": ("https://x.blob.core.windows.net/c?sv=1&sig={}", "ab%2Bcd123456"),
    "repr of a dict": ("{{'user': 'bob', 'password': '{}'}}", "hunter2"),
    "call": ('connect(host, password="{}")', "hunter2"),
    "aws pair": ("AKIAIOSFODNN7EXAMPLE,{}", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    "aws file": ("aws_secret_access_key = {}", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    "sentence": ("the password is below\npassword: {} and more", "Tr0ub4dor&3"),
    "html-escaped": ("password\\u003d{}", "hunter2"),
    "private key": ("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", "MIIEvQIBADANBg"),
    "openssh key": ("-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n", "b3BlbnNzaC1rZXk"),
}

PAIRS = [
    {"name": "password", "value": "hunter2"},
    {"value": "hunter2", "key": "DB_PASSWORD"},
    {"Name": "api_key", "Value": "hunter2"},
    {"headers": [["Authorization", "hunter2"], ["Accept", "text/plain"]]},
    {"password": "hunter2", "n": 1},
    {"credentials": {"user": "bob", "pw": "hunter2"}},
    {"tokens": {"access_token": "hunter2"}},
    {"password": ["hunter2", "hunter2"]},
]

HARMLESS = [
    "password: please choose one",
    "The token is valid for an hour, the secret of success is patience.",
    "secret: the art of cooking",
    "Cookie: chocolate chip with nuts",
    "authorization: required by the policy of the house",
    "Basic economics and the bearer of this letter",
    "def connect(password: str, token: str | None = None) -> None: ...",
    "client = Client(api_key=os.environ['KEY'], token=token, password=self.password)",
    "password=password, secret=get_secret(), token: Token[Context]",
    "API_KEY=<your key>  TOKEN=${TOKEN} password=*** SECRET=xxxx",
    'key = "value"; keys = {"a": 1}; sort(key=len)',
    "usage: tacho key [--token TOKEN] NAME",
    "max_tokens=4096 input_tokens: 12 next_page_token: abc",
    "risk-assessment-of-the-whole-company sk-learn task-force-one-two-three-four",
    "call 1234567890123456 at 1763726925123456789 on 2026-11-21T12:08:45.123456789Z",
    "order 4111111111111112 and 4242424242424241 fail the check digit",
    "see https://example.org:8080/a?b=c and mail bob@example.org",
    "git commit 3f786850e387550fdab836ed7e6dc881de23001b",
    "def f(x): return f'{x}:{x}@{x}'",
    '{"type":"object","properties":{"password":{"type":"string","description":"of the user"}}}',
    '{"fields":["password","username"],"name":"bob","value":"x"}',
    '{"has_password":true,"token":null,"max_tokens":5}',
]


@pytest.mark.parametrize("secret", TOKENS.values(), ids=TOKENS.keys())
@pytest.mark.parametrize("around", ["{}", "say {} now", "a={}&b=1", "line\n{}\n", "<{}>", '"{}"'])
def test_tokens_of_providers_are_masked_at_every_depth(secret, around):
    """Plain, in JSON, and in JSON escaped once and twice more."""
    _assert_masked(around.format(secret), secret)


@pytest.mark.parametrize(("text", "secret"), NAMED.values(), ids=NAMED.keys())
def test_secrets_are_masked_by_the_name_before_them_at_every_depth(text, secret):
    """Headers, assignments, options, configuration, URLs."""
    _assert_masked(text.format(secret), secret)


def _assert_masked(text, secret):
    redactor = Redactor()
    for depth in range(4):
        masked, count = redactor.redact("tacho.input", text)
        assert secret not in masked, masked
        assert count >= 1
        assert redactor.redact("tacho.input", masked) == (masked, 0)
        inner = masked
        for _ in range(depth):
            inner = json.loads(inner)["note"]
        text = json.dumps({"note": text})


@pytest.mark.parametrize("value", PAIRS, ids=json.dumps)
def test_pairs_of_name_and_value_are_masked_escaped_or_cut(value):
    """The name of the secret may be a value too; the JSON may be in a text, and cut."""
    redactor = Redactor()
    text = json.dumps(value)
    for _ in range(4):
        masked, _ = redactor.redact("tacho.input", text)
        assert "hunter2" not in masked
        json.loads(masked)
        text = json.dumps({"arguments": text})
    for escaped in (json.dumps(value), json.dumps(json.dumps(value))):
        if "Authorization" not in escaped and '"value": "hunter2", "key"' not in escaped.replace(
            "\\", ""
        ):
            assert "hunter2" not in redactor.redact("x", f"cut {escaped[:-2]}")[0]


def test_numbers_that_are_secrets_leave_valid_json_behind():
    """A card's number and a pin are numbers in JSON, and their masks are texts."""
    redactor = Redactor()
    value = {"a": 4111111111111111, "password": 1234, "list": [5500005555555559, 7], "n": 5}
    for text in (json.dumps(value), json.dumps(value, separators=(",", ":"))):
        again = json.loads(redactor.redact("x", text)[0])
        assert [type(again[key]) for key in ("a", "password", "n")] == [str, str, int]
        nested = json.dumps({"note": text})
        inner = json.loads(json.loads(redactor.redact("x", nested)[0])["note"])
        assert inner["list"][1] == 7
        assert "4111" not in str(inner)


def test_equal_keys_hide_nothing():
    """Of two equal keys a parser keeps the last; the first one is in the text all the same."""
    text, _ = Redactor().redact("x", '{"password":"hunter2","password":null}')
    assert "hunter2" not in text


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_a_secret_is_left_alone(text):
    """A record full of masks is no record."""
    assert Redactor().redact("tacho.output", text) == (text, 0)
    nested = json.dumps({"note": text})
    assert Redactor().redact("tacho.output", nested) == (nested, 0)


def test_hashes_ids_and_images_are_left_alone():
    """Random by nature, secret never."""
    chance = random.Random(7)
    redactor = Redactor()
    for _ in range(300):
        data = chance.randbytes(300)
        for text in (
            hashlib.sha256(data).hexdigest(),
            hashlib.md5(data, usedforsecurity=False).hexdigest(),
            str(uuid.UUID(bytes=data[:16])),
            f'{{"trace":"{data[:16].hex()}","at_ns":{chance.randrange(10**18, 2 * 10**18)}}}',
        ):
            assert redactor.redact("tacho.output", text) == (text, 0)
    image = f"data:image/png;base64,{base64.b64encode(chance.randbytes(200_000)).decode()}"
    assert redactor.redact("tacho.output", image) == (image, 0)


def test_code_and_prose_of_this_repository_are_nearly_untouched():
    """Fewer than one mask in 20,000 characters of sources and documents."""
    redactor, total_chars, masks = Redactor(), 0, []
    paths = [*ROOT.glob("sdk/**/*.py"), *ROOT.glob("collector/**/*.py"), *ROOT.glob("docs/**/*.md")]
    for path in paths:
        text = path.read_text(encoding="utf-8")
        total_chars += len(text)
        masked, count = redactor.redact("tacho.output", text)
        masks += re.findall(r".{0,40}\[redacted:\w+:[0-9a-f]{4}\].{0,10}", masked)
        assert bool(count) == (masked != text)
    assert total_chars > 300_000
    assert len(masks) < total_chars / 20_000, masks
