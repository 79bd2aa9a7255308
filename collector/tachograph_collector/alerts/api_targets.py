"""The control API's part on who is told: targets, and a test of them."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import BaseModel, ConfigDict, StringConstraints

from tachograph_collector.alerts.api_named import add_named, there
from tachograph_collector.alerts.messages import test_message
from tachograph_collector.alerts.rules import Title
from tachograph_collector.alerts.service import Alerts
from tachograph_collector.control.access import Access, Name, actor
from tachograph_collector.keys import Caller
from tachograph_schemas.control import ALERTS, MOST_WAIT_S

_WATCHED_EVERY_S = 0.1
_Url = Annotated[str, StringConstraints(min_length=3, max_length=4_000)]


class TargetAsked(BaseModel):
    """A target. The URL is a secret from here on."""

    model_config = ConfigDict(extra="forbid")

    name: Title
    url: _Url
    actor: Name = ""


class TestAsked(BaseModel):
    """Which target to try."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    actor: Name = ""


def add_targets(api: FastAPI, alerts: Alerts, access: Access) -> None:
    """Add ``/api/v1/alerts/targets``."""
    operating = Depends(access.needs("operate"))
    administering = Depends(access.needs("administer"))

    @api.post(ALERTS + "/targets")
    def put(asked: TargetAsked, caller: Caller = administering) -> dict[str, Any]:
        """Make a target, or change the one of that name. A new webhook's signing secret is told here alone."""
        try:
            target, secret = alerts.targets.put(
                caller.project, asked.name, asked.url, actor(asked.actor, caller)
            )
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        return target | {"secret": secret}

    @api.post(ALERTS + "/test")
    async def test(
        asked: TestAsked,
        caller: Caller = operating,
        wait_s: Annotated[float, Query(ge=0, le=MOST_WAIT_S)] = 15,
    ) -> dict[str, Any]:
        """Send a test to a target, once; what became of it, or how it stands after ``wait_s``."""
        who = actor(asked.actor, caller)
        put = await asyncio.to_thread(_put_test, alerts, caller.project, asked.name, who)
        parcel = there(put, f"There is no target {asked.name!r} in this project.")
        alerts.courier.wake()
        deadline_s = time.monotonic() + wait_s
        while True:
            found = await asyncio.to_thread(alerts.outbox.one, parcel)
            if found is None or found["finished_ns"] or time.monotonic() >= deadline_s:
                return there(found)
            await asyncio.sleep(_WATCHED_EVERY_S)

    add_named(api, ALERTS + "/targets", alerts.targets, access, "administer")


def _put_test(alerts: Alerts, project: str, name: str, who: str) -> str | None:
    message = test_message(secrets.token_hex(8), project, who)
    with alerts.database.write() as connection:
        put = alerts.outbox.put(connection, project, [name], message)
    return put[0] if put else None
