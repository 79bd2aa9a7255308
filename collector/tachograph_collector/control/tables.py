"""The tables of the control database. A change here is a new migration in :mod:`migrations`, never an edit of an old one."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
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

# Requests for which the person that the run works for may be among those who approve.
OWN_APPROVAL = Table(
    "approvals_by_requester",
    METADATA,
    Column("approval_id", String(16), ForeignKey("approvals.id"), primary_key=True),
)

LINKS = Table(
    "approval_links",
    METADATA,
    Column("hash", String(64), primary_key=True),
    Column("pair", String(16), nullable=False),
    Column("project", String(64), nullable=False),
    Column("approval_id", String(16), ForeignKey("approvals.id"), nullable=False),
    Column("decision", String(16), nullable=False),
    Column("approver", String(200), nullable=False),
    Column("maker_key", String(200), nullable=False),
    Column("maker", String(200), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Column("used_ns", BigInteger),
    Index("approval_links_pair", "pair"),
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

DRIFT_PLACE = Table(
    "drift_place",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    # Counted up by every change of the drift tables: whoever holds older state must read it again.
    Column("generation", BigInteger, nullable=False),
    Column("cursor", Text, nullable=False),
    Column("fed", LargeBinary, nullable=False),
)

DRIFT_WATCHES = Table(
    "drift_watches",
    METADATA,
    Column("project", String(64), primary_key=True),
    Column("agent", String(200), primary_key=True),
    Column("baseline_version", Integer, nullable=False),
    Column("state", LargeBinary, nullable=False),
    # The state in short, so that a list of all agents need not open each one's.
    Column("standing", Text, nullable=False),
    Column("updated_ns", BigInteger, nullable=False),
)

DRIFT_BASELINES = Table(
    "drift_baselines",
    METADATA,
    Column("project", String(64), primary_key=True),
    Column("agent", String(200), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
    Column("frozen_ns", BigInteger, nullable=False),
)

DRIFT_ALARMS = Table(
    "drift_alarms",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("project", String(64), primary_key=True),
    Column("agent", String(200), nullable=False),
    Column("metric", String(64), nullable=False),
    Column("direction", String(8), nullable=False),
    Column("baseline_version", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("raised_ns", BigInteger, nullable=False),
    Column("last_ns", BigInteger, nullable=False),
    Column("times", Integer, nullable=False),
    Column("data", Text, nullable=False),
    Column("ended_ns", BigInteger),
    Column("ended_by", String(200)),
    Column("note", Text),
    Index("drift_alarms_open", "project", "state", "raised_ns"),
)

# Each new version of an agent against the one before it.
DRIFT_GUARDS = Table(
    "drift_guards",
    METADATA,
    Column("project", String(64), primary_key=True),
    Column("id", String(16), primary_key=True),
    Column("agent", String(200), nullable=False),
    Column("since_ns", BigInteger, nullable=False),
    Column("told", Text, nullable=False),
    # What is needed to go on; null when it is over.
    Column("state", LargeBinary),
    Column("updated_ns", BigInteger, nullable=False),
    Index("drift_guards_agent", "project", "agent", "since_ns"),
)

BUDGETS = Table(
    "budgets",
    METADATA,
    Column("project", String(64), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("definition", Text, nullable=False),
    Column("changed_ns", BigInteger, nullable=False),
    Column("changed_by", String(200), nullable=False),
    Column("removed_ns", BigInteger),
)

BUDGET_VERSIONS = Table(
    "budget_versions",
    METADATA,
    Column("project", String(64), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("definition", Text),
    Column("at_ns", BigInteger, nullable=False),
    Column("actor", String(200), nullable=False),
)

# What was given out of each budget, and what came of it: one row for each process, account and piece of time.
LEASES = Table(
    "budget_leases",
    METADATA,
    Column("project", String(64), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("budget", String(200), nullable=False),
    Column("account", String(200), nullable=False),
    Column("unit", String(16), nullable=False),
    Column("bucket_ns", BigInteger, nullable=False),
    Column("holder", String(200), nullable=False),
    Column("granted", Float(53), nullable=False),
    Column("used", Float(53), nullable=False),
    Column("taken_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Column("closed", Integer, nullable=False),
    Column("refused_ns", BigInteger),
    Index("budget_leases_account", "project", "budget", "account", "bucket_ns"),
    Index("budget_leases_age", "bucket_ns"),
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
    # The run that a fork made.
    Column("child_run_id", String(128)),
    Column("result", Text),
    Index("replays_of_run", "project", "run_id", "created_ns"),
    Index("replays_by_child", "project", "child_run_id"),
    Index("replays_waiting", "project", "status", "created_ns"),
)
