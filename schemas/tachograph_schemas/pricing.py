"""Prices: from the price lists to the table that the inserts read.

The price list is ``genai-prices``; the user's own (``tacho prices``) goes before it. A model is looked up once, when its
name is first seen; the result, also "no list knows it", is kept in ``model_rates``, so that the insert prices spans
by a join. Spans that met an unknown name wait as ``pending`` for a moment and are priced here.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from tachograph_schemas import ingest
from tachograph_schemas.rates import UserPrice, look_up
from tachograph_schemas.statements import statement

_RUNS_AT_ONCE = 500


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
        if (was := before.get(model, _Spent())) and _differ(was, now)
    ]


def _differ(was: _Spent, now: _Spent) -> bool:
    """Whether something has changed beyond the order in which the engine adds up."""
    return was.unpriced != now.unpriced or not math.isclose(was.usd, now.usd, rel_tol=1e-9)


def _by_model(client: Client, values: dict[str, Any]) -> dict[str, _Spent]:
    rows = client.query(statement("priced_models"), parameters=values).result_rows
    return {model: _Spent(calls, usd, unpriced) for model, calls, usd, unpriced in rows}
