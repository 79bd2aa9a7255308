"""The control API's part on replays: asking for one, taking it, saying what came of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict

from tachograph_collector.control.access import Access, Name, actor
from tachograph_collector.control.news import News
from tachograph_collector.control.replays import Done, Kind, Replay, Replays
from tachograph_collector.keys import Caller
from tachograph_schemas.control import MOST_WAIT_S, REPLAYS

_MOST_CHARS = 16_384


def _small(value: Any) -> Any:
    if len(json.dumps(value)) > _MOST_CHARS:
        raise ValueError(f"at most {_MOST_CHARS:,} characters of JSON")
    return value


Small = Annotated[dict[str, Any], BeforeValidator(_small)]


class Asking(BaseModel):
    """A replay that is asked for."""

    model_config = ConfigDict(extra="forbid")

    run_id: Name
    kind: Kind = "replay"
    options: Small = {}
    result: Small | None = None
    actor: Name = ""


class Told(Asking):
    """One that is done; or many, as a sweep with an id of its own."""

    kind: Done = "replay"  # type: ignore[assignment]  # more than can be asked for


class Taking(BaseModel):
    """Who takes one."""

    model_config = ConfigDict(extra="forbid")

    worker: Name


class Result(Taking):
    """What came of one that was taken."""

    result: Small


def waiting(project: str) -> str:
    """What :class:`News` calls the replays that a project's workers wait for."""
    return f"replays {project}"


def add_replays(api: FastAPI, replays: Replays, news: News, access: Access) -> None:
    """Add ``/api/v1/replays``."""
    _add_rows(api, replays, access)
    _add_work(api, replays, news, access)


def _add_rows(api: FastAPI, replays: Replays, access: Access) -> None:
    """For people and the command line: what was done, and asking for more."""
    looking = Depends(access.needs("look"))
    operating = Depends(access.needs("operate"))
    sending = Depends(access.needs("send", "operate"))

    @api.get(REPLAYS)
    def of_run(
        run_id: Annotated[str, Query(max_length=200)],
        caller: Caller = looking,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> dict[str, Any]:
        """The replays of a run, and what made it if it is a fork; the newest first."""
        found = replays.of_run(caller.project, run_id, limit)
        return {"replays": [_shown(replay) for replay in found]}

    @api.get(REPLAYS + "/sweeps")
    def sweeps(
        caller: Caller = looking, limit: Annotated[int, Query(ge=1, le=100)] = 20
    ) -> dict[str, Any]:
        """What came of many replays at once, the newest first."""
        return {"sweeps": [_shown(sweep) for sweep in replays.sweeps(caller.project, limit)]}

    @api.post(REPLAYS)
    def ask(said: Asking, caller: Caller = operating) -> dict[str, Any]:
        """Ask a worker for one."""
        if said.result is not None:
            raise HTTPException(422, f"What is done is put down at {REPLAYS}/done.")
        who = actor(said.actor, caller)
        return _shown(replays.ask(caller.project, said.run_id, said.kind, said.options, who))

    @api.post(REPLAYS + "/done")
    def put_down(said: Told, caller: Caller = sending) -> dict[str, Any]:
        """Put down one that was done where the code is."""
        if said.result is None:
            raise HTTPException(422, "Say what came of it: result.")
        who = actor(said.actor, caller)
        return _shown(
            replays.put_down(caller.project, said.run_id, said.kind, said.options, said.result, who)
        )


def _add_work(api: FastAPI, replays: Replays, news: News, access: Access) -> None:
    """For workers."""
    operating = Depends(access.needs("operate"))

    @api.post(REPLAYS + "/take")
    async def take(
        taking: Taking,
        request: Request,
        caller: Caller = operating,
        wait_s: Annotated[float, Query(ge=0, le=MOST_WAIT_S)] = 0,
    ) -> dict[str, Any]:
        """The oldest one that is asked for; waits for one."""

        async def look() -> bool:
            return await asyncio.to_thread(replays.waiting, caller.project)

        await news.until(waiting(caller.project), look, bool, wait_s)
        if await request.is_disconnected():
            return {
                "replay": None
            }  # a worker that has ended meanwhile would have it for a quarter of an hour
        taken = await asyncio.to_thread(replays.take, caller.project, taking.worker)
        return {"replay": None if taken is None else _shown(taken)}

    @api.post(REPLAYS + "/{replay_id}/result")
    def done(replay_id: str, result: Result, caller: Caller = operating) -> dict[str, Any]:
        """What a worker made of the one it has taken."""
        found = replays.done(caller.project, replay_id, result.worker, result.result)
        if found is None:
            raise HTTPException(409, "This replay is not taken by this worker any more.")
        return _shown(found)


def _shown(replay: Replay) -> dict[str, Any]:
    found = asdict(replay)
    found["options"] = json.loads(replay.options)
    found["result"] = None if replay.result is None else json.loads(replay.result)
    return found
