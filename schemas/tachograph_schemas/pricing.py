"""Prices: from the price lists to the table that the inserts read.

The price list is ``genai-prices``; the user's own (``tacho prices``) goes before it. A model is looked up once, when its
name is first seen; the result, also "no list knows it", is kept in ``model_rates``, so that the insert prices spans
by a join. Spans that met an unknown name wait as ``pending`` for a moment and are priced here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from clickhouse_connect.driver.client import Client

from tachograph_schemas import ingest
from tachograph_schemas.rows_costs import ModelPrice, Rate
from tachograph_schemas.statements import statement

# The price list's names for the classes, and what a class costs when the list is silent about it.
_LIST_KEYS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "reasoning": "output_reasoning_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
}
_FALLBACK = {
    "reasoning": "output",
    "cache_read": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
}
_PER_MTOK = Decimal(1_000_000)
_PER_K = Decimal(1_000)
_TIER_KEYS = ("processing", "service_tier")
_RUNS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class UserPrice:
    """A line of the user's own price list; USD per token."""

    model: str
    provider: str
    """Empty: of any provider."""
    from_s: int
    """From this start of a call on, seconds since 1970; 0: always."""
    input_usd: float
    output_usd: float
    cache_read_usd: float
    cache_write_usd: float
    cache_write_1h_usd: float
    set_by: str = ""


@dataclass(frozen=True, slots=True)
class Repriced:
    """What pricing anew changed for one model."""

    model: str
    calls: int
    before_usd: float
    after_usd: float
    unpriced_before: int
    unpriced_after: int


@dataclass(slots=True)
class _Spent:
    calls: int = 0
    usd: float = 0.0
    unpriced: int = 0


@dataclass(slots=True)
class _Rates:
    """The rates of one model of the list, in the order in which they are tried."""

    price_id: str
    found: list[Rate] = field(default_factory=list)

    def add(self, prices: Any, service_tier: str, constraint: Any) -> None:
        """Every size of input that the list tells apart, the largest first."""
        begins = getattr(constraint, "start_date", None)
        base = Rate(
            self.price_id,
            int(datetime.combine(begins, time(), UTC).timestamp()) if begins else 0,
            _second_of_day(getattr(constraint, "start_time", None)),
            _second_of_day(getattr(constraint, "end_time", None)),
            service_tier,
        )
        given = {name: getattr(prices, key, None) for name, key in _LIST_KEYS.items()}
        starts = {tier.start for rate in given.values() for tier in getattr(rate, "tiers", ())}
        for above in sorted({0, *starts}, reverse=True):
            per_token: dict[str, Decimal] = {}
            for name, rate in given.items():
                fallback = _FALLBACK.get(name)
                if rate is None:
                    per_token[name] = per_token[fallback] if fallback else Decimal(0)
                else:
                    per_token[name] = _at_size(rate, above)
            usd: dict[str, Any] = {f"{n}_usd": float(r / _PER_MTOK) for n, r in per_token.items()}
            call_usd = float((getattr(prices, "requests_kcount", None) or Decimal(0)) / _PER_K)
            self.found.append(base._replace(above_tokens=above, call_usd=call_usd, **usd))


def _at_size(rate: Any, above: int) -> Decimal:
    fitting = [tier.price for tier in getattr(rate, "tiers", ()) if tier.start <= above]
    # A tier that begins at 0 holds from the first token on, the base price for none at all.
    return Decimal(fitting[-1] if fitting and above else getattr(rate, "base", rate))


def _second_of_day(moment: time | None) -> int:
    if moment is None:
        return -1
    offset = moment.utcoffset()
    second = moment.hour * 3600 + moment.minute * 60 + moment.second
    return (second - int(offset.total_seconds() if offset else 0)) % 86_400


def look_up(provider: str, model: str, own: Iterable[UserPrice] = ()) -> ModelPrice:
    """What a model costs: by the user's own list, then by ``genai-prices``; no rates when neither knows it."""
    rates = [*_of_user(provider, model, own), *_of_list(provider, model)]
    return ModelPrice(provider, model, rates[0].price_id if rates else "", rates)


def _of_user(provider: str, model: str, own: Iterable[UserPrice]) -> list[Rate]:
    mine = [each for each in own if each.model == model and each.provider in {"", provider}]
    # The latest first; one for this provider before one for any.
    mine.sort(key=lambda each: (each.from_s, each.provider != ""), reverse=True)
    return [
        Rate(
            f"own/{each.model}@{datetime.fromtimestamp(each.from_s, UTC):%Y-%m-%d}",
            from_s=each.from_s,
            input_usd=each.input_usd,
            output_usd=each.output_usd,
            reasoning_usd=each.output_usd,
            cache_read_usd=each.cache_read_usd,
            cache_write_usd=each.cache_write_usd,
            cache_write_1h_usd=each.cache_write_1h_usd,
        )
        for each in mine
    ]


