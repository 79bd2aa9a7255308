"""How much waits for people: the numbers beside the names of the dashboard's pages, in one answer."""

from __future__ import annotations

from fastapi import Depends, FastAPI
from sqlalchemy import Connection, func, select

from tachograph_collector.control.access import Access
from tachograph_collector.control.approvals import Approvals
from tachograph_collector.control.database import Database
from tachograph_collector.control.tables import APPROVALS, DRIFT_ALARMS
from tachograph_collector.control.tables_alerts import RULES, STATES
from tachograph_collector.keys import Caller
from tachograph_schemas.control import WAITING


def add_waiting(api: FastAPI, database: Database, approvals: Approvals, access: Access) -> None:
    """Add ``/api/v1/waiting``."""
    looking = Depends(access.needs("look"))

    @api.get(WAITING)
    def waiting(caller: Caller = looking) -> dict[str, int]:
        """How many requests wait for a decision, alerts fire, and alarms of drift are open."""
        approvals.expire()
        with database.read() as connection:
            return counted(connection, caller.project)


def counted(connection: Connection, project: str) -> dict[str, int]:
    """The numbers of a project, by page, in one question."""
    rows = select(func.count())
    requests = rows.where(APPROVALS.c.project == project, APPROVALS.c.status == "pending")
    firing = (
        rows.select_from(STATES)
        .join(RULES, RULES.c.id == STATES.c.rule_id)
        .where(RULES.c.project == project, STATES.c.level != "ok")
    )
    alarms = rows.where(DRIFT_ALARMS.c.project == project, DRIFT_ALARMS.c.state == "open")
    question = select(
        requests.scalar_subquery().label("approvals"),
        firing.scalar_subquery().label("alerts"),
        alarms.scalar_subquery().label("drift"),
    )
    return {str(page): count for page, count in connection.execute(question).one()._mapping.items()}
