"""What the drift service keeps in the control database: its place, each agent's watch and baselines, the alarms."""

from __future__ import annotations

import json
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, insert, select, update

from tachograph_collector.control.database import Database, now_ns
from tachograph_collector.control.tables import (
    DRIFT_ALARMS,
    DRIFT_BASELINES,
    DRIFT_GUARDS,
    DRIFT_PLACE,
    DRIFT_WATCHES,
)
from tachograph_schemas.drift.agent import AgentWatch
from tachograph_schemas.drift.alarms import Alarm
from tachograph_schemas.drift.baseline import Baseline
from tachograph_schemas.drift.deploys import Deploy, told
from tachograph_schemas.drift.reading import Cursor
from tachograph_schemas.drift.standing import standing

Key = tuple[str, str]
"""Project and agent."""
_HASH_BYTES = 8
MOST_FED = 50_000
"""Runs that are known to have been fed; one that comes again after so many others counts twice."""


MOST_AGENTS = 5_000
"""Watched in one project."""
_MOST_SHOWN = 1_000
_PROJECT_CHARS, _AGENT_CHARS = 64, 200


def storable(project: str, agent: str) -> Key:
    """The key of an agent as every database can hold it: an agent may call itself anything."""
    return project[:_PROJECT_CHARS], agent.replace("\0", "\ufffd")[:_AGENT_CHARS]


class OvertakenError(Exception):
    """Another collector, or an acknowledgement, has changed the state since it was read."""


class Fed:
    """Which runs were fed already: the hashes of the last :data:`MOST_FED`."""

    def __init__(self, packed: bytes = b"") -> None:
        size = _HASH_BYTES
        self._hashes = OrderedDict.fromkeys(
            packed[at : at + size] for at in range(0, len(packed), size)
        )

    def is_new(self, project: str, run_id: str) -> bool:
        """Whether the run was not fed yet; it counts as fed from now on."""
        name = f"{project}\0{run_id}".encode("utf-8", "surrogatepass")
        mark = blake2b(name, digest_size=_HASH_BYTES).digest()
        if mark in self._hashes:
            return False
        self._hashes[mark] = None
        if len(self._hashes) > MOST_FED:
            self._hashes.popitem(last=False)
        return True

    def packed(self) -> bytes:
        """What the constructor takes."""
        return b"".join(self._hashes)


@dataclass(slots=True)
class Place:
    """How far the service has read."""

    generation: int
    cursor: Cursor
    fed: Fed


