"""Costs beside tokens, what was saved, and numbers that do not add up, as they are stored."""

from __future__ import annotations

from datetime import UTC, datetime

from otlp import Trace
from tachograph_schemas import pricing
from tachograph_schemas.rates import UserPrice

ASKED = {"gen_ai__operation__name": "chat", "gen_ai__request__model": "gpt-4o"}
USED = {"gen_ai__usage__input_tokens": 1_000_000, "gen_ai__usage__output_tokens": 0}
TOTALS = (
    "SELECT cost_usd, unpriced_calls, odd_calls, tool_cost_usd, human_cost_usd, saved_usd FROM runs"
)


ODD = [
    ({"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}, ""),
    ({"input_tokens": 10, "output_tokens": 5}, ""),
    ({"input_tokens": 10, "output_tokens": 5, "total_tokens": 40}, "total_differs"),
    ({"input_tokens": 10, "cache_read.input_tokens": 12}, "cache_over_input"),
    ({"input_tokens": 10, "cache_read.input_tokens": 10}, ""),
    ({"output_tokens": 5, "reasoning.output_tokens": 6}, "reasoning_over_output"),
    ({"input_tokens": 10, "output_tokens": -5}, "negative"),
    ({"input_tokens": 10, "output_tokens": 2**62}, "unreadable"),
    ({"input_tokens": 1e308}, "unreadable"),
    ({"input_tokens": float("nan")}, "unreadable"),
    ({"input_tokens": "many"}, "unreadable"),
    ({"input_tokens": "10", "output_tokens": 5.0}, ""),
]


def test_numbers_that_do_not_add_up_are_marked(load, ask):
    """On the span and counted on the run, once for a call that two spans show."""
    made = Trace()
    for number, (usage, _) in enumerate(ODD, start=1):
        said = {f"gen_ai__usage__{key.replace('.', '__')}": value for key, value in usage.items()}
        made.span(number, "chat", at_ms=number * 100, **ASKED, **said)
    twice = Trace(2).span(101, "ask", tacho__layer="model", **ASKED)
    odd = {"gen_ai__usage__input_tokens": 10, "gen_ai__usage__cache_read__input_tokens": 12}
    twice.span(102, "chat gpt-4o", 101, at_ms=1, ms=5, **ASKED, **odd)
    load(made.body(), twice.body())
    stored = ask(
        "SELECT odd_usage FROM spans WHERE trace_id = {trace:String} ORDER BY span_id",
        trace=made.id,
    )
    assert [why for (why,) in stored] == [why for _, why in ODD]
    assert ask("SELECT model_calls, odd_calls FROM runs ORDER BY model_calls") == [(1, 1), (12, 8)]


def test_tools_and_people_cost_beside_the_model(load, ask):
    """Each in a column of its own; the cost of the model stays the model's."""
    made = Trace().span(1, "run", ms=900, tacho__layer="run", tacho__cost__human_usd=2.5)
    made.span(2, "chat gpt-4o", 1, **ASKED, **USED)
    made.span(3, "execute_tool search", 1, tacho__layer="tool", tacho__cost__usd=0.25)
    made.span(4, "execute_tool search", 1, tacho__layer="tool", tacho__cost__usd=0.5)
    load(made.body())
    assert ask(TOTALS) == [(2.5, 0, 0, 0.75, 2.5, None)]


def test_amounts_that_are_none_spoil_no_sum(load, ask):
    """Whoever sends spans may say anything; the tool that says its price is counted beside."""
    strange = [float("nan"), float("inf"), float("-inf"), -5.0, 1e308, "NaN", "many", 2**62]
    made = Trace().span(1, "run", ms=900, tacho__layer="run", tacho__cost__human_usd=1.0)
    for number, value in enumerate([0.25, *strange], start=2):
        amounts = {"tacho__cost__usd": value, "tacho__cost__human_usd": value}
        made.span(number, "execute_tool search", 1, tacho__layer="tool", **amounts)
        said = {"gen_ai__usage__cost": value, "gen_ai__usage__output_tokens": value}
        made.span(number + 100, "chat gpt-4o", 1, at_ms=number, **ASKED, **said)
    load(made.body())
    assert ask("SELECT tool_cost_usd, human_cost_usd, client_cost_usd FROM runs") == [
        (0.25, 1.25, 0.25)
    ]


def test_an_answer_from_a_cache_costs_nothing_and_says_what_it_saved(load, ask):
    """A model that no list knows saves an unknown amount, and is not unpriced: it cost nothing."""
    made = Trace().span(1, "run", ms=900, tacho__layer="run")
    made.span(2, "chat gpt-4o", 1, tacho__cached=True, **ASKED, **USED)
    made.span(
        3,
        "chat x",
        1,
        at_ms=20,
        tacho__cached=True,
        **(ASKED | {"gen_ai__request__model": "no-such"}),
        **USED,
    )
    made.span(
        4, "execute_tool search", 1, tacho__layer="tool", tacho__cached=True, tacho__cost__usd=0.5
    )
    load(made.body())
    assert ask(TOTALS) == [(0, 0, 0, None, None, 3.0)]
    assert ask(
        "SELECT cost_usd, cost_status, saved_usd FROM spans WHERE layer = 'model' ORDER BY span_id"
    ) == [
        (0, "priced", 2.5),
        (0, "priced", None),
    ]


def test_pricing_anew_leaves_what_was_cached_free(client, load, ask):
    load(Trace().span(1, "chat", tacho__cached=True, **ASKED, **USED).body())
    own = UserPrice("gpt-4o", "", 0, 1e-6, 0, 0, 0, 0)
    pricing.set_user_prices(client, [own], "test")
    pricing.reprice(client, datetime(2000, 1, 1, tzinfo=UTC))
    assert ask("SELECT cost_usd, saved_usd FROM runs") == [(0, 1.0)]
