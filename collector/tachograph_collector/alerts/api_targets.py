"""The control API's part on who is told: targets, maintenance windows, digests."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from tachograph_collector.alerts.messages import test_message
from tachograph_collector.alerts.rules import Title
from tachograph_collector.alerts.service import Alerts
from tachograph_collector.control.access import Access, Name, actor
from tachograph_collector.keys import Caller
from tachograph_schemas.control import ALERTS, MOST_WAIT_S

_WATCHED_EVERY_S = 0.1
_Moment = Annotated[int, Field(ge=0, le=1 << 62)]
_Url = Annotated[str, StringConstraints(min_length=3, max_length=4_000)]
_Named = Annotated[Name, Query(min_length=1)]

_Found = TypeVar("_Found")


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


class WindowAsked(BaseModel):
    """A time in which nobody is told, nanoseconds since 1970."""

    model_config = ConfigDict(extra="forbid")

    name: Title
    starts_ns: _Moment
    ends_ns: _Moment
    every: Literal["", "day", "week"] = ""
    agents: Annotated[list[Name], Field(max_length=200)] = []
    """Only rules about these agents; empty: all rules."""
    actor: Name = ""

    @model_validator(mode="after")
    def _makes_sense(self) -> WindowAsked:
        if self.ends_ns <= self.starts_ns:
            raise ValueError("it has to end after it starts")
        return self


class DigestAsked(BaseModel):
    """A summary at a time of day, UTC."""

    model_config = ConfigDict(extra="forbid")

    name: Title
    every: Literal["day", "week"] = "day"
    minute: Annotated[int, Field(ge=0, lt=1_440)] = 480
    """Minutes after midnight, UTC."""
    weekday: Annotated[int, Field(ge=0, le=6)] = 0
    """0 is Monday; for weekly ones."""
    targets: Annotated[list[Name], Field(min_length=1, max_length=20)]
    actor: Name = ""


def add_targets(api: FastAPI, alerts: Alerts, access: Access) -> None:
    """Add ``/api/v1/alerts/targets``."""
    looking = Depends(access.needs("look"))
    operating = Depends(access.needs("operate"))
    administering = Depends(access.needs("administer"))

    @api.get(ALERTS + "/targets")
    def listed(caller: Caller = looking) -> dict[str, Any]:
        """The targets of the project; of their URLs only what is no secret."""
        return {"targets": alerts.targets.listed(caller.project)}

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

    @api.delete(ALERTS + "/targets")
    def remove(
        name: _Named, caller: Caller = administering, by: Annotated[Name, Query()] = ""
    ) -> dict[str, Any]:
        """Remove a target; what waits for it is given up."""
        return _there(alerts.targets.remove(caller.project, name, actor(by, caller)))

    @api.post(ALERTS + "/test")
    async def test(
        asked: TestAsked,
        caller: Caller = operating,
        wait_s: Annotated[float, Query(ge=0, le=MOST_WAIT_S)] = 15,
    ) -> dict[str, Any]:
        """Send a test to a target, once; what became of it, or how it stands after ``wait_s``."""
        who = actor(asked.actor, caller)
        parcel = _there(await asyncio.to_thread(_put_test, alerts, caller.project, asked.name, who))
        alerts.courier.wake()
        deadline_s = time.monotonic() + wait_s
        while True:
            found = await asyncio.to_thread(alerts.outbox.one, parcel)
            if found is None or found["finished_ns"] or time.monotonic() >= deadline_s:
                return _there(found)
            await asyncio.sleep(_WATCHED_EVERY_S)


def _put_test(alerts: Alerts, project: str, name: str, who: str) -> str | None:
    message = test_message(secrets.token_hex(8), project, who)
    with alerts.database.write() as connection:
        put = alerts.outbox.put(connection, project, [name], message)
    return put[0] if put else None


def add_times(api: FastAPI, alerts: Alerts, access: Access) -> None:
    """Add ``/api/v1/alerts/windows`` and ``/digests``."""
    looking = Depends(access.needs("look"))
    operating = Depends(access.needs("operate"))

    @api.get(ALERTS + "/windows")
    def windows(caller: Caller = looking) -> dict[str, Any]:
        """The maintenance windows of the project."""
        return {"windows": alerts.windows.listed(caller.project)}

    @api.post(ALERTS + "/windows")
    def put_window(asked: WindowAsked, caller: Caller = operating) -> dict[str, Any]:
        """Make a maintenance window, in place of the one of that name."""
        values = asked.model_dump(exclude={"actor"})
        return alerts.windows.put(caller.project, values, actor(asked.actor, caller))

    @api.delete(ALERTS + "/windows")
    def remove_window(
        name: _Named, caller: Caller = operating, by: Annotated[Name, Query()] = ""
    ) -> dict[str, Any]:
        """Remove one; what still fires is told then."""
        return _there(alerts.windows.remove(caller.project, name, actor(by, caller)))

    @api.get(ALERTS + "/digests")
    def digests(caller: Caller = looking) -> dict[str, Any]:
        """The digests of the project."""
        return {"digests": alerts.digests.listed(caller.project)}

    @api.post(ALERTS + "/digests")
    def put_digest(asked: DigestAsked, caller: Caller = operating) -> dict[str, Any]:
        """Make a digest, in place of the one of that name."""
        known = {target["name"] for target in alerts.targets.listed(caller.project)}
        if missing := [name for name in asked.targets if name not in known]:
            raise HTTPException(422, f"There is no target {missing[0]!r}; make it first.")
        values = asked.model_dump(exclude={"actor"})
        return alerts.digests.put(caller.project, values, actor(asked.actor, caller))

    @api.delete(ALERTS + "/digests")
    def remove_digest(
        name: _Named, caller: Caller = operating, by: Annotated[Name, Query()] = ""
    ) -> dict[str, Any]:
        """Remove one."""
        return _there(alerts.digests.remove(caller.project, name, actor(by, caller)))


def _there(found: _Found | None) -> _Found:
    if found is None:
        raise HTTPException(404, "There is no such thing in this project.")
    return found
