"""The tables of the control database. A change here is a new migration in :mod:`migrations`, never an edit of an old one."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA = MetaData()

VERSIONS = Table(
    "control_versions",
    METADATA,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("applied_ns", BigInteger, nullable=False),
)

AUDIT = Table(
    "audit",
    METADATA,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("project", String(64), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("detail", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

KEYS = Table(
    "api_keys",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("hash", String(64), nullable=False),
    Column("name", String(200), nullable=False),
    Column("role", String(16), nullable=False),
    Column("project", String(64), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("revoked_ns", BigInteger),
)

APPROVALS = Table(
    "approvals",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("project", String(64), nullable=False),
    Column("idempotency_key", String(64), nullable=False),
    Column("run_id", String(128), nullable=False),
    Column("span_id", String(16), nullable=False),
    Column("agent", String(200), nullable=False),
    Column("action", Text, nullable=False),
    Column("params", Text),
    Column("params_hash", String(64), nullable=False),
    Column("context", Text),
    Column("reason", Text, nullable=False),
    Column("risk", String(16), nullable=False),
    Column("requester", String(200), nullable=False),
    Column("requester_key", String(200), nullable=False),
    Column("approvers_needed", Integer, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("escalated", Integer, nullable=False),
    Column("decided_ns", BigInteger),
    Column("edited_params", Text),
    UniqueConstraint("project", "idempotency_key"),
    # The inbox: what waits in a project, oldest first; and what has to expire.
    Index("approvals_inbox", "project", "status", "created_ns"),
    Index("approvals_expiry", "status", "expires_ns"),
)

DECISIONS = Table(
    "decisions",
    METADATA,
    Column("approval_id", String(16), ForeignKey("approvals.id"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("decision", String(16), nullable=False),
    Column("approver", String(200), nullable=False),
    Column("approver_key", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("edited_params", Text),
    Column("at_ns", BigInteger, nullable=False),
)

ORDERS = Table(
    "orders",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("project", String(64), nullable=False),
    Column("action", String(16), nullable=False),
    Column("scope", String(16), nullable=False),
    Column("target", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("ended_ns", BigInteger),
    Column("ended_by", String(200)),
    Index("orders_in_force", "project", "ended_ns"),
)

REPLAYS = Table(
    "replays",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("project", String(64), nullable=False),
    Column("run_id", String(128), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("options", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("worker", String(200)),
    Column("taken_ns", BigInteger),
    Column("ended_ns", BigInteger),
    # The run that a fork or a resumption made.
    Column("child_run_id", String(128)),
    Column("result", Text),
    Index("replays_of_run", "project", "run_id", "created_ns"),
    Index("replays_by_child", "project", "child_run_id"),
    Index("replays_waiting", "project", "status", "created_ns"),
)
