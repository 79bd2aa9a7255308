"""The control API's part on prices: the user's own list, and pricing stored calls anew."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tachograph_collector.control.access import Access, Name, actor
from tachograph_collector.control.audit import Audit
from tachograph_collector.errors import NotNowError
from tachograph_collector.keys import Caller
from tachograph_collector.side_door import SideDoor
from tachograph_schemas import pricing
from tachograph_schemas.control import PRICES
from tachograph_schemas.rates import LATEST_S, MOST_USD, UserPrice

_FIRST, _END = datetime(1970, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC)
Usd = Annotated[float, Field(ge=0, le=MOST_USD, allow_inf_nan=False)]


class Line(BaseModel):
    """A line of the user's price list; USD per token."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[Name, Field(min_length=1)]
    provider: Name = ""
    from_s: Annotated[int, Field(ge=0, le=LATEST_S)] = 0
    input_usd: Usd = 0
    output_usd: Usd = 0
    cache_read_usd: Usd | None = None
    cache_write_usd: Usd | None = None
    cache_write_1h_usd: Usd | None = None

    def price(self) -> UserPrice:
        """With the cache at the price of input where it is not said."""
        read = self.input_usd if self.cache_read_usd is None else self.cache_read_usd
        write = self.input_usd if self.cache_write_usd is None else self.cache_write_usd
        hour = write if self.cache_write_1h_usd is None else self.cache_write_1h_usd
        return UserPrice(
            self.model,
            self.provider,
            self.from_s,
            self.input_usd,
            self.output_usd,
            read,
            write,
            hour,
        )


class Lines(BaseModel):
    """Lines to put into the list, or to take out."""

    model_config = ConfigDict(extra="forbid")

    prices: list[Line] = Field(max_length=5_000)
    remove: bool = False
    actor: Name = ""


def _in_range(moment: datetime) -> datetime:
    """What the engine can hold: nanoseconds since 1970 in 64 bits. Without a zone it is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not _FIRST <= aware < _END:
        raise ValueError("it is no time between 1970 and 2262")
    return aware.astimezone(UTC)


class Since(BaseModel):
    """From when on to price anew."""

    model_config = ConfigDict(extra="forbid")

    since: Annotated[datetime, AfterValidator(_in_range)]
    actor: Name = ""


def add_prices(api: FastAPI, engine: SideDoor, audit: Audit, access: Access) -> None:
    """Add ``/api/v1/prices``. The list holds for every project, so only who runs the collector changes it."""
    # Agents count their budgets by it.
    reading = Depends(access.needs("ask", "look"))
    owning = Depends(access.owner)

    @api.get(PRICES)
    def listed(caller: Caller = reading) -> dict[str, Any]:
        """The user's own list."""
        try:
            with engine.client() as client:
                return {"prices": [asdict(each) for each in pricing.user_prices(client)]}
        except NotNowError as error:
            raise _not_now(error) from error

    @api.post(PRICES)
    def put(lines: Lines, caller: Caller = owning) -> dict[str, Any]:
        """Put lines into the list, or take them out; calls stored from now on are priced by it."""
        who = actor(lines.actor, caller)
        prices = [each.price() for each in lines.prices]
        word = "price.remove" if lines.remove else "price.set"
        try:
            with engine.client() as client:
                pricing.set_user_prices(client, prices, who, removed=lines.remove)
                found = pricing.user_prices(client)
        except NotNowError as error:
            raise _not_now(error) from error
        engine.sync()
        _note(audit, caller, who, word, {"prices": [asdict(each) for each in prices][:50]})
        return {"prices": [asdict(each) for each in found]}

    @api.post(PRICES + "/reprice")
    def reprice(since: Since, caller: Caller = owning) -> dict[str, Any]:
        """Price the stored model calls since a time anew; what changed. Blocks until it is done."""
        who = actor(since.actor, caller)
        try:
            with engine.client() as client:
                changed = [asdict(each) for each in pricing.reprice(client, since.since)]
        except NotNowError as error:
            raise _not_now(error) from error
        engine.sync()
        detail = {"since": since.since.isoformat(), "changed": changed[:50]}
        _note(audit, caller, who, "price.reprice", detail)
        return {"changed": changed}


def _note(audit: Audit, caller: Caller, who: str, action: str, detail: dict[str, Any]) -> None:
    with audit.change() as connection:
        audit.record(
            connection,
            project=caller.project,
            actor=who,
            action=action,
            subject="prices",
            detail=detail,
        )


def _not_now(error: NotNowError) -> HTTPException:
    return HTTPException(503, str(error), {"Retry-After": str(max(round(error.retry_after_s), 1))})
