"""A summary once a day or a week: runs, outcomes, dollars, alerts. Each period is told once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from clickhouse_connect.driver.client import Client
from sqlalchemy import Connection, func, select, update

from tachograph_collector.alerts.named import NamedRows
from tachograph_collector.alerts.outbox import Outbox
from tachograph_collector.control import limits
from tachograph_collector.control.database import now_ns
from tachograph_collector.control.tables_alerts import DIGESTS, EVENTS
from tachograph_schemas import alerts, queries, words
from tachograph_schemas.find import RunFilter

_TOP = 5
_DAYS = {"day": 1, "week": 7}


@dataclass(frozen=True, slots=True)
class Due:
    """A digest of one period that was not told yet."""

    id: str
    project: str
    name: str
    targets: list[str]
    since: datetime
    until: datetime


class Digests(NamedRows):
    """The digests of every project."""

    table = DIGESTS
    most = limits.MOST_DIGESTS
    lists = "targets"
    action = "alert.digest"
    hidden = NamedRows.hidden | {"sent_until_ns"}

    def put(self, project: str, values: dict[str, Any], actor: str) -> dict[str, Any]:
        """Make one, in place of the one of that name; its first period is the one under way."""
        return self.replace(project, values, {"sent_until_ns": now_ns()}, actor)

    def _shown(self, row: Any) -> dict[str, Any]:
        last = last_hour(datetime.now(UTC), row.every, row.minute, row.weekday)
        due = last + timedelta(days=_DAYS[row.every])
        return super()._shown(row) | {"next_ns": int(due.timestamp()) * 10**9}


def now_of(project: str, every: Literal["day", "week"]) -> Due:
    """The digest of the day or week until this moment, to be looked at and not sent."""
    until = datetime.now(UTC)
    return Due("", project, "", [], until - timedelta(days=_DAYS[every]), until)


def due(connection: Connection, at_ns: int) -> list[Due]:
    """Digests whose hour has come since they were sent last."""
    now = datetime.fromtimestamp(at_ns / 1e9, UTC)
    found = []
    for row in connection.execute(select(DIGESTS)):
        until = last_hour(now, row.every, row.minute, row.weekday)
        if until.timestamp() * 1e9 > row.sent_until_ns:
            since = until - timedelta(days=_DAYS[row.every])
            found.append(Due(row.id, row.project, row.name, json.loads(row.targets), since, until))
    return found


def last_hour(now: datetime, every: Literal["day", "week"], minute: int, weekday: int) -> datetime:
    """The last moment before ``now`` at which such a digest is due; ``weekday`` 0 is Monday."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    moment = midnight + timedelta(minutes=minute)
    if every == "week":
        moment -= timedelta(days=(now.weekday() - weekday) % 7)
    return moment if moment <= now else moment - timedelta(days=_DAYS[every])


def send(connection: Connection, outbox: Outbox, digest: Due, lines: list[str]) -> int:
    """Write a digest's messages, in a transaction that writes; 0 when another collector was faster."""
    until_ns = int(digest.until.timestamp() * 1e9)
    taken = connection.execute(
        update(DIGESTS)
        .where(DIGESTS.c.id == digest.id, DIGESTS.c.sent_until_ns < until_ns)
        .values(sent_until_ns=until_ns)
    ).rowcount
    if not taken:
        return 0
    span = "day" if digest.until - digest.since <= timedelta(days=1) else "week"
    message = {
        "type": "digest",
        "id": f"{digest.id}-{int(digest.until.timestamp())}",
        "title": words.plain(f"{digest.name}: the {span} until {words.moment(digest.until)}"[:150]),
        "text": words.plain("\n".join(lines), newlines=True),
        "project": digest.project,
        "level": "ok",
        "since": digest.since.isoformat(),
        "until": digest.until.isoformat(),
    }
    outbox.put(connection, digest.project, digest.targets, message)
    return 1


def told(connection: Connection, client: Client, digest: Due) -> list[str]:
    """What a digest says, line by line."""
    which = RunFilter(project=digest.project, since=digest.since, until=digest.until)
    total = queries.runs_summary(client, which)
    lines = ["Nothing ran."]
    if total.runs:
        unpriced = (
            f"; {words.count(total.unpriced, 'call')} without a price" if total.unpriced else ""
        )
        ended = (
            f"{total.succeeded:,} succeeded, {total.failed:,} failed, {total.stopped:,} stopped, "
            f"{total.interrupted:,} went silent"
        )
        lines = [
            f"{words.count(total.runs, 'run')}: {ended}.",
            f"Cost {words.usd(total.total_cost_usd)}, {words.tokens(total.tokens)} tokens{unpriced}.",
        ]
    spent = alerts.measure(
        client,
        alerts.METRICS["cost_usd"],
        project=digest.project,
        group_by="agent",
        window_s=int((digest.until - digest.since).total_seconds()),
        only={},
        until=digest.until,
    )
    dear = sorted((each for each in spent if each.value), key=lambda each: -(each.value or 0))
    lines += [
        f"  {words.plain(each.key) or '(no agent)'}: {words.usd(each.value)}"
        for each in dear[:_TOP]
    ]
    since_ns, until_ns = (int(each.timestamp() * 1e9) for each in (digest.since, digest.until))
    fired = connection.execute(
        select(EVENTS.c.rule_name, func.count())
        .where(
            EVENTS.c.project == digest.project,
            EVENTS.c.kind == "fires",
            EVENTS.c.at_ns >= since_ns,
            EVENTS.c.at_ns < until_ns,
        )
        .group_by(EVENTS.c.rule_name)
        .order_by(func.count().desc())
        .limit(_TOP)
    ).all()
    named = ", ".join(f"{words.plain(name)} {words.times(number)}" for name, number in fired)
    lines.append(f"Alerts: {named}." if named else "No alert fired.")
    return lines
