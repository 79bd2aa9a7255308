"""Numbered steps from an empty database to today's. Each runs once, in a transaction, in its order."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import DDL, Connection

from tachograph_collector.control.tables import (
    APPROVALS,
    AUDIT,
    BUDGET_VERSIONS,
    BUDGETS,
    DECISIONS,
    DRIFT_ALARMS,
    DRIFT_BASELINES,
    DRIFT_GUARDS,
    DRIFT_PLACE,
    DRIFT_WATCHES,
    KEYS,
    LEASES,
    LINKS,
    METADATA,
    ORDERS,
    OWN_APPROVAL,
    REPLAYS,
)
from tachograph_collector.control.tables_alerts import ALERT_TABLES

Migration = Callable[[Connection], None]

# The hash chain shows that a row was changed; these keep an honest program from changing one by mistake.
_KEEP = "CREATE TRIGGER audit_no_{verb} BEFORE {verb} ON audit BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END"
_KEEP_POSTGRES = "CREATE RULE audit_no_{verb} AS ON {verb} TO audit DO INSTEAD NOTHING"


def _first(connection: Connection) -> None:
    METADATA.create_all(connection, tables=[AUDIT, KEYS, APPROVALS, DECISIONS, ORDERS])
    for verb in ("update", "delete"):
        for dialect, text in (("sqlite", _KEEP), ("postgresql", _KEEP_POSTGRES)):
            if connection.dialect.name == dialect:
                statement = DDL(text.format(verb=verb))  # type: ignore[no-untyped-call]
                connection.execute(statement)


def _drift(connection: Connection) -> None:
    tables = [DRIFT_PLACE, DRIFT_WATCHES, DRIFT_BASELINES, DRIFT_ALARMS]
    METADATA.create_all(connection, tables=tables)


def _links(connection: Connection) -> None:
    METADATA.create_all(connection, tables=[LINKS, OWN_APPROVAL])


def _alerts(connection: Connection) -> None:
    METADATA.create_all(connection, tables=ALERT_TABLES)


def _budgets(connection: Connection) -> None:
    METADATA.create_all(connection, tables=[BUDGETS, BUDGET_VERSIONS, LEASES])


def _replays(connection: Connection) -> None:
    METADATA.create_all(connection, tables=[REPLAYS])


def _guards(connection: Connection) -> None:
    METADATA.create_all(connection, tables=[DRIFT_GUARDS])


MIGRATIONS: tuple[Migration, ...] = (
    _first,
    _drift,
    _links,
    _alerts,
    _budgets,
    _replays,
    _guards,
)
