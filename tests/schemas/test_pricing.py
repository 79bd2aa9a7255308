"""Our sums are the price list's own, for every model it knows, in the engine and in Python."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

import price_cases as prices
from otlp import Trace
from tachograph_schemas import pricing, queries
from tachograph_schemas.rates import UserPrice, usd_of


def test_python_prices_every_model_as_the_list_does():
    models = prices.listed()
    assert len(models) > 1_000
    for model in models:
        for case in prices.cases(model, 3, seed=7):
            found = usd_of(model.rates, case.used, case.at_s, case.service_tier)
            assert found == pytest.approx(case.expected_usd, abs=prices.EXACT_USD), model.key


def test_the_engine_prices_every_model_as_the_list_does(client):
    """The fragment of the inserts, over calls of every model at once."""
    models = prices.listed()
    prices.know(client, models)
    given = [(model, case) for model in models for case in prices.cases(model, 1, seed=11)]
    priced = prices.priced_by_engine(client, given)
    assert len(priced) == len(given)
    for usd, (model, case) in zip(priced, given, strict=True):
        assert usd == pytest.approx(case.expected_usd, abs=prices.EXACT_USD), model.key


def body_of(model: str, trace: int) -> bytes:
    asked = {"gen_ai__operation__name": "chat", "gen_ai__request__model": model}
    used = {"gen_ai__usage__input_tokens": 1_000, "gen_ai__usage__output_tokens": 100}
    return Trace(trace).span(1, f"chat {model}", **asked, **used).body()


def test_own_prices_hold_from_their_date_and_old_runs_can_be_priced_anew(client, load, ask):
    """Unknown is no cost, never 0; a price of one's own makes it one; runs follow their calls."""
    load(body_of("our-model", 1))
    costs = "SELECT cost_usd, cost_status, price_id FROM span_rows FINAL WHERE layer = 'model'"
    totals = "SELECT cost_usd, unpriced_calls FROM runs"
    assert ask(costs) == [(None, "unknown_price", "")]
    assert ask(totals) == [(None, 1)]
    dear = UserPrice("our-model", "", 0, 2e-6, 10e-6, 0, 0, 0)
    later = UserPrice("our-model", "", 4_000_000_000, 1, 1, 1, 1, 1)
    pricing.set_user_prices(client, [dear, later], "maria")
    since = datetime(2000, 1, 1, tzinfo=UTC)
    (changed,) = pricing.reprice(client, since)
    assert (changed.model, changed.calls, changed.before_usd) == ("our-model", 1, 0)
    assert changed.after_usd == pytest.approx(0.003)
    assert (changed.unpriced_before, changed.unpriced_after) == (1, 0)
    ((usd, status, price_id),) = ask(costs)
    assert usd == pytest.approx(0.003)
    assert (status, price_id) == ("priced", "own/our-model@1970-01-01")
    assert ask(totals) == [(pytest.approx(0.003), 0)]
    assert pricing.reprice(client, since) == [], "nothing has changed since"
    # Calls that are stored from now on know the price at once.
    load(body_of("our-model", 2))
    assert [row[1] for row in ask(costs)] == ["priced", "priced"]


def test_a_known_model_says_which_list_priced_it(client, load, ask):
    load(body_of("gpt-4o", 3))
    ((price_id,),) = ask("SELECT price_id FROM span_rows FINAL WHERE layer = 'model'")
    assert price_id.startswith("openai/gpt-4o@genai-prices ")
    ((run_id,),) = ask("SELECT run_id FROM runs")
    (line,) = queries.bill(client, run_id)
    assert line.price_id == price_id
    assert abs(line.difference_usd) < prices.EXACT_USD
    assert [name for name, *_ in line.classes] == ["fresh input", "output"]
