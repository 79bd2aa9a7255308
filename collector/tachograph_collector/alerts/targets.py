"""Where notifications go: webhooks of our own, and everything that Apprise knows by URL.

URL and signing secret are stored, because they are needed, and never told again: not by the API, not in the log.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from sqlalchemy import Connection, delete, insert, select, update

from tachograph_collector.alerts import webhook
from tachograph_collector.alerts.rules import Rule
from tachograph_collector.control import limits
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database, now_ns
from tachograph_collector.control.tables_alerts import RULES, TARGETS

Kind = Literal["webhook", "apprise"]
_SCHEME = re.compile(r"([a-z0-9]{2,20})://\S+", re.IGNORECASE)
# These run programs or write on the collector's own machine.
_LOCAL = frozenset(
    {"dbus", "gio", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows", "blink"}
)


@dataclass(frozen=True, slots=True)
class Target:
    """A target, whole: for whoever sends, never for an answer."""

    id: str
    project: str
    name: str
    kind: Kind
    url: str
    secret: str


def kind_of(url: str) -> Kind:
    """What sends to this URL.

    Raises:
        ValueError: nothing does, or nothing may.
    """
    match = _SCHEME.fullmatch(url)
    if match is None or not url.isprintable():
        raise ValueError("a target is a URL: https://..., mailto://..., slack://... (see Apprise)")
    scheme = match[1].lower()
    if scheme in {"http", "https"}:
        webhook.check(url)
        return "webhook"
    if scheme in _LOCAL:
        raise ValueError(f"{scheme}:// is of this machine alone, which is nobody's screen")
    return "apprise"


def masked(target: Target) -> str:
    """What of a URL may be shown: the service, and for a webhook the host."""
    parts = urlsplit(target.url)
    if target.kind == "webhook":
        return f"{parts.scheme}://{parts.hostname}/…"
    return f"{parts.scheme}://…"


class Targets:
    """The targets of every project. Methods block on the database."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit

    def put(self, project: str, name: str, url: str, actor: str) -> tuple[dict[str, Any], str]:
        """Make a target, or give one of that name another URL; and the secret of a new webhook, told once.

        Raises:
            ValueError: the URL cannot be used.
        """
        kind = kind_of(url)
        where = (TARGETS.c.project == project, TARGETS.c.name == name)
        with self._audit.change() as connection:
            known = connection.execute(select(TARGETS).where(*where)).first()
            told = ""
            if known is None or known.kind != kind:
                told = webhook.new_secret() if kind == "webhook" else ""
            if known is not None:
                values = {"url": url, "kind": kind} | (
                    {"secret": told} if known.kind != kind else {}
                )
                connection.execute(update(TARGETS).where(*where).values(values))
            else:
                row: dict[str, Any] = {
                    "id": secrets.token_hex(8),
                    "project": project,
                    "name": name,
                    "kind": kind,
                }
                row |= {"url": url, "secret": told, "created_ns": now_ns()}
                connection.execute(insert(TARGETS).values(row))
                limits.check(connection, TARGETS, project, limits.MOST_TARGETS)
            target = _target(connection.execute(select(TARGETS).where(*where)).one())
            self._audit.record(
                connection,
                project=project,
                actor=actor,
                action="alert.target",
                subject=target.id,
                detail={"name": name, "url": masked(target)},
            )
        return shown(target), told

    def remove(self, project: str, name: str, actor: str) -> dict[str, Any] | None:
        """Remove one, from the rules too; ``None`` when there is none. What waits for it is given up."""
        where = (TARGETS.c.project == project, TARGETS.c.name == name)
        with self._audit.change() as connection:
            row = connection.execute(select(TARGETS).where(*where)).first()
            if row is None:
                return None
            connection.execute(delete(TARGETS).where(*where))
            _leave_rules(connection, project, name)
            self._audit.record(
                connection,
                project=project,
                actor=actor,
                action="alert.target_remove",
                subject=row.id,
                detail={"name": name},
            )
        return shown(_target(row))

    def listed(self, project: str) -> list[dict[str, Any]]:
        """The targets of a project, without what is secret."""
        query = select(TARGETS).where(TARGETS.c.project == project).order_by(TARGETS.c.name)
        with self._database.read() as connection:
            return [shown(_target(row)) for row in connection.execute(query)]

    def whole(self, target_id: str) -> Target | None:
        """One target with its secrets."""
        with self._database.read() as connection:
            row = connection.execute(select(TARGETS).where(TARGETS.c.id == target_id)).first()
        return _target(row) if row is not None else None


def _leave_rules(connection: Connection, project: str, name: str) -> None:
    """Take a target out of the rules that tell it. What fires goes on: it is no other rule than before."""
    for row in connection.execute(select(RULES).where(RULES.c.project == project)).all():
        rule = Rule.model_validate_json(row.definition)
        if name in rule.targets:
            left = [each for each in rule.targets if each != name]
            definition = rule.model_copy(update={"targets": left}).model_dump_json()
            connection.execute(
                update(RULES).where(RULES.c.id == row.id).values(definition=definition)
            )


def shown(target: Target) -> dict[str, Any]:
    """A target as everybody may see it."""
    return {"name": target.name, "kind": target.kind, "url": masked(target)}


def _target(row: Any) -> Target:
    return Target(**{name: getattr(row, name) for name in Target.__slots__})
