"""What a run cost beside the model, in sentences."""

from __future__ import annotations

from account_rows import a_root, a_run, a_span

from tachograph_schemas import names
from tachograph_schemas.account import build


def told(run, *spans):
    account = build(run, [a_root(), *spans])
    (section,) = [each for each in account.sections if each.key == "cost"]
    return [line.text for line in section.lines]


def test_tools_and_people_are_told_apart_from_the_model():
    """The dearest first, and all of it together."""
    run = a_run(model_calls=1, cost_usd=0.5, tool_calls=3, tool_cost_usd=0.75, human_cost_usd=45.0)
    said = told(
        run,
        a_span("m", "model", cost_usd=0.5, cost_status="priced"),
        a_span("a", "tool", tool="crawl", tool_cost_usd=0.25),
        a_span("b", "tool", tool="search", tool_cost_usd=0.2),
        a_span("c", "tool", tool="search", tool_cost_usd=0.3),
        a_span("d", "step", human_cost_usd=45.0, facts={names.COST_WHAT: "review"}),
    )
    assert "$0.75 for tools and services beside the model: search $0.50, crawl $0.25" in said
    assert "$45.00 for the time of people: review $45.00" in said
    assert "All together $46.25" in said


def test_cached_answers_say_what_they_saved():
    cached = {names.CACHED: "true"}
    spans = [a_span(each, "model", cost_usd=0.0, facts=cached) for each in ("x", "y")]
    run = a_run(model_calls=2, cost_usd=0.0)
    assert "2 answers came from a cache and cost nothing" in told(run, *spans)
    assert "2 answers came from a cache: $2.50 saved" in told(
        a_run(model_calls=2, cost_usd=0.0, saved_usd=2.5), *spans
    )


def test_odd_numbers_are_said_with_the_reason():
    span = a_span("m", "model", cost_usd=0.5, odd_usage="cache_over_input")
    said = told(a_run(model_calls=1, cost_usd=0.5, odd_calls=1), span)
    assert [text for text in said if "odd" in text] == [
        "1 call with odd numbers of tokens, so the cost may be wrong: more from the cache than was sent"
    ]


def test_a_run_without_any_of_it_says_nothing_of_it():
    said = told(a_run(model_calls=1, cost_usd=0.5), a_span("m", "model", cost_usd=0.5))
    assert not [text for text in said if "together" in text or "cache" in text or "odd" in text]
