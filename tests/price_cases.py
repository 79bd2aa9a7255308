"""Random usages of every model of the price list, and what the list itself says that they cost."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from genai_prices import Usage, data_snapshot

from tachograph_schemas.rates import Used, rates_of
from tachograph_schemas.rows_costs import Rate
from tachograph_schemas.statements import _fragment

EXACT_USD = 1e-9
SIZES = (0, 1, 999, 31_999, 127_999, 128_000, 200_000, 200_001, 271_990, 600_000)
TIERS = {"batch": "processing", "flex": "service_tier", "priority": "service_tier"}
_NEWEST = datetime(2027, 1, 1, tzinfo=UTC)
_COLUMNS = (
    "n UInt32, is_cached Bool, provider String, model String, layer String, priced_at_s Int64, attributes Map(String, String), "
    "input_tokens UInt64, output_tokens UInt64, reasoning_tokens UInt64, cache_read_tokens UInt64, "
    "cache_write_tokens UInt64, cache_write_5m_tokens UInt64, cache_write_1h_tokens UInt64"
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A model of the list, and our rates for it."""

    provider: Any
    model: Any
    rates: list[Rate]

    @property
    def key(self) -> tuple[str, str]:
        return self.provider.id, self.model.id


@dataclass(frozen=True, slots=True)
class Case:
    """A call, and the list's own price of it."""

    used: Used
    at_s: int
    service_tier: str
    expected_usd: float


def listed() -> list[Listed]:
    """Every model that the list knows."""
    return [
        Listed(provider, model, rates_of("x", model))
        for provider in data_snapshot.get_snapshot().providers
        for model in provider.models
    ]


def cases(model: Listed, count: int, seed: int) -> Iterator[Case]:
    """Random calls of a model: sizes around the borders of tiers and of any size, any time of 1,000 days and
    rather of the last 120, every tier."""
    chance = random.Random(f"{seed}/{model.key}")

    def tokens() -> int:
        return chance.choice(SIZES) if chance.random() < 0.5 else int(10 ** chance.uniform(0, 6))

    for _ in range(count):
        fresh, read, write, out = (tokens() for _ in range(4))
        hour, thought = chance.randint(0, write), chance.randint(0, out)
        at = _NEWEST - timedelta(seconds=chance.randint(0, chance.choice((120, 1_000)) * 86_400))
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
        price = model.model.calc_price(
            usage,
            model.provider,
            genai_request_timestamp=at,
            price_context={TIERS[tier]: tier} if tier else None,
        )
        used = Used(fresh, out, thought, read, write - hour, hour)
        yield Case(used, int(at.timestamp()), tier, float(price.total_price))


def know(client: Any, models: Sequence[Listed]) -> None:
    """Give the engine the rates of models, and a table for their calls."""
    now = datetime.now(UTC)
    client.insert(
        "model_rates",
        [[*each.key, "x", [tuple(rate) for rate in each.rates], now] for each in models],
        column_names=["provider", "model", "price_id", "rates", "resolved_at"],
    )
    client.command(f"CREATE TABLE given ({_COLUMNS}) ENGINE = Memory")


def priced_by_engine(client: Any, given: Sequence[tuple[Listed, Case]]) -> list[float]:
    """What the fragments of the inserts say that calls cost, in their order."""
    client.command("TRUNCATE TABLE given")
    client.insert("given", [_row(n, *each) for n, each in enumerate(given)])
    sql = (
        f"WITH {_fragment('prices')}, {_fragment('pricing')} SELECT priced_usd FROM (SELECT *, "
        "transform(concat(provider, '\n', model), listed_models, arrayEnumerate(listed_models), 0) AS price_at, "
        "listed_rates[greatest(price_at, 1)] AS rates FROM given) ORDER BY n"
    )
    return [usd for (usd,) in client.query(sql).result_rows]


def _row(number: int, model: Listed, case: Case) -> list[Any]:
    fresh, out, thought, read, short, hour = case.used
    said = {"openai.response.service_tier": case.service_tier}
    about = [number, False, *model.key, "model", case.at_s, said]
    return [*about, fresh, out, thought, read, short + hour, short, hour]
