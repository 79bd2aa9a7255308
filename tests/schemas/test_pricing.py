"""Our sums are the price list's own, for every model it knows, in the engine and in Python."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from genai_prices import Usage, data_snapshot

from otlp import Trace
from tachograph_schemas import pricing, queries
from tachograph_schemas.pricing import UserPrice
from tachograph_schemas.statements import _fragment

SIZES = (0, 1, 999, 31_999, 127_999, 200_001, 271_990, 600_000)
TIERS = {"batch": "processing", "flex": "service_tier", "priority": "service_tier"}
EXACT_USD = 1e-9


def cases(per_model: int, seed: int = 7):
    """Random usages of every model: provider, model, usage by class, start, service tier, the list's own price."""
    chance = random.Random(seed)
    newest = datetime(2026, 11, 1, tzinfo=UTC)
    for provider in data_snapshot.get_snapshot().providers:
        for model in provider.models:
            for _ in range(per_model):
                fresh, read, write, out = (chance.choice(SIZES) for _ in range(4))
                hour, thought = chance.randint(0, write), chance.randint(0, out)
                at = newest - timedelta(seconds=chance.randint(0, 900 * 86_400))
                tier = chance.choice(["", "", *TIERS])
                usage = Usage(
                    input_tokens=fresh + read + write,
                    output_tokens=out,
                    cache_read_tokens=read,
                    cache_write_tokens=write,
                    cache_write_5m_tokens=write - hour,
                    cache_write_1h_tokens=hour,
                    output_reasoning_tokens=thought,
                )
                context = {TIERS[tier]: tier} if tier else None
                price = model.calc_price(
                    usage, provider, genai_request_timestamp=at, price_context=context
                )
                counts = (fresh, out, thought, read, write, write - hour, hour)
                yield (
                    provider.id,
                    model,
                    counts,
                    int(at.timestamp()),
                    tier,
                    float(price.total_price),
                )


def python_usd(rates, counts, at_s, tier) -> float:
    """The same sum as ``loader/_pricing.sql``."""
    fresh, out, thought, read, write, short, hour = counts
    second = at_s % 86_400

    def fits(rate) -> bool:
        start, end = rate.day_from_s, rate.day_until_s
        if start >= 0 and not (
            second >= start or second < end if end < start else start <= second < end
        ):
            return False
        if rate.from_s > at_s or rate.service_tier not in {"", tier}:
            return False
        return not rate.above_tokens or fresh + read + write > rate.above_tokens

    rate = next(filter(fits, rates))
    return (
        rate.call_usd
        + fresh * rate.input_usd
        + (out - thought) * rate.output_usd
        + thought * rate.reasoning_usd
        + read * rate.cache_read_usd
        + short * rate.cache_write_usd
        + hour * rate.cache_write_1h_usd
    )


def test_python_prices_every_model_as_the_list_does():
    found = {}
    for provider, model, counts, at_s, tier, expected in cases(3):
        key = (provider, model.id)
        rates = found.get(key)
        if rates is None:
            rates = found[key] = pricing._rates("x", model)
        assert python_usd(rates, counts, at_s, tier) == pytest.approx(expected, abs=EXACT_USD), key
    assert len(found) > 1_000


def test_the_engine_prices_every_model_as_the_list_does(client):
    """The fragment of the inserts, over calls of every model at once."""
    given = list(cases(1, seed=11))
    rates = {}
    for provider, model, *_ in given:
        key = (provider, model.id)
        if key not in rates:
            rates[key] = pricing._rates("x", model)
    now = datetime.now(UTC)
    client.insert(
        "model_rates",
        [[*key, "x", [tuple(r) for r in each], now] for key, each in rates.items()],
        column_names=["provider", "model", "price_id", "rates", "resolved_at"],
    )
    client.command(
        "CREATE TABLE given (n UInt32, provider String, model String, layer String, priced_at_s Int64, attributes Map(String, "
        "String), input_tokens UInt64, output_tokens UInt64, reasoning_tokens UInt64, cache_read_tokens UInt64, "
        "cache_write_tokens UInt64, cache_write_5m_tokens UInt64, cache_write_1h_tokens UInt64) ENGINE = Memory"
    )
    client.insert(
        "given",
        [
            [n, provider, model.id, "model", at_s, {"openai.response.service_tier": tier}, *counts]
            for n, (provider, model, counts, at_s, tier, _) in enumerate(given)
        ],
    )
    sql = (
        f"WITH {_fragment('prices')}, {_fragment('pricing')} SELECT n, priced_usd FROM (SELECT *, "
        "transform(concat(provider, '\n', model), listed_models, arrayEnumerate(listed_models), 0) AS price_at, "
        "listed_rates[greatest(price_at, 1)] AS rates FROM given) ORDER BY n"
    )
    priced = client.query(sql).result_rows
    assert len(priced) == len(given)
    for (n, usd), (provider, model, *_, expected) in zip(priced, given, strict=True):
        assert usd == pytest.approx(expected, abs=EXACT_USD), (n, provider, model.id)


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
    assert abs(line.difference_usd) < EXACT_USD
    assert [name for name, *_ in line.classes] == ["fresh input", "output"]
