"""The control API's part on when people are told: maintenance windows and digests."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tachograph_collector.alerts.api_named import add_named
from tachograph_collector.alerts.rules import Title
from tachograph_collector.alerts.service import Alerts
from tachograph_collector.control.access import Access, Name, actor
from tachograph_collector.keys import Caller
from tachograph_schemas.control import ALERTS
from tachograph_schemas.store import StoreError

_Moment = Annotated[int, Field(ge=0, le=1 << 62)]


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


def add_times(api: FastAPI, alerts: Alerts, access: Access) -> None:
    """Add ``/api/v1/alerts/windows`` and ``/digests``."""
    looking = Depends(access.needs("look"))
    operating = Depends(access.needs("operate"))

    @api.post(ALERTS + "/windows")
    def put_window(asked: WindowAsked, caller: Caller = operating) -> dict[str, Any]:
        """Make a maintenance window, in place of the one of that name."""
        values = asked.model_dump(exclude={"actor"})
        return alerts.windows.put(caller.project, values, actor(asked.actor, caller))

    @api.post(ALERTS + "/digests")
    def put_digest(asked: DigestAsked, caller: Caller = operating) -> dict[str, Any]:
        """Make a digest, in place of the one of that name."""
        known = {target["name"] for target in alerts.targets.listed(caller.project)}
        if missing := [name for name in asked.targets if name not in known]:
            raise HTTPException(422, f"There is no target {missing[0]!r}; make it first.")
        values = asked.model_dump(exclude={"actor"})
        return alerts.digests.put(caller.project, values, actor(asked.actor, caller))

    @api.get(ALERTS + "/digests/preview")
    def preview(
        caller: Caller = looking, every: Annotated[Literal["day", "week"], Query()] = "day"
    ) -> dict[str, Any]:
        """What a digest would say now, of the day or the week until this moment. Nobody is told."""
        try:
            return {"lines": alerts.preview_digest(caller.project, every)}
        except StoreError as error:
            raise HTTPException(503, "The engine does not answer now.") from error

    add_named(api, ALERTS + "/windows", alerts.windows, access, "operate")
    add_named(api, ALERTS + "/digests", alerts.digests, access, "operate")
