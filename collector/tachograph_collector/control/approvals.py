"""Requests for approval and what people said: first decision wins, exactly once, and only for what was shown.

A request never changes. A decision names the hash of the arguments it is about, so that nobody approves something
other than what they saw. Time that runs out is a refusal.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database, now_ns
from tachograph_collector.control.tables import APPROVALS, DECISIONS

Status = Literal["pending", "approved", "refused", "expired"]
Word = Literal["allow", "deny", "escalate"]
_ID_BYTES = 8
_WITHOUT_PAYLOAD = [column for column in APPROVALS.c if column.name not in {"params", "context"}]


class ConflictError(Exception):
    """It is decided already, or the decision is about something else. The message says which."""


class NotAllowedError(Exception):
    """This person may not decide on this request."""


@dataclass(frozen=True, slots=True)
class Request:
    """What an agent wants to do, as it asked."""

    idempotency_key: str
    run_id: str
    span_id: str
    agent: str
    action: str
    params: str | None
    """The arguments as JSON, redacted; ``None`` when they are not recorded."""
    context: str | None
    reason: str
    risk: str
    requester: str
    """On whose behalf, when the agent knows."""
    approvers_needed: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Said:
    """One person's decision."""

    decision: Word
    approver: str
    approver_key: str
    params_hash: str
    reason: str = ""
    edited_params: str | None = None


def params_hash(params: str | None) -> str:
    """The SHA-256 of arguments as they are shown."""
    return hashlib.sha256((params or "").encode("utf-8", "surrogatepass")).hexdigest()


class Approvals:
    """The inbox. Methods block on the database."""

    def __init__(self, database: Database, audit: Audit, changed: Callable[[str], None]) -> None:
        """``changed`` is called with the id of every request whose state has changed, on any thread."""
        self._database = database
        self._audit = audit
        self._changed = changed

    def ask(self, request: Request, project: str, key: str, actor: str) -> dict[str, Any]:
        """Put a request into the inbox; the one that is there already when it was asked before."""
        at = now_ns()
        values = {
            "id": secrets.token_hex(_ID_BYTES),
            "project": project,
            "requester_key": key,
            "params_hash": params_hash(request.params),
            "created_ns": at,
            "expires_ns": at + int(request.timeout_s * 1e9),
            "status": "pending",
            "escalated": 0,
        } | {name: getattr(request, name) for name in Request.__slots__ if name != "timeout_s"}
        with self._audit.change() as connection:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            added = connection.execute(
                dialect.insert(APPROVALS).values(values).on_conflict_do_nothing()
            ).rowcount
            if added:
                self._audit.record(
                    connection,
                    project=project,
                    actor=actor,
                    action="approval.ask",
                    subject=str(values["id"]),
                    detail={"run_id": request.run_id, "params_hash": values["params_hash"]},
                )
            where = (
                APPROVALS.c.project == project,
                APPROVALS.c.idempotency_key == request.idempotency_key,
            )
            row = connection.execute(select(APPROVALS).where(*where)).one()
            return _whole(row, _decisions(connection, row.id))

    def get(
        self, approval_id: str, project: str, *, asked_by: str | None = None
    ) -> dict[str, Any] | None:
        """One request with what was said about it; with ``asked_by``, only if that key asked for it."""
        self.expire()
        with self._database.read() as connection:
            row = _find(connection, approval_id, project)
            if row is None or asked_by not in {None, row.requester_key}:
                return None
            return _whole(row, _decisions(connection, row.id))

    def listed(
        self, project: str, statuses: Sequence[Status], limit: int, offset: int = 0
    ) -> tuple[list[dict[str, Any]], int]:
        """Requests without their payloads, and how many there are: waiting ones the oldest first, others the newest."""
        self.expire()
        where = (APPROVALS.c.project == project, APPROVALS.c.status.in_(statuses))
        waiting = list(statuses) == ["pending"]
        order = APPROVALS.c.created_ns if waiting else APPROVALS.c.created_ns.desc()
        query = select(*_WITHOUT_PAYLOAD).where(*where).order_by(order).limit(limit).offset(offset)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
            total = connection.execute(select(func.count()).select_from(APPROVALS).where(*where))
            return [_shown(row) for row in rows], total.scalar_one()

    def decide(
        self, approval_id: str, project: str, said: Said, actor: str
    ) -> dict[str, Any] | None:
        """Note a decision; the request as it stands then, ``None`` when there is none.

        Raises:
            ConflictError: it is decided, has expired, or was about other arguments.
            NotAllowedError: the requester, or somebody who has decided before.
        """
        self.expire()
        with self._audit.change() as connection:
            row = _find(connection, approval_id, project)
            if row is None:
                return None
            earlier = _decisions(connection, row.id)
            _refuse(row, earlier, said)
            at = now_ns()
            connection.execute(
                insert(DECISIONS).values(
                    approval_id=row.id,
                    seq=len(earlier) + 1,
                    decision=said.decision,
                    approver=said.approver,
                    approver_key=said.approver_key,
                    reason=said.reason,
                    edited_params=said.edited_params,
                    at_ns=at,
                )
            )
            connection.execute(
                update(APPROVALS)
                .where(APPROVALS.c.id == row.id, APPROVALS.c.status == "pending")
                .values(_effect(row, earlier, said, at))
            )
            self._audit.record(
                connection,
                project=project,
                actor=actor,
                action=f"approval.{said.decision}",
                subject=row.id,
                detail={
                    "params_hash": row.params_hash,
                    "edited_hash": params_hash(said.edited_params) if said.edited_params else "",
                    "reason": said.reason,
                },
            )
            decided = _find(connection, row.id, project)
            found = _whole(decided, _decisions(connection, row.id))
        self._changed(row.id)
        return found

    def expire(self) -> None:
        """Turn what nobody decided in time into refusals. Cheap when there is nothing to do."""
        due = (APPROVALS.c.status == "pending", APPROVALS.c.expires_ns <= now_ns())
        with self._database.read() as connection:
            if connection.execute(select(APPROVALS.c.id).where(*due).limit(1)).first() is None:
                return
        with self._audit.change() as connection:
            rows = connection.execute(select(APPROVALS.c.id, APPROVALS.c.project).where(*due)).all()
            for row in rows:
                # The deadline, not the moment somebody looked.
                values = {"status": "expired", "decided_ns": APPROVALS.c.expires_ns}
                connection.execute(update(APPROVALS).where(APPROVALS.c.id == row.id).values(values))
                self._audit.record(
                    connection,
                    project=row.project,
                    actor="clock",
                    action="approval.expire",
                    subject=row.id,
                )
        for row in rows:
            self._changed(row.id)


