"""Budgets as people set them: the latest version is in force, every version is kept, every change is in the audit log."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, insert, select, update

from tachograph_collector.control import limits, meanwhile
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database, now_ns
from tachograph_collector.control.tables import BUDGET_VERSIONS, BUDGETS, LEASES
from tachograph_schemas.budgets import Rule, rule_from


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a budget."""

    version: int
    rule: Rule | None
    """None: the budget was removed."""
    at_ns: int
    actor: str


class Budgets:
    """The budgets of every project. Methods block on the database."""

    def __init__(self, database: Database, audit: Audit, changed: Callable[[str], None]) -> None:
        """``changed`` is called with the project whose budgets have changed, on any thread."""
        self._database = database
        self._audit = audit
        self._changed = changed

    def in_force(self, project: str) -> list[Rule]:
        """What holds now, by name."""
        with self._database.read() as connection:
            return rules_in_force(connection, project)

    def set(
        self,
        project: str,
        rules: Sequence[Rule],
        actor: str,
        *,
        prune: bool,
        seen: Mapping[str, int | None] | None = None,
    ) -> list[Rule]:
        """Put rules in force, all or none; with ``prune``, they alone. Those that change nothing keep their version.

        Raises:
            ChangedError: another version is in force than the one of that name in ``seen``.
        """
        changed = False
        with self._audit.change() as connection:
            for rule in rules:
                changed |= self._set(connection, project, rule, actor, (seen or {}).get(rule.name))
            if prune:
                named = {rule.name for rule in rules}
                for rule in rules_in_force(connection, project):
                    if rule.name not in named:
                        self._remove(connection, project, rule, actor)
                        changed = True
            in_force = BUDGETS.c.removed_ns.is_(None)
            limits.check(connection, BUDGETS, project, limits.MOST_BUDGETS, in_force)
            found = rules_in_force(connection, project)
        if changed:
            self._changed(project)
        return found

    def remove(self, project: str, name: str, actor: str) -> bool:
        """Take a rule out of force; False when there is none."""
        with self._audit.change() as connection:
            found = [r for r in rules_in_force(connection, project) if r.name == name]
            for rule in found:
                self._remove(connection, project, rule, actor)
        if found:
            self._changed(project)
        return bool(found)

    def versions(self, project: str, name: str) -> list[Version]:
        """Every version of a budget, the newest first."""
        query = (
            select(BUDGET_VERSIONS)
            .where(BUDGET_VERSIONS.c.project == project, BUDGET_VERSIONS.c.name == name)
            .order_by(BUDGET_VERSIONS.c.version.desc())
        )
        with self._database.read() as connection:
            return [
                Version(
                    row.version,
                    rule_from(json.loads(row.definition)) if row.definition else None,
                    row.at_ns,
                    row.actor,
                )
                for row in connection.execute(query)
            ]

    def _set(
        self, connection: Connection, project: str, rule: Rule, actor: str, seen: int | None
    ) -> bool:
        where = (BUDGETS.c.project == project, BUDGETS.c.name == rule.name)
        row = connection.execute(select(BUDGETS).where(*where)).first()
        before = rule_from(json.loads(row.definition)) if row else None
        version = row.version + 1 if row else 1
        if row and before and not row.removed_ns and replace(rule, version=row.version) == before:
            return False
        in_force = row.version if row and not row.removed_ns else 0
        by, at_ns = (row.changed_by, row.changed_ns) if row else ("", 0)
        meanwhile.check(f"The budget {rule.name}", seen, in_force, by, at_ns)
        rule = replace(rule, version=version)
        values = self._note(connection, project, rule.name, version, rule, actor)
        values |= {"removed_ns": None}
        # What was refused under the version before says nothing about this one.
        connection.execute(
            update(LEASES)
            .where(LEASES.c.project == project, LEASES.c.budget == rule.name)
            .values(refused_ns=None)
        )
        if row:
            connection.execute(update(BUDGETS).where(*where).values(values))
        else:
            connection.execute(insert(BUDGETS).values(project=project, name=rule.name, **values))
        return True

    def _remove(self, connection: Connection, project: str, rule: Rule, actor: str) -> None:
        values = self._note(connection, project, rule.name, rule.version + 1, None, actor)
        # The last definition stays readable.
        del values["definition"]
        where = (BUDGETS.c.project == project, BUDGETS.c.name == rule.name)
        connection.execute(
            update(BUDGETS).where(*where).values(values | {"removed_ns": values["changed_ns"]})
        )

    def _note(
        self,
        connection: Connection,
        project: str,
        name: str,
        version: int,
        rule: Rule | None,
        actor: str,
    ) -> dict[str, Any]:
        """Keep a version and its entry in the audit log; the columns that both kinds of change share."""
        at_ns, by = now_ns(), actor[:200]
        definition = json.dumps(rule.as_dict()) if rule else None
        connection.execute(
            insert(BUDGET_VERSIONS).values(
                project=project,
                name=name,
                version=version,
                definition=definition,
                at_ns=at_ns,
                actor=by,
            )
        )
        self._audit.record(
            connection,
            project=project,
            actor=actor,
            action="budget.set" if rule else "budget.remove",
            subject=name,
            detail=rule.as_dict() if rule else {"version": version},
        )
        return {
            "version": version,
            "definition": definition,
            "changed_ns": at_ns,
            "changed_by": by,
        }


def rules_in_force(connection: Connection, project: str) -> list[Rule]:
    """What holds in a project, by name."""
    query = (
        select(BUDGETS.c.definition)
        .where(BUDGETS.c.project == project, BUDGETS.c.removed_ns.is_(None))
        .order_by(BUDGETS.c.name)
    )
    return [rule_from(json.loads(text)) for text in connection.execute(query).scalars()]
