"""Orders to agents: pause, or stop, one agent, one run or everything, until somebody takes it back."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import insert, select, update

from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database, now_ns
from tachograph_collector.control.tables import ORDERS

Action = Literal["pause", "stop"]
Scope = Literal["agent", "run", "all"]
_ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class Order:
    """One order."""

    id: str
    action: Action
    scope: Scope
    target: str
    """The agent's name or the run's id; empty for everything."""
    reason: str
    actor: str
    created_ns: int
    ended_ns: int | None = None
    ended_by: str | None = None


class Orders:
    """The orders of every project. Methods block on the database."""

    def __init__(self, database: Database, audit: Audit, changed: Callable[[str], None]) -> None:
        """``changed`` is called with the project whose orders have changed, on any thread."""
        self._database = database
        self._audit = audit
        self._changed = changed

    def give(
        self, project: str, action: Action, scope: Scope, target: str, reason: str, actor: str
    ) -> Order:
        """Give an order; the one in force already when it is the same."""
        with self._audit.change() as connection:
            where = (
                ORDERS.c.project == project,
                ORDERS.c.ended_ns.is_(None),
                ORDERS.c.action == action,
                ORDERS.c.scope == scope,
                ORDERS.c.target == target,
            )
            same = connection.execute(select(ORDERS).where(*where)).first()
            if same is not None:
                return _order(same)
            order = Order(
                secrets.token_hex(_ID_BYTES), action, scope, target, reason, actor, now_ns()
            )
            values = {name: getattr(order, name) for name in Order.__slots__}
            connection.execute(insert(ORDERS).values(values | {"project": project}))
            self._audit.record(
                connection,
                project=project,
                actor=actor,
                action=f"order.{action}",
                subject=order.id,
                detail={"scope": scope, "target": target, "reason": reason},
            )
        self._changed(project)
        return order

    def end(self, project: str, scope: Scope, target: str, actor: str) -> list[Order]:
        """Take back what is in force for exactly this scope and target; what was taken back."""
        with self._audit.change() as connection:
            where = (
                ORDERS.c.project == project,
                ORDERS.c.ended_ns.is_(None),
                ORDERS.c.scope == scope,
                ORDERS.c.target == target,
            )
            ended = [_order(row) for row in connection.execute(select(ORDERS).where(*where))]
            at = now_ns()
            connection.execute(
                update(ORDERS).where(*where).values(ended_ns=at, ended_by=actor[:200])
            )
            for order in ended:
                self._audit.record(
                    connection,
                    project=project,
                    actor=actor,
                    action=f"order.end_{order.action}",
                    subject=order.id,
                    detail={"scope": scope, "target": target},
                )
        if ended:
            self._changed(project)
        return ended

    def in_force(self, project: str) -> list[Order]:
        """What agents of a project have to obey, the oldest first."""
        query = (
            select(ORDERS)
            .where(ORDERS.c.project == project, ORDERS.c.ended_ns.is_(None))
            .order_by(ORDERS.c.created_ns)
        )
        with self._database.read() as connection:
            return [_order(row) for row in connection.execute(query)]

    def last_ended(self, project: str, limit: int = 20) -> list[Order]:
        """Orders that were taken back, the newest first: agents learn from here who let them go on."""
        query = (
            select(ORDERS)
            .where(ORDERS.c.project == project, ORDERS.c.ended_ns.is_not(None))
            .order_by(ORDERS.c.ended_ns.desc())
            .limit(limit)
        )
        with self._database.read() as connection:
            return [_order(row) for row in connection.execute(query)]


def _order(row: Any) -> Order:
    return Order(**{name: getattr(row, name) for name in Order.__slots__})