def _refuse(row: Row[Any], earlier: list[dict[str, Any]], said: Said) -> None:
    if row.status != "pending":
        raise ConflictError(f"It is {row.status} already.")
    if said.params_hash != row.params_hash:
        raise ConflictError("The decision is about other arguments than those of the request.")
    if said.edited_params is not None and row.approvers_needed > 1:
        raise ConflictError("What several people approve must be what each of them saw: no edits.")
    if said.approver_key and said.approver_key == row.requester_key:
        raise NotAllowedError("The key that asked may not decide.")
    name = said.approver.casefold()
    if row.requester and name == row.requester.casefold():
        raise NotAllowedError("Whoever asked may not decide.")
    again = {each["approver"].casefold() for each in earlier if each["decision"] == "allow"}
    if said.decision == "allow" and name in again:
        raise ConflictError(f"{said.approver} has approved already; another person is needed.")


def _effect(row: Row[Any], earlier: list[dict[str, Any]], said: Said, at: int) -> dict[str, Any]:
    """What a decision does to its request."""
    if said.decision == "escalate":
        return {"escalated": 1}
    if said.decision == "deny":
        return {"status": "refused", "decided_ns": at}
    approvals = 1 + sum(each["decision"] == "allow" for each in earlier)
    if approvals < row.approvers_needed:
        return {"status": "pending"}
    return {"status": "approved", "decided_ns": at, "edited_params": said.edited_params}


def _find(connection: Connection, approval_id: str, project: str) -> Row[Any] | None:
    where = (APPROVALS.c.id == approval_id, APPROVALS.c.project == project)
    return connection.execute(select(APPROVALS).where(*where)).first()


def _decisions(connection: Connection, approval_id: str) -> list[dict[str, Any]]:
    query = (
        select(DECISIONS).where(DECISIONS.c.approval_id == approval_id).order_by(DECISIONS.c.seq)
    )
    hidden = {"approval_id", "seq", "approver_key"}
    return [
        {name: value for name, value in row._mapping.items() if name not in hidden}
        for row in connection.execute(query)
    ]


def _shown(row: Row[Any]) -> dict[str, Any]:
    hidden = {"idempotency_key", "requester_key"}
    found = {name: value for name, value in row._mapping.items() if name not in hidden}
    return found | {"escalated": bool(found["escalated"])}


def _whole(row: Row[Any] | None, decisions: list[dict[str, Any]]) -> dict[str, Any]:
    assert row is not None
    return _shown(row) | {"decisions": decisions}