class DriftTables:
    """The five tables. Methods block and raise ``DatabaseError``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self) -> AbstractContextManager[Connection]:
        """A transaction for :meth:`save`."""
        return self._database.write()

    def place(self) -> Place:
        """How far the service has read; the beginning for a new database."""
        with self._database.read() as connection:
            row = connection.execute(select(DRIFT_PLACE)).first()
        if row is None:
            return Place(0, Cursor(), Fed())
        return Place(row.generation, Cursor(*json.loads(row.cursor)), Fed(row.fed))

    def watch(self, key: Key, budget_runs: int) -> AgentWatch:
        """The watch over an agent; a new one when it was never seen."""
        with self._database.read() as connection:
            row = connection.execute(select(DRIFT_WATCHES).where(*_of(DRIFT_WATCHES, key))).first()
            if row is None:
                return AgentWatch(budget_runs)
            kept = connection.execute(
                select(DRIFT_BASELINES.c.data).where(
                    *_of(DRIFT_BASELINES, key), DRIFT_BASELINES.c.version == row.baseline_version
                )
            ).first()
            guards = connection.execute(_unfinished(key)).all()
        baseline = Baseline.from_json(_unpacked(kept.data)) if kept else None
        deploys = [Deploy.from_json(_unpacked(each.state)) for each in guards]
        state = _unpacked(row.state) | {"budget_runs": budget_runs}
        return AgentWatch.from_json(state, baseline, deploys)

    def standings(self, project: str) -> list[dict[str, Any]]:
        """How the agents of a project are watched, by name, without their alarms; the last thousand that ran."""
        table = DRIFT_WATCHES.c
        newest = (
            select(table.agent, table.standing)
            .where(table.project == project)
            .order_by(table.updated_ns.desc(), table.agent)
            .limit(_MOST_SHOWN)
        )
        with self._database.read() as connection:
            rows = sorted(connection.execute(newest), key=lambda row: row.agent)
        return [json.loads(row.standing) for row in rows]

    def save(
        self,
        connection: Connection,
        place: Place,
        watches: Mapping[Key, AgentWatch],
        alarms: Sequence[tuple[Key, Alarm]] = (),
    ) -> None:
        """Write what has changed since ``place`` was read, and count its generation up.

        Raises:
            OvertakenError: somebody else was faster; the transaction must not be committed.
        """
        values = {
            "generation": place.generation + 1,
            "cursor": json.dumps(place.cursor.as_json()),
            "fed": place.fed.packed(),
        }
        held = connection.execute(select(DRIFT_PLACE.c.generation)).scalar()
        if (held or 0) != place.generation:
            raise OvertakenError
        if held is None:
            connection.execute(insert(DRIFT_PLACE).values(values | {"id": 1}))
        else:
            connection.execute(update(DRIFT_PLACE).values(values))
        for key, watch in watches.items():
            _save_watch(connection, key, watch)
        for project in {key[0] for key in watches}:
            _forget_surplus(connection, project)
        for key, alarm in alarms:
            _save_alarm(connection, key, alarm)
        place.generation += 1

    def alarms(
        self, project: str, state: str = "", agent: str = "", limit: int = 100
    ) -> list[dict[str, Any]]:
        """The alarms of a project, the newest first."""
        query = select(DRIFT_ALARMS).where(DRIFT_ALARMS.c.project == project)
        if state:
            query = query.where(DRIFT_ALARMS.c.state == state)
        if agent:
            query = query.where(DRIFT_ALARMS.c.agent == agent)
        query = query.order_by(DRIFT_ALARMS.c.raised_ns.desc(), DRIFT_ALARMS.c.id).limit(limit)
        with self._database.read() as connection:
            return [shown(row) for row in connection.execute(query)]

    def guards(self, project: str, agent: str = "", limit: int = 100) -> list[dict[str, Any]]:
        """What is known of new versions, the newest first."""
        table = DRIFT_GUARDS.c
        query = select(table.told).where(table.project == project)
        if agent:
            query = query.where(table.agent == agent)
        query = query.order_by(table.since_ns.desc(), table.id).limit(limit)
        with self._database.read() as connection:
            return [json.loads(text) for text in connection.execute(query).scalars()]

    def alarm(self, project: str, alarm_id: str) -> dict[str, Any] | None:
        """One alarm; None when the project has none of this id."""
        query = select(DRIFT_ALARMS).where(
            DRIFT_ALARMS.c.project == project, DRIFT_ALARMS.c.id == alarm_id
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return shown(row) if row is not None else None


def end_alarms(connection: Connection, key: Key, actor: str, note: str, metric: str | None) -> None:
    """Mark the open alarms of an agent, or of one of its metrics, as acknowledged."""
    where = [*_of(DRIFT_ALARMS, key), DRIFT_ALARMS.c.state == "open"]
    if metric is not None:
        where.append(DRIFT_ALARMS.c.metric == metric)
    values = {"state": "acknowledged", "ended_ns": now_ns(), "ended_by": actor[:200], "note": note}
    connection.execute(update(DRIFT_ALARMS).where(*where).values(values))


def shown(row: Any) -> dict[str, Any]:
    """An alarm as the API gives it."""
    kept = {name: value for name, value in row._mapping.items() if name != "data"}
    data: dict[str, Any] = json.loads(row.data)
    return data | kept


def _of(table: Any, key: Key) -> tuple[Any, Any]:
    return table.c.project == key[0], table.c.agent == key[1]


def _save_watch(connection: Connection, key: Key, watch: AgentWatch) -> None:
    project, agent = key
    row = {"project": project, "agent": agent}
    version = watch.baseline.version if watch.baseline else 0
    connection.execute(delete(DRIFT_WATCHES).where(*_of(DRIFT_WATCHES, key)))
    state = {
        "baseline_version": version,
        "state": _packed(watch.as_json()),
        "standing": json.dumps(standing(agent, watch, pictures=False)),
        "updated_ns": now_ns(),
    }
    connection.execute(insert(DRIFT_WATCHES).values(row | state))
    for deploy in watch.deploys.under_way:
        _save_guard(connection, key, deploy)
    if watch.baseline is None:
        return
    known = select(DRIFT_BASELINES.c.version).where(
        *_of(DRIFT_BASELINES, key), DRIFT_BASELINES.c.version == version
    )
    if connection.execute(known).first() is None:
        data = {
            "version": version,
            "data": _packed(watch.baseline.as_json()),
            "frozen_ns": now_ns(),
        }
        connection.execute(insert(DRIFT_BASELINES).values(row | data))


def _forget_surplus(connection: Connection, project: str) -> None:
    """Let go of agents that have not run for longest: one that calls itself anew each time would fill the database."""
    mine = DRIFT_WATCHES.c.project == project
    count = select(func.count()).select_from(DRIFT_WATCHES).where(mine)
    surplus = connection.execute(count).scalar_one() - MOST_AGENTS
    if surplus <= 0:
        return
    oldest = (
        select(DRIFT_WATCHES.c.agent)
        .where(mine)
        .order_by(DRIFT_WATCHES.c.updated_ns, DRIFT_WATCHES.c.agent)
        .limit(surplus)
    )
    for agent in connection.execute(oldest).scalars().all():
        for table in (DRIFT_WATCHES, DRIFT_BASELINES, DRIFT_GUARDS):
            connection.execute(delete(table).where(*_of(table, (project, agent))))


def _unfinished(key: Key) -> Any:
    return (
        select(DRIFT_GUARDS.c.state)
        .where(*_of(DRIFT_GUARDS, key), DRIFT_GUARDS.c.state.is_not(None))
        .order_by(DRIFT_GUARDS.c.since_ns, DRIFT_GUARDS.c.id)
    )


def _save_guard(connection: Connection, key: Key, deploy: Deploy) -> None:
    project, agent = key
    known = told(agent, deploy)
    mine = {"project": project, "id": known["id"]}
    values = {
        "agent": agent,
        "since_ns": deploy.since_ns,
        "told": json.dumps(known),
        "state": None if deploy.is_over else _packed(deploy.as_json()),
        "updated_ns": now_ns(),
    }
    table = DRIFT_GUARDS.c
    connection.execute(
        delete(DRIFT_GUARDS).where(table.project == project, table.id == known["id"])
    )
    connection.execute(insert(DRIFT_GUARDS).values(mine | values))


def _save_alarm(connection: Connection, key: Key, alarm: Alarm) -> None:
    """A new alarm, or the same again: one that is open is not raised a second time."""
    same = (
        *_of(DRIFT_ALARMS, key),
        DRIFT_ALARMS.c.metric == alarm.metric,
        DRIFT_ALARMS.c.direction == alarm.direction,
        DRIFT_ALARMS.c.baseline_version == alarm.baseline_version,
        DRIFT_ALARMS.c.state == "open",
    )
    again = {"times": DRIFT_ALARMS.c.times + 1, "last_ns": alarm.raised_ns}
    if connection.execute(update(DRIFT_ALARMS).where(*same).values(again)).rowcount:
        return
    data = asdict(alarm)
    columns = ("id", "metric", "direction", "baseline_version", "raised_ns")
    values = {name: data.pop(name) for name in columns}
    connection.execute(
        insert(DRIFT_ALARMS).values(
            project=key[0],
            agent=key[1],
            state="open",
            last_ns=alarm.raised_ns,
            times=1,
            data=json.dumps(data),
            **values,
        )
    )


def _packed(data: Any) -> bytes:
    return zlib.compress(orjson.dumps(data), 1)


def _unpacked(data: bytes) -> Any:
    return orjson.loads(zlib.decompress(data))
