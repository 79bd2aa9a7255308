"""What fires and what fired, as it is read; and who takes care of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from tachograph_collector.alerts.rules import Rule
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database, now_ns
from tachograph_collector.control.tables_alerts import EVENTS, RULES, STATES
from tachograph_schemas.control import MOST_FIRING

_STANDING = select(
    STATES,
    RULES.c.name.label("rule_name"),
    RULES.c.definition,
    RULES.c.snoozed_until_ns.label("rule_snoozed"),
).join(RULES, RULES.c.id == STATES.c.rule_id)


class History:
    """What fires and what fired, in every project. Methods block on the database."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit

    def firing(self, project: str) -> list[dict[str, Any]]:
        """The groups of all rules that are not well, the worst first and of these the newest; a thousand at most."""
        query = (
            _STANDING.where(RULES.c.project == project, STATES.c.level != "ok")
            .order_by(STATES.c.level != "critical", STATES.c.since_ns.desc())
            .limit(MOST_FIRING)
        )
        with self._database.read() as connection:
            rows = [_state_shown(row) for row in connection.execute(query)]
            latest = _latest_events(connection, project, [row["since_ns"] for row in rows])
        for row in rows:
            event = latest.get((row["rule_id"], row["group"]))
            row["event_id"] = event.id if event else ""
            row["acked_by"] = event.acked_by if event and row["acked"] else None
        return rows

    def states(self, rule_id: str) -> list[dict[str, Any]]:
        """How every group of a rule stands."""
        query = _STANDING.where(STATES.c.rule_id == rule_id).order_by(STATES.c.group_key)
        with self._database.read() as connection:
            return [_state_shown(row) for row in connection.execute(query)]

    def listed(
        self, project: str, limit: int, before_ns: int | None = None, rule_id: str = ""
    ) -> list[dict[str, Any]]:
        """Events, the newest first."""
        query = select(EVENTS).where(EVENTS.c.project == project)
        if rule_id:
            query = query.where(EVENTS.c.rule_id == rule_id)
        if before_ns is not None:
            query = query.where(EVENTS.c.at_ns < before_ns)
        query = query.order_by(EVENTS.c.at_ns.desc(), EVENTS.c.seq.desc()).limit(limit)
        with self._database.read() as connection:
            return [_event_shown(row) for row in connection.execute(query)]

    def acknowledge(
        self, project: str, event_id: str, actor: str, by: str, note: str
    ) -> dict[str, Any] | None:
        """Somebody takes care: no reminders until it changes. The first one counts. ``None``: no such event."""
        where = (EVENTS.c.project == project, EVENTS.c.id == event_id)
        with self._audit.change() as connection:
            event = connection.execute(select(EVENTS).where(*where)).first()
            if event is None:
                return None
            if event.acked_ns is None:
                values = {"acked_ns": now_ns(), "acked_by": by[:200], "ack_note": note}
                connection.execute(update(EVENTS).where(*where).values(values))
                state = (STATES.c.rule_id == event.rule_id, STATES.c.group_key == event.group_key)
                connection.execute(
                    update(STATES).where(*state, STATES.c.level == event.to_level).values(acked=1)
                )
                self._audit.record(
                    connection,
                    project=project,
                    actor=actor,
                    action="alert.ack",
                    subject=event_id,
                    detail={"rule": event.rule_name, "group": event.group_key, "note": note},
                )
            return _event_shown(connection.execute(select(EVENTS).where(*where)).one())


def _state_shown(row: Any) -> dict[str, Any]:
    rule = Rule.model_validate_json(row.definition)
    names = ("rule_id", "rule_name", "level", "since_ns", "value", "samples", "measured_ns")
    pending = row.level == "ok" and (row.breach_ns or row.critical_ns or row.missing_ns)
    return {name: getattr(row, name) for name in names} | {
        "group": row.group_key,
        "shown": rule.what.shown(row.value),
        "sentence": rule.sentence(row.group_key, row.level, row.value),
        "acked": bool(row.acked),
        "snoozed_until_ns": max(row.snoozed_until_ns, row.rule_snoozed),
        "pending_since_ns": pending or None,
    }


def _event_shown(row: Any) -> dict[str, Any]:
    found = {
        name: value for name, value in row._mapping.items() if name not in {"group_key", "seq"}
    }
    return found | {"group": row.group_key}


def _latest_events(
    connection: Connection, project: str, since_ns: Sequence[int]
) -> dict[tuple[str, str], Any]:
    """The events that brought states to where they are, by rule and group."""
    where = (EVENTS.c.project == project, EVENTS.c.at_ns.in_(since_ns))
    query = select(EVENTS).where(*where).order_by(EVENTS.c.seq)
    return {(row.rule_id, row.group_key): row for row in connection.execute(query)}