def _of_list(provider: str, model: str) -> list[Rate]:
    import genai_prices

    for provider_id in (provider or None, None):
        try:
            found = genai_prices.calc_price(
                genai_prices.Usage(input_tokens=0, output_tokens=0),
                model_ref=model,
                provider_id=provider_id,
            )
        except (LookupError, ValueError):
            continue
        version = f"genai-prices {genai_prices.__version__}"
        return _rates(f"{found.provider.id}/{found.model.id}@{version}", found.model)
    return []


def _rates(price_id: str, model: Any) -> list[Rate]:
    rates = _Rates(price_id)
    listed = model.prices if isinstance(model.prices, list) else None
    # Of several, the last that is active holds; when none is, the first does.
    conditional = [] if listed is None else [*reversed(listed), replace(listed[0], constraint=None)]
    variants = [
        variant
        for variant in model.price_variants or ()
        if len(variant.when) == 1
        and variant.constraint is None
        and set(variant.when) <= {*_TIER_KEYS}
    ]
    contexts = [dict(variant.when) for variant in variants]
    for context in [*contexts, {}]:
        tier = next(iter(context.values()), "")
        for priced in conditional:
            whole = replace(model, prices=priced.prices).get_prices(datetime.now(UTC), context)
            rates.add(whole, tier, priced.constraint)
        if listed is None:
            rates.add(model.get_prices(datetime.now(UTC), context), tier, None)
    return rates.found


def price_pending(client: Client, writer_id: int, batches: Collection[int]) -> int:
    """Price the spans of batches whose model was not in the table yet; returns how many names were new.

    Safe to repeat: the spans are written again under the version they have.
    """
    values = {"writer_id": writer_id, "batches": list(batches)}
    names = client.query(statement("pending_models"), parameters=values).result_rows
    if not names:
        return 0
    _resolve(client, names)
    client.command(statement("price_pending"), parameters=values)
    return len(names)


def _resolve(client: Client, names: Iterable[Sequence[Any]]) -> None:
    own = user_prices(client)
    prices = [look_up(provider, model, own) for provider, model in names]
    if not prices:
        return
    now = datetime.now(UTC)
    client.insert(
        "model_rates",
        [[p.provider, p.model, p.price_id, [tuple(r) for r in p.rates], now] for p in prices],
        column_names=["provider", "model", "price_id", "rates", "resolved_at"],
    )


def user_prices(client: Client) -> list[UserPrice]:
    """The user's own price list."""
    return [UserPrice(*row) for row in client.query(statement("user_prices")).result_rows]


def set_user_prices(
    client: Client, prices: Iterable[UserPrice], by: str, *, removed: bool = False
) -> None:
    """Put lines into the user's list, or take them out; calls that are stored from now on are priced by it."""
    now = datetime.now(UTC)
    columns = [name for name in UserPrice.__slots__ if name != "set_by"]
    rows = [[*(getattr(each, name) for name in columns), removed, by, now] for each in prices]
    if rows:
        client.insert("user_prices", rows, column_names=[*columns, "removed", "set_by", "set_at"])
    _resolve(client, client.query(statement("known_names")).result_rows)


def reprice(client: Client, since: datetime) -> list[Repriced]:
    """Price the model calls since a time anew and recompute their runs; blocks until all is stored.

    A call whose model no list knows any more keeps what it was priced with. Safe to repeat.

    Returns:
        The models whose cost has changed.
    """
    values = {"since": since}
    before = _by_model(client, values)
    days = client.query(statement("repriced_days"), parameters=values).result_rows
    _resolve(client, {tuple(name) for _, names in days for name in names})
    for day, _ in days:
        client.command(statement("reprice"), parameters=values | {"day": day})
    runs = client.query(statement("repriced_runs"), parameters=values).result_rows
    keys = [(project, run_id) for project, run_id in runs]
    for first in range(0, len(keys), _RUNS_AT_ONCE):
        ingest.roll_up(client, 0, (), rested=keys[first : first + _RUNS_AT_ONCE])
    after = _by_model(client, values)
    return [
        Repriced(model, now.calls, was.usd, now.usd, was.unpriced, now.unpriced)
        for model, now in after.items()
        if (was := before.get(model, _Spent()))
        and (was.usd, was.unpriced) != (now.usd, now.unpriced)
    ]


def _by_model(client: Client, values: dict[str, Any]) -> dict[str, _Spent]:
    rows = client.query(statement("priced_models"), parameters=values).result_rows
    return {model: _Spent(calls, usd, unpriced) for model, calls, usd, unpriced in rows}
