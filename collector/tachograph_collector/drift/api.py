"""The control API's part on drift: alarms, their acknowledgement, and how each agent is watched."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import BaseModel, ConfigDict

from tachograph_collector.control.access import Access, Name, Sentence, actor
from tachograph_collector.drift.keeping import OvertakenError
from tachograph_collector.drift.service import DriftService, Learn
from tachograph_collector.keys import Caller
from tachograph_schemas.control import DRIFT
from tachograph_schemas.drift.standing import standing, with_alarms


class Acknowledged(BaseModel):
    """What a person says about an alarm."""

    model_config = ConfigDict(extra="forbid")

    learn: bool
    """It is the new normal: a baseline is learnt from the change on. Else: no change worth it, go on as before."""
    metric_only: bool = False
    """With ``learn``: of the metric of this alarm alone, and the others go on with the baseline they have."""
    actor: Name = ""
    note: Sentence = ""


def add_drift(api: FastAPI, service: DriftService, access: Access) -> None:
    """Add ``/api/v1/drift/...``."""
    looking = Depends(access.needs("look"))
    operating = Depends(access.needs("operate"))
    tables = service.tables

    @api.get(f"{DRIFT}/alarms")
    def alarms(
        caller: Caller = looking,
        state: Literal["", "open", "acknowledged"] = "",
        agent: Annotated[str, Query(max_length=200)] = "",
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    ) -> dict[str, Any]:
        """The alarms, the newest first."""
        return {"alarms": tables.alarms(caller.project, state, agent, limit)}

    @api.get(f"{DRIFT}/alarms/{{alarm_id}}")
    def one(alarm_id: str, caller: Caller = looking) -> dict[str, Any]:
        """One alarm."""
        return _known(service, caller.project, alarm_id)

    @api.post(f"{DRIFT}/alarms/{{alarm_id}}/ack")
    def acknowledge(
        alarm_id: str, said: Acknowledged, caller: Caller = operating
    ) -> dict[str, Any]:
        """End an alarm, and learn a new baseline if the change is to stay."""
        found = _known(service, caller.project, alarm_id)
        if found["state"] != "open":
            raise HTTPException(409, f"{found['ended_by']} has acknowledged it already.")
        who = actor(said.actor, caller)
        try:
            service.acknowledge(caller.project, found, who, said.note, _learn(said))
        except OvertakenError as error:
            raise HTTPException(503, "Its runs are just being read; try again.") from error
        return _known(service, caller.project, alarm_id)

    @api.get(f"{DRIFT}/agents")
    def agents(
        caller: Caller = looking,
        agent: Annotated[str, Query(max_length=200)] = "",
    ) -> dict[str, Any]:
        """How each agent is watched; with ``agent``, that one alone, with a picture of each metric."""
        found = _standings(service, caller.project, agent)
        return {"agents": found, "behind_s": service.behind_s if service.is_late else 0}

    _add_guards(api, service, access)


def _add_guards(api: FastAPI, service: DriftService, access: Access) -> None:
    looking = Depends(access.needs("look"))

    @api.get(f"{DRIFT}/guards")
    def guards(
        caller: Caller = looking,
        agent: Annotated[str, Query(max_length=200)] = "",
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    ) -> dict[str, Any]:
        """Each new version of an agent against the one before it, the newest first."""
        return {"guards": service.tables.guards(caller.project, agent, limit)}


def _learn(said: Acknowledged) -> Learn:
    if not said.learn:
        return "nothing"
    return "metric" if said.metric_only else "agent"


def _standings(service: DriftService, project: str, agent: str) -> list[dict[str, Any]]:
    known = service.tables.standings(project)
    if agent:
        if agent not in {each["agent"] for each in known}:
            raise HTTPException(404, f"No run of an agent {agent!r} has been looked at yet.")
        known = [standing(agent, service.watch(project, agent), pictures=True)]
    alarmed: dict[str, set[str]] = {}
    for alarm in service.tables.alarms(project, "open", agent, limit=1_000):
        alarmed.setdefault(alarm["agent"], set()).add(alarm["metric"])
    return [with_alarms(each, alarmed.get(each["agent"], ())) for each in known]


def _known(service: DriftService, project: str, alarm_id: str) -> dict[str, Any]:
    found = service.tables.alarm(project, alarm_id)
    if found is None:
        raise HTTPException(404, f"There is no alarm {alarm_id[:32]!r}.")
    return found
