"""Numbers, times and foreign text as people read them."""

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tachograph_schemas import budgets, words

MS, S = 10**6, 10**9


@pytest.mark.parametrize(
    ("ns", "said"),
    [
        (0, "0 ms"), (-5, "0 ms"), (1, "0.1 ms"), (400_000, "0.4 ms"), (340 * MS, "340 ms"),
        (999.6 * MS, "1.0 s"), (12.44 * S, "12.4 s"), (59.96 * S, "1 min 00 s"), (185 * S, "3 min 05 s"),
        (3599.7 * S, "1 h 00 min"), (7800 * S, "2 h 10 min"), (100 * 3600 * S, "4 d 04 h"),
    ],
)  # fmt: skip
def test_duration_reads_naturally(ns, said):
    assert words.duration(ns) == said


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (None, "unpriced"), (float("nan"), "unpriced"), (0, "$0.00"), (0.00123456, "$0.001235"), (0.05, "$0.05"),
        (0.12345, "$0.1235"), (0.99999, "$1.00"), (12.345678, "$12.35"), (12345.6, "$12,345.60"), (-0.2, "-$0.20"),
    ],
)  # fmt: skip
def test_usd_has_cents_and_four_digits_for_small_sums(amount, said):
    assert words.usd(amount) == said


@given(st.floats(min_value=1e-12, max_value=1e9))
def test_usd_of_something_is_never_nothing(amount):
    said = words.usd(amount).removeprefix("$").replace(",", "")
    assert float(said) > 0
    assert float(said) == pytest.approx(amount, rel=0.006)


@given(st.integers(0, 10**19), st.integers(0, 10**19))
def test_longer_durations_never_read_as_zero(one, other):
    assert words.duration(max(one, other) + 1) != "0 ms"


def test_tokens_unknown_is_not_zero():
    assert words.tokens(12_431) == "12,431"
    assert words.tokens(0) == "0"
    assert words.tokens(None) == "\u2013"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(2, "just now"), (30, "30 s ago"), (300, "5 min ago"), (3 * 3600, "3 h ago"), (3 * 86_400, "3 d ago"), (-300, "in 5 min"), (90 * 86_400, "2026-08-22")],
)  # fmt: skip
def test_ago_reads_naturally(seconds, said):
    now = datetime(2026, 11, 20, tzinfo=UTC)
    assert words.ago(now - timedelta(seconds=seconds), now) == said


def test_times_without_a_zone_are_utc():
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert words.ago(datetime(2026, 11, 20, 11), now) == "1 h ago"  # noqa: DTZ001
    assert words.moment(datetime(2026, 11, 20, 11)) == "2026-11-20 11:00:00 UTC"  # noqa: DTZ001


def test_count_joined_and_times():
    assert words.count(1, "tool call") == "1 tool call"
    assert words.count(1234, "retry") == "1,234 retries"
    assert words.count(0, "search") == "no searches"
    assert words.joined(["a", "b", "c"]) == "a, b and c"
    assert words.joined([]) == ""
    assert [words.times(n) for n in (1, 2, 3)] == ["once", "twice", "3 times"]


@given(st.text(alphabet=st.characters(), max_size=200), st.integers(1, 80))
def test_excerpt_is_one_line_within_the_limit(text, chars):
    said = words.excerpt(text, chars)
    assert len(said) <= chars
    assert not set(said) & set("\n\r\t\x1b")


def test_excerpt_cuts_at_a_word_and_says_so():
    assert words.excerpt("one two three four", 14) == "one two three…"
    assert words.excerpt("one\n  two", 20) == "one two"


@given(st.text(alphabet=st.characters()))
def test_plain_leaves_nothing_unseen(text):
    for newlines in (False, True):
        said = words.plain(text, newlines=newlines)
        allowed = {"\n", "\t"} if newlines else set()
        for character in set(said) - allowed:
            # A joiner is let through between two pictures only; everything else of these kinds is shown.
            assert character == "\u200d" or unicodedata.category(character) not in {
                "Cc",
                "Cf",
                "Cs",
                "Zl",
                "Zp",
            }
        assert words.plain(said, newlines=newlines) == said
        said.encode("utf-8")


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "Sm", "Sc"])))
def test_plain_leaves_ordinary_text_alone(text):
    fillers = set("\u115f\u1160\u3164\uffa0")
    if not fillers & set(text):
        assert words.plain(text) == text


def test_plain_shows_what_would_deceive():
    assert words.plain("\x1b[2J") == "␛[2J"
    assert words.plain("a\u202eb") == "a⟨U+202E⟩b"
    assert words.plain("a\u200bb") == "a⟨U+200B⟩b"
    assert words.plain("a\u200db") == "a⟨U+200D⟩b"
    assert words.plain("\U000e0041") == "⟨U+E0041⟩"
    assert words.plain("\x9b31m") == "⟨U+009B⟩31m"
    assert words.plain("\ud800") == "⟨U+D800⟩"
    assert words.plain("👩\u200d💻") == "👩\u200d💻"
    assert words.plain("a\nb") == "a␊b"
    assert words.plain("a\nb\r", newlines=True) == "a\nb␍"


def test_amounts_of_budgets_are_told_in_words():
    said = [
        budgets.amount(number, unit)
        for number, unit in (
            (5, "usd"), (0.5, "usd"), (2e6, "tokens"), (1, "tool_calls"), (30.25, "wall_s"), (60, "working_s"),
        )
    ]  # fmt: skip
    assert said == [
        "$5",
        "$0.50",
        "2,000,000 tokens",
        "1 tool call",
        "30.2 s by the clock",
        "60 s of work",
    ]


def test_amounts_have_their_points_below_each_other():
    amounts = ["$1,204.50", "$0.0031+", words.UNKNOWN, "unpriced", "$2.00"]
    aligned = words.at_point(amounts)
    assert [each.strip() for each in aligned] == amounts
    money = [each.rjust(12) for each in aligned if "$" in each]
    assert {each.index(".") for each in money} == {6}
    assert words.at_point([words.UNKNOWN, ""]) == [words.UNKNOWN, ""]
