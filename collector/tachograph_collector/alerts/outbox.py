"""Notifications that have to leave: rows that are written with the change they tell of, and claimed with a lease.

A collector that dies while it sends leaves a claim that runs out; another one sends again, under the same message id.
Messages about one rule and group leave in their order: a later one waits until the earlier one is through or given up.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, exists, func, insert, or_, select, update

from tachograph_collector.control.database import Database, now_ns
from tachograph_collector.control.tables_alerts import OUTBOX, TARGETS

LEASE_S = 100.0
"""Longer than any attempt may take: a turn of another one at the process that sends, a start of it, and the answer."""
GIVE_UP_AFTER_S = 24 * 3_600
_LONGEST_PAUSE_S = 900
_AHEAD_NS = 2 * _LONGEST_PAUSE_S * 10**9
MOST_OF_A_PROJECT = 3
"""Sent at once, of the courier's four: targets that hang must not keep other projects from being told."""
_OPEN = ("waiting", "sending")
_SAID_CHARS = 500


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message for one target, claimed by this collector."""

    id: str
    message_id: str
    """The same whenever it is sent again: receivers drop what they have got."""
    target_id: str
    attempts: int
    """This one included."""
    created_ns: int
    message: Mapping[str, Any]


class Outbox:
    """The notifications of all projects. Methods block on the database."""

    def __init__(
        self,
        database: Database,
        holder: str,
        lease_s: float = LEASE_S,
        dashboard_url: Callable[[], str] = str,
    ) -> None:
        """``holder`` is the name of this collector, unlike any other's; its claims run out after ``lease_s``.

        ``dashboard_url`` tells where people open the dashboard, for links; empty when that is not known.
        """
        self.dashboard_url = dashboard_url
        self._lease_ns = int(lease_s * 1e9)
        self._database = database
        self._holder = holder

    def put(
        self,
        connection: Connection,
        project: str,
        targets: Sequence[str],
        message: Mapping[str, Any],
        lane: str = "",
    ) -> list[str]:
        """Write a message to targets, by their names, in the transaction of whatever it tells of.

        Args:
            connection: Of that transaction.
            project: Whose targets.
            targets: Their names; one that does not exist any more is left out.
            message: With an ``id`` of its own, and a ``seq`` that grows in its lane.
            lane: Messages of one lane leave in order; by default it is alone.

        Returns:
            The ids of the rows.
        """
        return self.put_all(connection, project, targets, [(message, lane)])

    def put_all(
        self,
        connection: Connection,
        project: str,
        targets: Sequence[str],
        messages: Sequence[tuple[Mapping[str, Any], str]],
    ) -> list[str]:
        """:meth:`put` for several messages, each with its lane."""
        where = (TARGETS.c.project == project, TARGETS.c.name.in_(targets))
        found = connection.execute(select(TARGETS.c.id, TARGETS.c.name).where(*where)).all()
        at = now_ns()
        rows = [
            {
                "id": secrets.token_hex(8),
                "project": project,
                "message_id": message["id"],
                "target_id": target.id,
                "target_name": target.name,
                "lane": f"{lane or message['id']} {target.id}"[:64],
                "seq": message.get("seq", 0),
                "message": json.dumps(message),
                "status": "waiting",
                "attempts": 0,
                "due_ns": at,
                "holder": "",
                "created_ns": at,
                "said": "",
            }
            for message, lane in messages
            for target in found
        ]
        if rows:
            connection.execute(insert(OUTBOX), rows)
        return [str(row["id"]) for row in rows]

    def claim(self, most: int) -> list[Parcel]:
        """Take what is due, until the lease runs out."""
        if most <= 0:
            return []
        at = now_ns()
        # Nothing due is the rule; a reader disturbs nobody.
        with self._database.read() as connection:
            if connection.execute(self._due(at).limit(1)).first() is None:
                return []
        with self._database.write() as connection:
            rows = self._turns(connection, at)[:most]
            values = {
                "status": "sending",
                "holder": self._holder,
                "due_ns": at + self._lease_ns,
                "attempts": OUTBOX.c.attempts + 1,
            }
            ids = [row.id for row in rows]
            connection.execute(update(OUTBOX).where(OUTBOX.c.id.in_(ids)).values(values))
        return [
            Parcel(
                row.id,
                row.message_id,
                row.target_id,
                row.attempts + 1,
                row.created_ns,
                json.loads(row.message),
            )
            for row in rows
        ]

    def _turns(self, connection: Connection, at_ns: int) -> list[Any]:
        """What is due, the oldest first; of no project so much that the others' has to wait for its targets."""
        place = func.row_number().over(
            partition_by=OUTBOX.c.project, order_by=(OUTBOX.c.created_ns, OUTBOX.c.seq)
        )
        due = self._due(at_ns).add_columns(place.label("place")).subquery()
        under_way = (
            select(OUTBOX.c.project, func.count())
            .where(OUTBOX.c.status == "sending", OUTBOX.c.holder == self._holder)
            .where(OUTBOX.c.due_ns > at_ns)
            .group_by(OUTBOX.c.project)
        )
        busy = {row[0]: row[1] for row in connection.execute(under_way)}
        query = (
            select(due)
            .where(due.c.place <= MOST_OF_A_PROJECT)
            .order_by(due.c.created_ns, due.c.seq)
        )
        return [
            row
            for row in connection.execute(query)
            if row.place + busy.get(row.project, 0) <= MOST_OF_A_PROJECT
        ]

    @staticmethod
    def _due(at_ns: int) -> Any:
        earlier = OUTBOX.alias()
        blocked = exists().where(
            earlier.c.lane == OUTBOX.c.lane,
            earlier.c.status.in_(_OPEN),
            earlier.c.seq < OUTBOX.c.seq,
        )
        # What is due later than any pause lasts was written by a clock that was ahead, and put back.
        is_time = or_(OUTBOX.c.due_ns <= at_ns, OUTBOX.c.due_ns > at_ns + _AHEAD_NS)
        return select(OUTBOX).where(and_(OUTBOX.c.status.in_(_OPEN), is_time), ~blocked)

    def finish(self, parcel: Parcel, said: str) -> None:
        """It was taken; ``said`` is the receiver's answer in short."""
        self._settle(parcel, {"status": "sent", "said": said, "finished_ns": now_ns()})

    def fail(self, parcel: Parcel, said: str, *, for_good: bool) -> None:
        """It was not; try again later, unless it is for good or has been tried for a day."""
        at = now_ns()
        if for_good or at - parcel.created_ns > GIVE_UP_AFTER_S * 10**9:
            self._settle(parcel, {"status": "failed", "said": said, "finished_ns": at})
            return
        pause_s = min(_LONGEST_PAUSE_S, 2 ** min(parcel.attempts - 1, 10))
        self._settle(parcel, {"status": "waiting", "said": said, "due_ns": at + pause_s * 10**9})

    def _settle(self, parcel: Parcel, values: Mapping[str, Any]) -> None:
        # Somebody else may have taken it over, when this attempt took longer than its lease.
        mine = (
            OUTBOX.c.id == parcel.id,
            OUTBOX.c.holder == self._holder,
            OUTBOX.c.attempts == parcel.attempts,
        )
        kept = dict(values) | {"said": str(values["said"])[:_SAID_CHARS]}
        with self._database.write() as connection:
            connection.execute(update(OUTBOX).where(*mine).values(kept))

    def listed(self, project: str, limit: int, message_id: str = "") -> list[dict[str, Any]]:
        """The delivery log, the newest first."""
        query = select(OUTBOX).where(OUTBOX.c.project == project)
        if message_id:
            query = query.where(OUTBOX.c.message_id == message_id)
        query = query.order_by(OUTBOX.c.created_ns.desc(), OUTBOX.c.seq.desc()).limit(limit)
        with self._database.read() as connection:
            return [_logged(row) for row in connection.execute(query)]

    def one(self, parcel_id: str) -> dict[str, Any] | None:
        """One row of the log."""
        with self._database.read() as connection:
            row = connection.execute(select(OUTBOX).where(OUTBOX.c.id == parcel_id)).first()
        return _logged(row) if row is not None else None

    def waiting(self) -> int:
        """How many have not left yet."""
        query = select(func.count()).select_from(OUTBOX).where(OUTBOX.c.status.in_(_OPEN))
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def forget(self, connection: Connection, before_ns: int) -> None:
        """Drop what was finished before."""
        old = and_(OUTBOX.c.finished_ns.is_not(None), OUTBOX.c.finished_ns < before_ns)
        connection.execute(OUTBOX.delete().where(old))


def _logged(row: Any) -> dict[str, Any]:
    message = json.loads(row.message)
    return {
        "id": row.id,
        "message_id": row.message_id,
        "target": row.target_name,
        "title": message.get("title", ""),
        "status": row.status,
        "attempts": row.attempts,
        "created_ns": row.created_ns,
        "finished_ns": row.finished_ns,
        "due_ns": row.due_ns if row.status == "waiting" else None,
        "said": row.said,
    }
