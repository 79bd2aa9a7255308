"""Requests for approval and what people said: first decision wins, exactly once, and only for what was shown.

A request never changes. A decision names the hash of the arguments it is about, so that nobody approves something
other than what they saw. Time that runs out is a refusal.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, insert, select, update

from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database, now_ns
from tachograph_collector.control.tables import APPROVALS, DECISIONS, OWN_APPROVAL

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
    requester_may_approve: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """One person's decision."""

    decision: Word
    approver: str
    approver_key: str
    """What vouches for the name: a key's id, ``link:PAIR:KEY`` for a link that this key made, or nothing."""
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
        } | {name: getattr(request, name) for name in Request.__slots__ if name in APPROVALS.c}
        with self._audit.change() as connection:
            # Only the one in use is loaded: PostgreSQL's brings modules for each of its drivers along.
            dialect = import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
            added = connection.execute(
                dialect.insert(APPROVALS).values(values).on_conflict_do_nothing()
            ).rowcount
            if added and request.requester_may_approve:
                connection.execute(insert(OWN_APPROVAL).values(approval_id=values["id"]))
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
            return _whole(connection, row)

    def get(
        self, approval_id: str, project: str, *, asked_by: str | None = None
    ) -> dict[str, Any] | None:
        """One request with what was said about it; with ``asked_by``, only if that key asked for it."""
        self.expire()
        with self._database.read() as connection:
            row = _find(connection, approval_id, project)
            if row is None or asked_by not in {None, row.requester_key}:
                return None
            return _whole(connection, row)

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
        self,
        approval_id: str,
        project: str,
        said: Said,
        actor: str,
        also: Callable[[Connection], None] = lambda _: None,
    ) -> dict[str, Any] | None:
        """Note a decision; the request as it stands then, ``None`` when there is none.

        ``also`` runs first in the same transaction; what it raises undoes everything.

        Raises:
            ConflictError: it is decided, has expired, or was about other arguments.
            NotAllowedError: the requester, or somebody who has decided before.
        """
        self.expire()
        with self._audit.change() as connection:
            also(connection)
            row = _find(connection, approval_id, project)
            if row is None:
                return None
            self._note(connection, row, said, actor)
            found = _whole(connection, _find(connection, row.id, project))
        self._changed(row.id)
        return found

    def open_to(
        self,
        connection: Connection,
        approval_id: str,
        project: str,
        approver: str,
        approver_key: str,
    ) -> Row[Any] | None:
        """The request if this person may approve it as it stands; ``None`` when there is none.

        Raises:
            ConflictError: it is decided, or this person has approved.
            NotAllowedError: this person may not.
        """
        row = _find(connection, approval_id, project)
        if row is not None:
            said = Said("allow", approver, approver_key, row.params_hash)
            earlier = _decisions(connection, row.id)
            _refuse(row, earlier, said, may_be_requester=_is_own(connection, row.id))
        return row

    def _note(self, connection: Connection, row: Row[Any], said: Said, actor: str) -> None:
        earlier = _decisions(connection, row.id)
        _refuse(row, earlier, said, may_be_requester=_is_own(connection, row.id))
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
            project=row.project,
            actor=actor,
            action=f"approval.{said.decision}",
            subject=row.id,
            detail={
                "params_hash": row.params_hash,
                "edited_hash": params_hash(said.edited_params) if said.edited_params else "",
                "reason": said.reason,
                "approver": said.approver,
                "vouched": _vouched(said.approver_key),
            },
        )

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


def _refuse(
    row: Row[Any], earlier: list[dict[str, Any]], said: Said, *, may_be_requester: bool
) -> None:
    """See whether somebody may say this.

    Raises:
        ConflictError: it is decided, or about something else.
        NotAllowedError: somebody else has to say it.
    """
    if row.status != "pending":
        raise ConflictError(f"It is {row.status} already.")
    if row.expires_ns <= now_ns():
        # Its time ran out while the decision waited for its turn to be written; the agent has gone on without.
        raise ConflictError("It is expired already.")
    if said.params_hash != row.params_hash:
        raise ConflictError("The decision is about other arguments than those of the request.")
    if said.edited_params is not None and row.approvers_needed > 1:
        raise ConflictError("What several people approve must be what each of them saw: no edits.")
    key, name = _vouching_key(said.approver_key), said.approver.casefold()
    if key and key == row.requester_key:
        raise NotAllowedError("The key that asked may not decide.")
    if row.requester and name == row.requester.casefold() and not may_be_requester:
        raise NotAllowedError("Whoever asked may not decide.")
    if said.decision != "allow":
        return
    for each in earlier:
        is_same = name == each["approver"].casefold() or (
            key and key == _vouching_key(each["approver_key"])
        )
        if is_same and each["decision"] == "allow":
            raise ConflictError(f"{said.approver} has approved already; another person is needed.")
        if is_same and each["decision"] == "escalate":
            raise NotAllowedError(f"{said.approver} has passed it on; somebody else decides.")


def _vouching_key(approver_key: str) -> str:
    """The key that answers for a decision, made with it or by a link of its making; empty: none."""
    return approver_key.rpartition(":")[2]


def _vouched(approver_key: str) -> str:
    """What vouches for the name in a decision: ``key link self-declared``."""
    if approver_key.startswith("link:"):
        return "link"
    return "key" if approver_key else "self-declared"


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


def _is_own(connection: Connection, approval_id: str) -> bool:
    where = OWN_APPROVAL.c.approval_id == approval_id
    return connection.execute(select(OWN_APPROVAL).where(where)).first() is not None


def _decisions(connection: Connection, approval_id: str) -> list[dict[str, Any]]:
    query = (
        select(DECISIONS).where(DECISIONS.c.approval_id == approval_id).order_by(DECISIONS.c.seq)
    )
    return [dict(row._mapping) for row in connection.execute(query)]


def _said(row: dict[str, Any]) -> dict[str, Any]:
    hidden = {"approval_id", "seq", "approver_key"}
    shown = {name: value for name, value in row.items() if name not in hidden}
    return shown | {"vouched": _vouched(row["approver_key"])}


def _shown(row: Row[Any]) -> dict[str, Any]:
    hidden = {"idempotency_key", "requester_key"}
    found = {name: value for name, value in row._mapping.items() if name not in hidden}
    return found | {"escalated": bool(found["escalated"])}


def _whole(connection: Connection, row: Row[Any] | None) -> dict[str, Any]:
    assert row is not None
    return _shown(row) | {
        "requester_may_approve": _is_own(connection, row.id),
        "decisions": [_said(each) for each in _decisions(connection, row.id)],
    }
