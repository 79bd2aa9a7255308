"""Prices: from the price list to the table that the inserts read.

The price list is ``genai-prices``. A model is looked up once, when its name is first seen; the result, also
"the list does not know it", is kept in ``model_prices``, so that the insert prices spans by a join. Spans
that met an unknown name wait as ``pending`` for a moment and are priced here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import astuple, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from clickhouse_connect.driver.client import Client

from tachograph_schemas.rows import ModelPrice
from tachograph_schemas.statements import statement

_CLASSES = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
# The price list's names for the classes, and what a class costs when the list is silent about it.
_LIST_KEYS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
}
_FALLBACK = {"cache_read": "input", "cache_write": "input", "cache_write_1h": "cache_write"}
_PER_MTOK = Decimal(1_000_000)


def look_up(provider: str, model: str, at: datetime | None = None) -> ModelPrice:
    """The price of a model as of ``at`` (default: now); ``price_id`` is empty when it is unknown."""
    from genai_prices import Usage, calc_price

    moment = at or datetime.now(UTC)
    for provider_id in (provider or None, None):
        try:
            found = calc_price(
                Usage(input_tokens=0, output_tokens=0),
                model_ref=model,
                provider_id=provider_id,
                genai_request_timestamp=moment,
            )
        except (LookupError, ValueError):
            continue
        price_id = f"{found.provider.id}/{found.model.id}"
        return ModelPrice(provider, model, price_id, **_rates(found.model_price))
    return ModelPrice(provider, model, "")


def _rates(price: Any) -> dict[str, Any]:
    """The price list's rates per million tokens as ours per token, with their first tier."""
    base: dict[str, Decimal] = {}
    tier: dict[str, Decimal] = {}
    threshold = 0
    for name in _CLASSES:
        rate = getattr(price, _LIST_KEYS[name], None)
        if rate is None:
            fallback = _FALLBACK.get(name)
            base[name] = base[fallback] if fallback else Decimal(0)
            tier[name] = tier[fallback] if fallback else Decimal(0)
            continue
        first = next(iter(getattr(rate, "tiers", [])), None)
        base[name] = tier[name] = Decimal(getattr(rate, "base", rate))
        if first is not None:
            threshold = threshold or int(first.start)
            tier[name] = Decimal(first.price)
    values: dict[str, Any] = {f"{name}_usd": float(base[name] / _PER_MTOK) for name in _CLASSES}
    values |= {f"tier_{name}_usd": float(tier[name] / _PER_MTOK) for name in _CLASSES}
    return values | {"tier_above_tokens": threshold}


def price_pending(client: Client, writer_id: int, batches: Collection[int]) -> int:
    """Price the spans of batches whose model was not in the table yet; returns how many names were new.

    Safe to repeat: the spans are written again under the version they have.
    """
    values = {"writer_id": writer_id, "batches": list(batches)}
    names = client.query(statement("pending_models"), parameters=values).result_rows
    if not names:
        return 0
    prices = [look_up(provider, model) for provider, model in names]
    client.insert(
        "model_prices",
        [[*astuple(price), datetime.now(UTC)] for price in prices],
        column_names=[*(column.name for column in fields(ModelPrice)), "resolved_at"],
    )
    client.command(statement("price_pending"), parameters=values)
    return len(prices)
