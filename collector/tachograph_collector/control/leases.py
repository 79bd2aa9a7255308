"""Shares of budgets, given out before they are spent, so that many processes cannot overspend together.

An account is one budget's for one agent, customer ... in one window. What a lease was granted counts as spent until its
holder says what was really used, with its last word or on renewal; a holder that falls silent has used all of it. So the
sum of what holders may spend never passes the limit, and a crash makes a budget smaller for the rest of its window, not larger.
Every request says where its lease is to stand, not by how much it moves: it can be sent twice.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, case, delete, func, insert, select, update

from tachograph_collector.control.budgets import rules_in_force
from tachograph_collector.control.database import Database, now_ns
from tachograph_collector.control.tables import LEASES
from tachograph_schemas.budgets import Rule, Window, window_at
from tachograph_schemas.control import LEASE_S

_NS = 1_000_000_000
_SHARES = 16
"""Of what is left, at most one of so many parts is given out at a time ..."""
_CALLS_AHEAD = 20
"""... and no more than so many times what is needed now: a crash loses what its process held."""
_SLACK = 1e-9
"""So much over the limit is the limit: sums of fractions are never exact."""
_KEPT_NS = 400 * 86_400 * _NS
_CLEAN_EVERY = 1_000
_FOLDED_AFTER_NS = 86_400 * _NS
_FOLDED_AT_ONCE = 5_000
_FOLDED = "(many)"
_SAME = ("project", "budget", "account", "unit", "bucket_ns")
_IDS_AT_ONCE = 500
_HOUR_NS = 3_600 * _NS
_MOST_ACCOUNTS = 200


@dataclass(frozen=True, slots=True)
class Ask:
    """Where a holder wants its lease to stand."""

    lease: str
    budget: str
    account: str
    used: float
    """All that was used under this lease so far."""
    need: float
    """What the holder must have beyond ``used`` for the call it is about to make; 0: what it has is enough."""
    done: bool
    """It will not be used any more."""


@dataclass(frozen=True, slots=True)
class Given:
    """Where the lease stands."""

    lease: str
    granted: float
    """In all; 0 when the budget is gone or the lease belongs to a window that is over."""
    used: float
    """What the collector has put down for this lease."""
    spent: float
    """Of the account, by everyone, shares that are out included."""
    limit: float
    expires_s: float
    """How long it may be used from now on."""


@dataclass(frozen=True, slots=True)
class Account:
    """What was spent of a budget by one agent, customer ..."""

    account: str
    spent: float
    """Known to be used, or lost with a holder that fell silent."""
    held: float
    """Given out and not used as far as is known."""
    lost: float
    """The part of ``spent`` that holders had who fell silent: what they did with it is not known."""
    refused_ns: int | None = None
    """When somebody last did not get what a call needed."""


class Leases:
    """The shares of every project. Methods block on the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._answered = 0

    def stand(self, project: str, holder: str, asks: Sequence[Ask]) -> list[Given]:
        """Settle, renew and give out, in one transaction."""
        with self._database.write() as connection:
            # Only now: whoever waited over midnight for its turn gets a share of the new day.
            now = now_ns()
            rules = {rule.name: rule for rule in rules_in_force(connection, project)}
            given = [
                self._stand(connection, project, holder, ask, rules.get(ask.budget), now)
                for ask in asks
            ]
            self._answered += 1
            if self._answered % _CLEAN_EVERY == 0:
                connection.execute(delete(LEASES).where(LEASES.c.bucket_ns < now - _KEPT_NS))
                fold(connection, now - _FOLDED_AFTER_NS)
        return given

    def _stand(
        self,
        connection: Connection,
        project: str,
        holder: str,
        ask: Ask,
        rule: Rule | None,
        now: int,
    ) -> Given:
        row = connection.execute(_lease(project, ask.lease)).first()
        used = max(ask.used, row.used if row else 0.0)
        if rule is None or rule.is_local:
            self._put_down(connection, project, ask, used, now)
            return Given(ask.lease, 0, used, 0, 0, 0)
        window = window_at(rule, now)
        is_over = row is not None and (row.bucket_ns != window.bucket_ns or row.unit != rule.unit)
        if ask.done or is_over:
            self._put_down(connection, project, ask, used, now)
            spent = _spent(connection, project, rule, ask.account, window, now)
            return Given(ask.lease, 0, used, spent, rule.limit, 0)
        others = _spent(connection, project, rule, ask.account, window, now, but=ask.lease)
        before = row.granted if row else 0.0
        granted = _grant(rule, others, used, before, ask.need)
        lasts_ns = min(int(LEASE_S * _NS), window.bucket_ends_ns - now)
        values: dict[str, Any] = {"used": used, "granted": granted, "closed": 0}
        values["expires_ns"] = now + lasts_ns
        if used + ask.need > granted + _SLACK:
            values["refused_ns"] = now
        if row is None:
            values |= {"bucket_ns": window.bucket_ns, "holder": holder, "taken_ns": now}
            values |= {"budget": rule.name, "account": ask.account, "unit": rule.unit}
            connection.execute(insert(LEASES).values(project=project, id=ask.lease, **values))
        else:
            mine = (LEASES.c.project == project, LEASES.c.id == ask.lease)
            connection.execute(update(LEASES).where(*mine).values(values))
        spent = others + max(granted, used)
        return Given(ask.lease, granted, used, spent, rule.limit, lasts_ns / _NS)

    def _put_down(
        self, connection: Connection, project: str, ask: Ask, used: float, now: int
    ) -> None:
        values: dict[str, Any] = {"used": used}
        if ask.done:
            values |= {"closed": 1, "expires_ns": now}
        connection.execute(
            update(LEASES)
            .where(LEASES.c.project == project, LEASES.c.id == ask.lease)
            .values(values)
        )

    def accounts(self, project: str, rule: Rule) -> list[Account]:
        """What was spent in the present window, the largest first; at most 200 accounts."""
        with self._database.read() as connection:
            return _accounts(connection, project, rule)

    def all_accounts(self, project: str, rules: Sequence[Rule]) -> dict[str, list[Account]]:
        """:meth:`accounts` of several budgets by name, as they are at one moment."""
        with self._database.read() as connection:
            used = _used(connection, project)
            return {
                rule.name: _accounts(connection, project, rule) if rule.name in used else []
                for rule in rules
            }

    def burn(self, project: str, rule: Rule, pieces: int = 48) -> list[tuple[int, float]]:
        """What leases taken until each moment of the present window have spent together: ``(at_ns, spent)``."""
        now = now_ns()
        window = window_at(rule, now)
        piece_ns = max((now - window.since_ns) // pieces, 1)
        place = (LEASES.c.taken_ns - window.since_ns) / piece_ns
        query = (
            select(func.floor(place).label("place"), func.sum(_known(now)).label("spent"))
            .where(*_of(project, rule, window))
            .group_by(func.floor(place))
            .order_by(func.floor(place))
        )
        total, line = 0.0, [(window.since_ns, 0.0)]
        with self._database.read() as connection:
            for row in connection.execute(query):
                total += row.spent
                at_ns = min(window.since_ns + (int(row.place) + 1) * piece_ns, now)
                line.append((at_ns, total))
        return [*line, (now, total)]


def _used(connection: Connection, project: str) -> set[str]:
    """The names of the budgets of which anything was taken that is still known."""
    query = select(LEASES.c.budget).where(LEASES.c.project == project).distinct()
    return set(connection.execute(query).scalars())


def _accounts(connection: Connection, project: str, rule: Rule) -> list[Account]:
    now = now_ns()
    counted = func.sum(_counted(now))
    query = (
        select(
            LEASES.c.account,
            func.sum(_known(now)).label("spent"),
            counted.label("counted"),
            func.sum(_known(now) - LEASES.c.used).label("lost"),
            func.max(LEASES.c.refused_ns).label("refused_ns"),
        )
        .where(*_of(project, rule, window_at(rule, now)))
        .group_by(LEASES.c.account)
        .order_by(counted.desc())
        .limit(_MOST_ACCOUNTS)
    )
    return [
        Account(row.account, row.spent, row.counted - row.spent, row.lost, row.refused_ns)
        for row in connection.execute(query)
    ]


def fold(connection: Connection, before_ns: int, most: int = _FOLDED_AT_ONCE) -> None:
    """Leases that were given back before then become one for each account, part of a window, and hour of taking.

    Whoever asks waits for the sum over an account's leases; a process more must not make everyone slower for a month.
    A last word that is sent again after so long finds no lease, and changes nothing. At most ``most`` at a time:
    nobody else writes meanwhile.
    """
    over = (LEASES.c.closed == 1, LEASES.c.expires_ns < before_ns, LEASES.c.holder != _FOLDED)
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for row in connection.execute(select(LEASES).where(*over).limit(most)):
        key = (*(getattr(row, name) for name in _SAME), row.taken_ns // _HOUR_NS)
        groups.setdefault(key, []).append(row)
    for (*about, hour), rows in groups.items():
        if len(rows) == 1:
            continue
        for first in range(0, len(rows), _IDS_AT_ONCE):
            ids = [row.id for row in rows[first : first + _IDS_AT_ONCE]]
            mine = (LEASES.c.project == about[0], LEASES.c.id.in_(ids))
            connection.execute(delete(LEASES).where(*mine))
        used = math.fsum(row.used for row in rows)
        refused_ns = max((row.refused_ns for row in rows if row.refused_ns), default=None)
        one: dict[str, Any] = dict(zip(_SAME, about, strict=True))
        one |= {"id": secrets.token_hex(16), "holder": _FOLDED, "used": used, "granted": used}
        one |= {"taken_ns": hour * _HOUR_NS, "expires_ns": before_ns - 1, "closed": 1}
        connection.execute(insert(LEASES).values(one | {"refused_ns": refused_ns}))


def _grant(rule: Rule, others: float, used: float, before: float, need: float) -> float:
    """How much a lease may stand at, in all."""
    room = max(rule.limit - others, 0.0)
    wanted = used + need
    if wanted <= before <= room:
        return before
    if wanted > room + _SLACK:
        # Not enough for the call: what was given before stays, as long as the limit was not lowered meanwhile.
        return max(min(before, room), 0.0)
    share = min((room - used) / _SHARES, _CALLS_AHEAD * (need or 1.0))
    # Whole calls, so that what is left over does not add up to another one.
    piece = need or 1.0
    share = math.floor(share / piece) * piece
    return min(max(wanted, used + share, before), room)


def _lease(project: str, lease: str) -> Any:
    return select(LEASES).where(LEASES.c.project == project, LEASES.c.id == lease)


def _known(now: int) -> Any:
    """What a lease has used: as was said, or all of it when its holder fell silent."""
    silent = (LEASES.c.closed == 0) & (LEASES.c.expires_ns <= now)
    return case(
        (silent & (LEASES.c.granted > LEASES.c.used), LEASES.c.granted), else_=LEASES.c.used
    )


def _counted(now: int) -> Any:
    """What a lease takes away from its account."""
    holds = (LEASES.c.closed == 0) & (LEASES.c.granted > LEASES.c.used)
    return case((holds, LEASES.c.granted), else_=LEASES.c.used)


def _of(project: str, rule: Rule, window: Window) -> tuple[Any, ...]:
    return (
        LEASES.c.project == project,
        LEASES.c.budget == rule.name,
        LEASES.c.unit == rule.unit,
        LEASES.c.bucket_ns >= window.since_ns,
    )


def _spent(
    connection: Connection,
    project: str,
    rule: Rule,
    account: str,
    window: Window,
    now: int,
    but: str = "",
) -> float:
    query = select(func.coalesce(func.sum(_counted(now)), 0.0)).where(
        *_of(project, rule, window), LEASES.c.account == account, LEASES.c.id != but
    )
    return float(connection.execute(query).scalar_one())
