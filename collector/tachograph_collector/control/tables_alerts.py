"""The tables of alerts in the control database. A change here is a new migration, as in :mod:`tables`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from tachograph_collector.control.tables import METADATA


def _named(table: str, *columns: Column[Any]) -> Table:
    """A table of what goes by a name within its project."""
    return Table(
        table,
        METADATA,
        Column("id", String(16), primary_key=True),
        Column("project", String(64), nullable=False),
        Column("name", String(200), nullable=False),
        *columns,
        UniqueConstraint("project", "name"),
    )


TARGETS = _named(
    "alert_targets",
    Column("kind", String(16), nullable=False),
    # Both are secrets: no answer of the API holds them.
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
)

RULES = _named(
    "alert_rules",
    Column("definition", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("snoozed_until_ns", BigInteger, nullable=False),
    Column("updated_ns", BigInteger, nullable=False),
    Column("updated_by", String(200), nullable=False),
)

STATES = Table(
    "alert_states",
    METADATA,
    Column("rule_id", String(16), ForeignKey("alert_rules.id"), primary_key=True),
    Column("group_key", String(200), primary_key=True),
    Column("level", String(16), nullable=False),
    Column("since_ns", BigInteger, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("breach_ns", BigInteger),
    Column("critical_ns", BigInteger),
    Column("clear_ns", BigInteger),
    Column("missing_ns", BigInteger),
    Column("told", String(16), nullable=False),
    Column("told_ns", BigInteger, nullable=False),
    Column("acked", Integer, nullable=False),
    Column("snoozed_until_ns", BigInteger, nullable=False),
    Column("value", Float),
    Column("samples", Integer, nullable=False),
    Column("measured_ns", BigInteger, nullable=False),
)

EVENTS = Table(
    "alert_events",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("project", String(64), nullable=False),
    Column("rule_id", String(16), nullable=False),
    Column("rule_name", String(200), nullable=False),
    Column("group_key", String(200), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("from_level", String(16), nullable=False),
    Column("to_level", String(16), nullable=False),
    Column("value", Float),
    Column("sentence", Text, nullable=False),
    Column("muted", String(200), nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("acked_ns", BigInteger),
    Column("acked_by", String(200)),
    Column("ack_note", Text),
    # One event a change of state, whoever notices it.
    UniqueConstraint("rule_id", "group_key", "seq"),
    Index("alert_events_history", "project", "at_ns"),
)

OUTBOX = Table(
    "alert_outbox",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("project", String(64), nullable=False),
    Column("message_id", String(40), nullable=False),
    Column("target_id", String(16), nullable=False),
    Column("target_name", String(200), nullable=False),
    Column("lane", String(64), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("message", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_ns", BigInteger, nullable=False),
    Column("holder", String(64), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("finished_ns", BigInteger),
    Column("said", Text, nullable=False),
    # One notification a message and target.
    UniqueConstraint("message_id", "target_id"),
    Index("alert_outbox_due", "status", "due_ns"),
    Index("alert_outbox_lane", "lane", "status", "seq"),
    Index("alert_outbox_log", "project", "created_ns"),
)

WINDOWS = _named(
    "alert_windows",
    Column("starts_ns", BigInteger, nullable=False),
    Column("ends_ns", BigInteger, nullable=False),
    Column("every", String(16), nullable=False),
    Column("agents", Text, nullable=False),
    Column("created_by", String(200), nullable=False),
)

DIGESTS = _named(
    "alert_digests",
    Column("every", String(16), nullable=False),
    Column("minute", Integer, nullable=False),
    Column("weekday", Integer, nullable=False),
    Column("targets", Text, nullable=False),
    Column("sent_until_ns", BigInteger, nullable=False),
)

LEASES = Table(
    "alert_leases",
    METADATA,
    Column("name", String(40), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("until_ns", BigInteger, nullable=False),
)

ALERT_TABLES = [TARGETS, RULES, STATES, EVENTS, OUTBOX, WINDOWS, DIGESTS, LEASES]
