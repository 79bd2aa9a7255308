"""Replays, forks and resumptions of recorded runs: what is asked for, and what came of those that were done.

The collector runs none of them. A worker (``tacho worker``), which somebody starts where the code is, takes what is
asked for; the command line puts down what it has done by itself.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, and_, delete, insert, or_, select, update

from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database, now_ns
from tachograph_collector.control.tables import REPLAYS
from tachograph_schemas.control import REPLAY_LEASE_S

Kind = Literal["replay", "fork", "resume"]
Done = Literal["replay", "fork", "resume", "sweep"]
"""A sweep is many replays at once: its row has the summary, under an id of its own instead of a run's."""
_OF_SWEEP = '%"sweep":%'
_ID_BYTES = 8
LEASE_NS = REPLAY_LEASE_S * 10**9


@dataclass(frozen=True, slots=True)
class Replay:
    """One of them."""

    id: str
    run_id: str
    """The recorded run."""
    kind: Done
    options: str
    """JSON: the step, another model, lenient, ..."""
    status: str
    """``asked``, ``taken`` or ``done``."""
    actor: str
    created_ns: int
    worker: str | None = None
    taken_ns: int | None = None
    ended_ns: int | None = None
    child_run_id: str | None = None
    result: str | None = None
    """JSON: what came of it."""


class Replays:
    """The replays of every project. Methods block on the database."""

    def __init__(self, database: Database, audit: Audit, changed: Callable[[str], None]) -> None:
        """``changed`` is called with the project in which one was asked for, on any thread."""
        self._database = database
        self._audit = audit
        self._changed = changed

    def ask(
        self, project: str, run_id: str, kind: Kind, options: dict[str, Any], actor: str
    ) -> Replay:
        """Ask for one; the one that waits already when it is the same."""
        said = _json(options)
        with self._audit.change() as connection:
            where = (
                REPLAYS.c.project == project,
                REPLAYS.c.run_id == run_id,
                REPLAYS.c.kind == kind,
                REPLAYS.c.options == said,
                REPLAYS.c.status == "asked",
            )
            same = connection.execute(select(REPLAYS).where(*where)).first()
            if same is not None:
                return _replay(same)
            asked = Replay(_id(), run_id, kind, said, "asked", actor[:200], now_ns())
            _insert(connection, project, asked)
            self._audit.record(
                connection,
                project=project,
                actor=actor,
                action=f"{kind}.ask",
                subject=asked.id,
                detail={"run_id": run_id, **options},
            )
        self._changed(project)
        return asked

    def put_down(
        self,
        project: str,
        run_id: str,
        kind: Done,
        options: dict[str, Any],
        result: dict[str, Any],
        actor: str,
    ) -> Replay:
        """One that was done without being asked for here. Of sweeps, a run keeps what the last one made of it."""
        at = now_ns()
        done = Replay(
            _id(),
            run_id,
            kind,
            _json(options),
            "done",
            actor[:200],
            at,
            ended_ns=at,
            child_run_id=_child(kind, result),
            result=_json(result),
        )
        with self._database.write() as connection:
            if kind == "replay" and "sweep" in options:
                of_run = REPLAYS.c.project == project, REPLAYS.c.run_id == run_id
                of_sweep = REPLAYS.c.kind == "replay", REPLAYS.c.options.like(_OF_SWEEP)
                connection.execute(delete(REPLAYS).where(*of_run, *of_sweep))
            _insert(connection, project, done)
        return done

    def sweeps(self, project: str, limit: int) -> list[Replay]:
        """The summaries of many replays at once, the newest first."""
        where = REPLAYS.c.project == project, REPLAYS.c.kind == "sweep"
        query = select(REPLAYS).where(*where).order_by(REPLAYS.c.created_ns.desc()).limit(limit)
        with self._database.read() as connection:
            return [_replay(row) for row in connection.execute(query)]

    def take(self, project: str, worker: str) -> Replay | None:
        """The oldest that waits, for a worker; None when there is none."""
        at = now_ns()
        dead = and_(REPLAYS.c.status == "taken", REPLAYS.c.taken_ns < at - LEASE_NS)
        waiting = (
            select(REPLAYS)
            .where(REPLAYS.c.project == project, or_(REPLAYS.c.status == "asked", dead))
            .order_by(REPLAYS.c.created_ns)
            .limit(1)
        )
        with self._database.write() as connection:
            row = connection.execute(waiting).first()
            if row is None:
                return None
            taken = {"status": "taken", "worker": worker[:200], "taken_ns": at}
            connection.execute(update(REPLAYS).where(REPLAYS.c.id == row.id).values(taken))
            return _replay(connection.execute(select(REPLAYS).where(REPLAYS.c.id == row.id)).one())

    def done(
        self, project: str, replay_id: str, worker: str, result: dict[str, Any]
    ) -> Replay | None:
        """What a worker made of the one it has taken; None when that is not its own any more."""
        with self._database.write() as connection:
            where = (
                REPLAYS.c.project == project,
                REPLAYS.c.id == replay_id,
                REPLAYS.c.status == "taken",
                REPLAYS.c.worker == worker[:200],
            )
            row = connection.execute(select(REPLAYS).where(*where)).first()
            if row is None:
                return None
            values = {
                "status": "done",
                "ended_ns": now_ns(),
                "result": _json(result),
                "child_run_id": _child(row.kind, result),
            }
            connection.execute(update(REPLAYS).where(*where).values(values))
            return _replay(
                connection.execute(select(REPLAYS).where(REPLAYS.c.id == replay_id)).one()
            )

    def of_run(self, project: str, run_id: str, limit: int) -> list[Replay]:
        """Those of a run, and the one that made it, the newest first."""
        query = (
            select(REPLAYS)
            .where(
                REPLAYS.c.project == project,
                or_(REPLAYS.c.run_id == run_id, REPLAYS.c.child_run_id == run_id),
            )
            .order_by(REPLAYS.c.created_ns.desc())
            .limit(limit)
        )
        with self._database.read() as connection:
            return [_replay(row) for row in connection.execute(query)]

    def waiting(self, project: str) -> bool:
        """Whether one waits for a worker."""
        at = now_ns()
        dead = and_(REPLAYS.c.status == "taken", REPLAYS.c.taken_ns < at - LEASE_NS)
        query = (
            select(REPLAYS.c.id)
            .where(REPLAYS.c.project == project, or_(REPLAYS.c.status == "asked", dead))
            .limit(1)
        )
        with self._database.read() as connection:
            return connection.execute(query).first() is not None


def _child(kind: str, result: dict[str, Any]) -> str | None:
    """The run that was made: a replay makes none, and a resumption goes on under its run's own id."""
    return (str(result.get("run_id") or "") or None) if kind == "fork" else None


def _id() -> str:
    return secrets.token_hex(_ID_BYTES)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _insert(connection: Connection, project: str, replay: Replay) -> None:
    values = {name: getattr(replay, name) for name in Replay.__slots__}
    connection.execute(insert(REPLAYS).values(values | {"project": project}))


def _replay(row: Any) -> Replay:
    return Replay(**{name: getattr(row, name) for name in Replay.__slots__})
