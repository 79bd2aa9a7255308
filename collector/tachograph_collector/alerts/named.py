"""Rows of a project that go by a name: replaced and removed as one, each change in the audit log."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, delete, insert, select

from tachograph_collector.control import limits
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database


class NamedRows:
    """Rows of ``table``, which has an id, a project and a name. Methods block on the database."""

    table: Table
    most: int
    """How many of them a project may have."""
    lists: str
    """The column that holds a list as JSON."""
    action: str
    """What the audit log calls making one; removing one adds ``_remove``."""
    order: str = "name"
    """The column they are listed by."""
    hidden: frozenset[str] = frozenset({"id", "project"})
    """Columns that are not shown."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit

    def replace(
        self, project: str, values: Mapping[str, Any], kept: Mapping[str, Any], actor: str
    ) -> dict[str, Any]:
        """Make one of ``values``, in place of the one of that name; ``kept`` is what else its row holds.

        Raises:
            TooManyError: the project has as many as it may.
        """
        row = {**values, **kept, "id": secrets.token_hex(8), "project": project}
        row[self.lists] = json.dumps(values[self.lists])
        with self._audit.change() as connection:
            connection.execute(delete(self.table).where(*self._where(project, values["name"])))
            connection.execute(insert(self.table).values(row))
            limits.check(connection, self.table, project, self.most)
            self._audit.record(
                connection,
                project=project,
                actor=actor,
                action=self.action,
                subject=row["id"],
                detail=values,
            )
        return {
            name: value for name, value in {**values, **kept}.items() if name not in self.hidden
        }

    def remove(self, project: str, name: str, actor: str) -> dict[str, Any] | None:
        """Remove one; ``None`` when there is none."""
        with self._audit.change() as connection:
            row = self._find(connection, project, name)
            if row is None:
                return None
            connection.execute(delete(self.table).where(self.table.c.id == row.id))
            self._audit.record(
                connection,
                project=project,
                actor=actor,
                action=f"{self.action}_remove",
                subject=row.id,
                detail={"name": name},
            )
        return self._shown(row)

    def listed(self, project: str) -> list[dict[str, Any]]:
        """Those of a project, in their order."""
        query = select(self.table).where(self.table.c.project == project)
        with self._database.read() as connection:
            found = connection.execute(query.order_by(self.table.c[self.order]))
            return [self._shown(row) for row in found]

    def _shown(self, row: Any) -> dict[str, Any]:
        found = {name: value for name, value in row._mapping.items() if name not in self.hidden}
        return found | {self.lists: json.loads(found[self.lists])}

    def _find(self, connection: Connection, project: str, name: str) -> Row[Any] | None:
        return connection.execute(select(self.table).where(*self._where(project, name))).first()

    def _where(self, project: str, name: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        return self.table.c.project == project, self.table.c.name == name
