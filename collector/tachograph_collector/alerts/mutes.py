"""Times in which nobody is told: maintenance windows, once or every day or week."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, delete, insert, select

from tachograph_collector.alerts.rules import Rule
from tachograph_collector.control import limits
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database
from tachograph_collector.control.tables_alerts import WINDOWS

_REPEATS_NS = {"day": 86_400 * 10**9, "week": 7 * 86_400 * 10**9}


@dataclass(frozen=True, slots=True)
class Window:
    """A maintenance window. Times are nanoseconds since 1970."""

    id: str
    project: str
    name: str
    starts_ns: int
    ends_ns: int
    every: Literal["", "day", "week"]
    agents: Sequence[str]
    """Only rules about these agents are muted; empty: all rules."""
    created_by: str

    def is_open(self, at_ns: int) -> bool:
        """Whether it is on."""
        repeat_ns = _REPEATS_NS.get(self.every)
        if repeat_ns is None or at_ns < self.starts_ns:
            return self.starts_ns <= at_ns < self.ends_ns
        return (at_ns - self.starts_ns) % repeat_ns < self.ends_ns - self.starts_ns

    def mutes(self, rule: Rule, key: str) -> bool:
        """Whether a rule's group is about its agents alone."""
        if not self.agents:
            return True
        about = {key} if rule.group_by == "agent" else set(rule.only.get("agent", ()))
        return bool(about) and about <= set(self.agents)


class Windows:
    """The maintenance windows of every project. Methods block on the database."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit

    def put(self, project: str, values: dict[str, Any], actor: str) -> dict[str, Any]:
        """Make one, in place of the one of that name."""
        row = values | {
            "id": secrets.token_hex(8),
            "project": project,
            "agents": json.dumps(values["agents"]),
            "created_by": actor[:200],
        }
        with self._audit.change() as connection:
            connection.execute(
                delete(WINDOWS).where(
                    WINDOWS.c.project == project, WINDOWS.c.name == values["name"]
                )
            )
            connection.execute(insert(WINDOWS).values(row))
            limits.check(connection, WINDOWS, project, limits.MOST_WINDOWS)
            self._audit.record(
                connection,
                project=project,
                actor=actor,
                action="alert.window",
                subject=str(row["id"]),
                detail=values,
            )
            return _shown(
                connection.execute(select(WINDOWS).where(WINDOWS.c.id == row["id"])).one()
            )

    def remove(self, project: str, name: str, actor: str) -> dict[str, Any] | None:
        """Remove one; ``None`` when there is none."""
        where = (WINDOWS.c.project == project, WINDOWS.c.name == name)
        with self._audit.change() as connection:
            row = connection.execute(select(WINDOWS).where(*where)).first()
            if row is None:
                return None
            connection.execute(delete(WINDOWS).where(*where))
            self._audit.record(
                connection,
                project=project,
                actor=actor,
                action="alert.window_remove",
                subject=row.id,
                detail={"name": name},
            )
        return _shown(row)

    def listed(self, project: str) -> list[dict[str, Any]]:
        """The windows of a project."""
        query = select(WINDOWS).where(WINDOWS.c.project == project).order_by(WINDOWS.c.starts_ns)
        with self._database.read() as connection:
            return [_shown(row) for row in connection.execute(query)]


def open_windows(connection: Connection, at_ns: int) -> dict[str, list[Window]]:
    """Those that are on, by project."""
    found: dict[str, list[Window]] = {}
    for row in connection.execute(select(WINDOWS).where(WINDOWS.c.starts_ns <= at_ns)):
        window = Window(**_whole(row))
        if window.is_open(at_ns):
            found.setdefault(window.project, []).append(window)
    return found


def _whole(row: Any) -> dict[str, Any]:
    return {**row._mapping, "agents": json.loads(row.agents)}


def _shown(row: Any) -> dict[str, Any]:
    return {name: value for name, value in _whole(row).items() if name not in {"id", "project"}}
