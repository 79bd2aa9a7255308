"""Bringing states up to what was measured: one transaction a round, so that a change, its event and its messages are one."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from tachograph_collector.alerts.machine import Change, State, step
from tachograph_collector.alerts.messages import alert_message
from tachograph_collector.alerts.mutes import Window
from tachograph_collector.alerts.outbox import Outbox
from tachograph_collector.control.database import now_ns
from tachograph_collector.control.tables_alerts import EVENTS, RULES, STATES
from tachograph_schemas.alerts import Measured

if TYPE_CHECKING:
    from tachograph_collector.alerts.book import Kept

_Noted = tuple[dict[str, Any], bool]
"""An event, and whether people are told of it."""
_STATE_COLUMNS = tuple(field.name for field in fields(State))
_KEY_CHARS = 200
_MOST_STATES = 1_000
"""Of one rule; a new group then waits until an old one is forgotten."""
_FORGET_AFTER_NS = 86_400 * 10**9
_WRITTEN_EVERY_NS = 30 * 10**9


@dataclass(frozen=True, slots=True)
class Round:
    """What one look at one rule found."""

    kept: Kept
    measured: Sequence[Measured]


def apply(
    connection: Connection,
    outbox: Outbox,
    found: Round,
    windows: Sequence[Window],
    at_ns: int,
) -> int:
    """Bring the states of one rule up to what was found; how many changes there were.

    To be called in a transaction that writes: writers come one by one, so that two collectors which find the same
    change make one event of it.
    """
    kept = found.kept
    current = connection.execute(
        select(RULES.c.version, RULES.c.snoozed_until_ns).where(RULES.c.id == kept.id)
    ).first()
    if current is None or current.version != kept.version:
        return 0  # it was changed or removed while we measured
    known = {
        row.group_key: row
        for row in connection.execute(select(STATES).where(STATES.c.rule_id == kept.id))
    }
    events: list[_Noted] = []
    rows: list[dict[str, Any]] = []
    figures = _figures(found, known)
    last = _last_numbers(connection, kept.id) if figures.keys() - known.keys() else {}
    for key, (value, samples) in figures.items():
        row = known.get(key)
        fresh = State(since_ns=at_ns, seq=last.get(key, 0))
        before = _state(row) if row is not None else fresh
        muted = _muted(kept, current.snoozed_until_ns, before, key, windows, at_ns)
        after, change = step(kept.rule, before, value, at_ns, muted)
        if change is not None:
            events.append(_event(kept, key, after.seq, change, value, muted, at_ns))
        if row is None or after != before or at_ns - row.measured_ns > _WRITTEN_EVERY_NS:
            figure = {"value": value, "samples": samples, "measured_ns": at_ns, "group_key": key}
            rows.append({name: getattr(after, name) for name in _STATE_COLUMNS} | figure)
    _note(connection, outbox, kept, events)
    _write(connection, kept.id, rows, known)
    _forget(connection, kept.id, at_ns)
    return len(events)


def _last_numbers(connection: Connection, rule_id: str) -> dict[str, int]:
    """The numbers of the last events: a state that was forgotten counts on from there."""
    query = (
        select(EVENTS.c.group_key, func.max(EVENTS.c.seq))
        .where(EVENTS.c.rule_id == rule_id)
        .group_by(EVENTS.c.group_key)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def close(connection: Connection, outbox: Outbox, kept: Kept, why: str) -> None:
    """End the states of a rule that is about to be another one, and tell those who were told that it fires."""
    at = now_ns()
    rows = connection.execute(select(STATES).where(STATES.c.rule_id == kept.id)).all()
    events = []
    for row in rows:
        if row.told != "ok":
            change = Change("closed", row.told, "ok", tells=True)
            events.append(_event(kept, row.group_key, row.seq + 1, change, None, "", at, why))
    _note(connection, outbox, kept, events)
    connection.execute(delete(STATES).where(STATES.c.rule_id == kept.id))


def _figures(found: Round, known: Mapping[str, Any]) -> dict[str, tuple[float | None, int]]:
    """A figure for every group: those that were measured, and those that are known or asked for and were not."""
    rule = found.kept.rule
    figures: dict[str, tuple[float | None, int]] = {
        _key(each.key): (each.value if each.samples >= rule.min_samples else None, each.samples)
        for each in found.measured
    }
    expected = rule.only.get(rule.group_by, ()) if rule.group_by else ("",)
    absent = 0.0 if rule.what.zero_when_absent else None
    wanted = {*known, *map(_key, expected)}
    for key in sorted(wanted):
        figures.setdefault(key, (absent, 0))
    # Names of groups are an agent's, hence anybody's: whoever makes new ones all the time fills no memory with them.
    room = max(_MOST_STATES - len(wanted), 0)
    for key in [key for key in figures if key not in wanted][room:]:
        del figures[key]
    return figures


def _key(text: str) -> str:
    return text.replace("\0", "\ufffd")[:_KEY_CHARS]


def _muted(
    kept: Kept, rule_until_ns: int, state: State, key: str, windows: Iterable[Window], at_ns: int
) -> str:
    if at_ns < max(rule_until_ns, state.snoozed_until_ns):
        return "snoozed"
    for window in windows:
        if window.mutes(kept.rule, key):
            return f"maintenance: {window.name}"[:200]
    return ""


def _event(
    kept: Kept,
    key: str,
    seq: int,
    change: Change,
    value: float | None,
    muted: str,
    at_ns: int,
    why: str = "",
) -> _Noted:
    sentence = kept.rule.sentence(key, change.to_level, value)
    event = {
        "id": secrets.token_hex(8),
        "project": kept.project,
        "rule_id": kept.id,
        "rule_name": kept.rule.name,
        "group_key": key,
        "seq": seq,
        "kind": change.kind,
        "from_level": change.from_level,
        "to_level": change.to_level,
        "value": value,
        "sentence": f"{kept.rule.subject(key)}: {why}" if why else sentence,
        "muted": "" if change.tells else muted or "it was muted before",
        "at_ns": at_ns,
    }
    return event, change.tells


def _note(connection: Connection, outbox: Outbox, kept: Kept, events: Sequence[_Noted]) -> None:
    """Write events, and their notifications unless they are muted."""
    if not events:
        return
    connection.execute(insert(EVENTS), [event for event, _ in events])
    url = outbox.dashboard_url()
    messages = [
        (alert_message(kept.rule, event, url), f"{kept.id} {_short(event['group_key'])}")
        for event, tells in events
        if tells
    ]
    outbox.put_all(connection, kept.project, kept.rule.targets, messages)


def _short(key: str) -> str:
    """A short name for a group, for the lane of its messages."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _write(
    connection: Connection, rule_id: str, rows: Iterable[dict[str, Any]], known: Mapping[str, Any]
) -> None:
    """All at once: thousands of groups may change in one look, and nobody else writes meanwhile."""
    new, changed = [], []
    for row in rows:
        if row["group_key"] in known:
            changed.append(row | {"of_group": row["group_key"]})
        else:
            new.append(row | {"rule_id": rule_id})
    if new:
        connection.execute(insert(STATES), new)
    if changed:
        where = (STATES.c.rule_id == rule_id, STATES.c.group_key == bindparam("of_group"))
        connection.execute(update(STATES).where(*where), changed)


def _forget(connection: Connection, rule_id: str, at_ns: int) -> None:
    """Groups that are well and have had nothing to measure for a day."""
    old = (STATES.c.level == "ok", STATES.c.told == "ok", STATES.c.samples == 0)
    idle = STATES.c.since_ns < at_ns - _FORGET_AFTER_NS
    connection.execute(
        delete(STATES).where(STATES.c.rule_id == rule_id, *old, idle, STATES.c.group_key != "")
    )


def _state(row: Any) -> State:
    return State(**{name: getattr(row, name) for name in _STATE_COLUMNS})
