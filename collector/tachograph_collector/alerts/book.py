"""Rules as they are kept: made, changed, removed, snoozed; each with an entry of the audit log."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from tachograph_collector.alerts.outbox import Outbox
from tachograph_collector.alerts.rules import Rule
from tachograph_collector.alerts.states import close
from tachograph_collector.control import limits, meanwhile
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database, now_ns
from tachograph_collector.control.tables_alerts import RULES, STATES


@dataclass(frozen=True, slots=True)
class Kept:
    """A rule with what is kept beside it."""

    id: str
    project: str
    version: int
    snoozed_until_ns: int
    updated_ns: int
    updated_by: str
    rule: Rule


class Book:
    """The rules of every project. Methods block on the database."""

    def __init__(self, database: Database, audit: Audit, outbox: Outbox) -> None:
        self._database = database
        self._audit = audit
        self._outbox = outbox

    def put(self, project: str, rule: Rule, actor: str, seen: int | None = None) -> dict[str, Any]:
        """Make a rule, or change the one of that name; the same again changes nothing.

        A rule that fires and is changed is over, and people are told so; what it says now is found out anew.

        Raises:
            ChangedError: another version is kept than the one that was ``seen``.
        """
        definition = rule.model_dump_json()
        where = (RULES.c.project == project, RULES.c.name == rule.name)
        with self._audit.change() as connection:
            known = connection.execute(select(RULES).where(*where)).first()
            if known is not None and known.definition == definition:
                return shown(_kept(known))
            version, by, since_ns = (
                (known.version, known.updated_by, known.updated_ns) if known else (0, "", 0)
            )
            meanwhile.check(f"The rule {rule.name}", seen, version, by, since_ns)
            at = now_ns()
            values: dict[str, Any] = {
                "definition": definition,
                "updated_ns": at,
                "updated_by": actor[:200],
            }
            if known is None:
                row: dict[str, Any] = {
                    "id": secrets.token_hex(8),
                    "project": project,
                    "name": rule.name,
                }
                row |= {"version": 1, "snoozed_until_ns": 0}
                connection.execute(insert(RULES).values(row | values))
                limits.check(connection, RULES, project, limits.MOST_RULES)
            else:
                close(connection, self._outbox, _kept(known), "the rule was changed")
                values["version"] = known.version + 1
                connection.execute(update(RULES).where(*where).values(values))
            kept = _kept(connection.execute(select(RULES).where(*where)).one())
            self._record(connection, kept, actor, "alert.rule", json.loads(definition))
        return shown(kept)

    def remove(self, project: str, rule_id: str, actor: str) -> dict[str, Any] | None:
        """Remove a rule; ``None`` when there is none. Its history stays."""
        with self._audit.change() as connection:
            kept = _find(connection, project, rule_id)
            if kept is None:
                return None
            close(connection, self._outbox, kept, "the rule was removed")
            connection.execute(delete(RULES).where(RULES.c.id == kept.id))
            self._record(connection, kept, actor, "alert.rule_remove", {"name": kept.rule.name})
        return shown(kept)

    def snooze(
        self, project: str, rule_id: str, key: str | None, until_ns: int, actor: str
    ) -> dict[str, Any] | None:
        """Tell nobody until then, about one group or (``None``) about all; a time that is over ends it.

        ``None`` when there is no such rule or group.
        """
        with self._audit.change() as connection:
            kept = _find(connection, project, rule_id)
            if kept is None:
                return None
            table, where = RULES, [RULES.c.id == kept.id]
            if key is not None:
                table, where = STATES, [STATES.c.rule_id == kept.id, STATES.c.group_key == key]
            done = connection.execute(
                update(table).where(*where).values(snoozed_until_ns=until_ns)
            ).rowcount
            if not done:
                return None
            detail = {"name": kept.rule.name, "group": key, "until_ns": until_ns}
            self._record(connection, kept, actor, "alert.snooze", detail)
            return shown(_find(connection, project, rule_id) or kept)

    def listed(self, project: str) -> list[dict[str, Any]]:
        """The rules of a project, by name."""
        query = select(RULES).where(RULES.c.project == project).order_by(RULES.c.name)
        with self._database.read() as connection:
            return [shown(_kept(row)) for row in connection.execute(query)]

    def get(self, project: str, rule_id: str) -> Kept | None:
        """One rule, by its id or its name."""
        with self._database.read() as connection:
            return _find(connection, project, rule_id)

    def _record(
        self, connection: Connection, kept: Kept, actor: str, action: str, detail: dict[str, Any]
    ) -> None:
        self._audit.record(
            connection,
            project=kept.project,
            actor=actor,
            action=action,
            subject=kept.id,
            detail=detail,
        )


def every(connection: Connection) -> list[Kept]:
    """The rules of all projects that are on."""
    found = [_kept(row) for row in connection.execute(select(RULES).order_by(RULES.c.id))]
    return [kept for kept in found if kept.rule.enabled]


def shown(kept: Kept) -> dict[str, Any]:
    """A rule as the API tells it."""
    beside = {
        "id": kept.id,
        "version": kept.version,
        "snoozed_until_ns": kept.snoozed_until_ns,
        "updated_ns": kept.updated_ns,
        "updated_by": kept.updated_by,
    }
    return beside | {"summary": kept.rule.summary()} | kept.rule.model_dump()


def _find(connection: Connection, project: str, rule_id: str) -> Kept | None:
    named = (RULES.c.id == rule_id) | (RULES.c.name == rule_id)
    row = connection.execute(select(RULES).where(RULES.c.project == project, named)).first()
    return _kept(row) if row is not None else None


def _kept(row: Any) -> Kept:
    beside = {name: getattr(row, name) for name in Kept.__slots__ if name != "rule"}
    return Kept(rule=Rule.model_validate_json(row.definition), **beside)
