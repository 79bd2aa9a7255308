"""The figures that the control database knows: what waits for people, alarms of drift, what is left of budgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import func, select

from tachograph_collector.alerts.book import Kept
from tachograph_collector.control.budgets import rules_in_force
from tachograph_collector.control.database import Database, now_ns
from tachograph_collector.control.leases import Leases
from tachograph_collector.control.tables import APPROVALS, DRIFT_ALARMS
from tachograph_schemas.alerts import MOST_GROUPS, Measured


def figures(database: Database, kept: Kept) -> list[Measured]:
    """What a rule over one of ``alerts.CONTROL_SOURCES`` finds now.

    Raises:
        DatabaseError: the control database.
    """
    return _SOURCES[kept.rule.what.source](database, kept)


def _approvals(database: Database, kept: Kept) -> list[Measured]:
    """How many requests wait, or how long the oldest has waited, seconds."""
    rule = kept.rule
    key = APPROVALS.c.agent if rule.group_by == "agent" else func.substr("", 1)
    at = now_ns()
    query = (
        select(key, func.count(), func.min(APPROVALS.c.created_ns))
        .where(
            APPROVALS.c.project == kept.project,
            APPROVALS.c.status == "pending",
            APPROVALS.c.expires_ns > at,
        )
        .group_by(key)
        .limit(MOST_GROUPS)
    )
    if rule.only.get("agent"):
        query = query.where(APPROVALS.c.agent.in_(rule.only["agent"]))
    with database.read() as connection:
        rows = connection.execute(query).all()
    if rule.metric == "approvals_waiting":
        return [Measured(group, float(number), number) for group, number, _ in rows]
    return [Measured(group, (at - oldest) / 1e9, number) for group, number, oldest in rows]


def _drift(database: Database, kept: Kept) -> list[Measured]:
    """How many alarms of drift are open."""
    rule = kept.rule
    key = DRIFT_ALARMS.c.agent if rule.group_by == "agent" else func.substr("", 1)
    query = (
        select(key, func.count())
        .where(DRIFT_ALARMS.c.project == kept.project, DRIFT_ALARMS.c.state == "open")
        .group_by(key)
        .limit(MOST_GROUPS)
    )
    if rule.only.get("agent"):
        query = query.where(DRIFT_ALARMS.c.agent.in_(rule.only["agent"]))
    with database.read() as connection:
        rows = connection.execute(query).all()
    return [Measured(group, float(number), number) for group, number in rows]


def _budgets(database: Database, kept: Kept) -> list[Measured]:
    """The share that is used of the budget which is used most; split, of the budgets for each agent or customer."""
    rule = kept.rule
    with database.read() as connection:
        budgets = rules_in_force(connection, kept.project)
    leases, found = Leases(database), dict[str, Measured]()
    for budget in budgets:
        wanted = rule.group_by or budget.scope
        if budget.is_local or budget.scope != wanted:
            continue
        only = rule.only.get(budget.scope)  # type: ignore[call-overload]
        if only is None and any(rule.only.values()):
            continue
        for account in leases.accounts(kept.project, budget):
            if only and account.account not in only:
                continue
            share = account.spent / budget.limit if budget.limit else 1.0
            group = account.account if rule.group_by else ""
            before = found.get(group)
            if before is None or share > (before.value or 0.0):
                found[group] = Measured(group, share, 1)
    most = sorted(found.values(), key=lambda each: -(each.value or 0.0))
    return most[:MOST_GROUPS]


_SOURCES: Mapping[str, Callable[[Database, Kept], list[Measured]]] = {
    "approvals": _approvals,
    "drift": _drift,
    "budgets": _budgets,
}
