"""The work of redaction grows with the text, not with its square, whatever the text is made of."""

from __future__ import annotations

import gc
import itertools
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tachograph._redact import Redactor

REDACTOR = Redactor(emails=True)
SMALL_CHARS = 10_000
FACTOR = 4
GENEROUS = 2.5
"""Four times the text may take ten times the time: a square would take sixteen."""

PIECES = [
    "\\",
    '"',
    "'",
    "=",
    ":",
    "4",
    "4111 ",
    "a@",
    "eyJ",
    "eyJabcdefg-",
    "eyJabcdefg.",
    "sk-",
    "sk-a-",
    "AKIA",
    "SG.",
    "npm_",
    "A/b+",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----",
    "https://",
    "https://a:",
    "://a:b",
    "://a:b@",
    "Bearer ",
    "Bearer a",
    "Basic ab",
    "password",
    "password=",
    "password='",
    "password: a ",
    '"password":',
    '"password":"',
    '"password":["',
    '\\"password\\":\\"',
    '"password\\":"',
    "token ",
    "key",
    "api key: ",
    "cookie: ",
    "cookie: a=",
    "authorization: bearer ",
    "--token ",
    '{"a":',
    "[",
    "\\u003d",
    "\u0130",
    "\n",
    " ",
]


def seconds(text):
    """The time of this thread alone, whatever else the machine does."""
    started = time.thread_time()
    REDACTOR.redact("tacho.input", text)
    return time.thread_time() - started


def grows_linearly(make):
    """Whether the time for ``make(chars)`` grows no faster than its length; measured again before no."""
    small_text, large_text = make(SMALL_CHARS), make(SMALL_CHARS * FACTOR)
    small, large = float("inf"), float("inf")
    for _ in range(6):
        large = min(large, seconds(large_text))
        # Below some milliseconds the clock and the caches are what is measured.
        if large < 0.02:
            return True
        small = min(small, seconds(small_text))
        if large <= small * FACTOR * GENEROUS:
            return True
        gc.collect()
    return False


@pytest.mark.parametrize("piece", PIECES)
def test_time_is_linear_in_repetitions(piece):
    """One piece over and over, alone and behind the start of a pair that never ends."""
    for head in ("", '"password\\":"', "token=", '{"token":"'):
        assert grows_linearly(lambda chars, head=head: head + piece * (chars // len(piece)))


@pytest.mark.parametrize("pair", list(itertools.pairwise(PIECES)), ids="+".join)
def test_time_is_linear_in_runs(pair):
    """A long run of one piece, then a long run of another."""
    first, second = pair
    assert grows_linearly(
        lambda chars: first * (chars // 2 // len(first)) + second * (chars // 2 // len(second))
    )


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_time_is_linear_in_any_mixture(pieces):
    """Any few pieces in any order, repeated."""
    unit = "".join(pieces)
    assert grows_linearly(lambda chars: unit * (chars // len(unit)))
