"""The log of every change and decision: rows that only come in, each holding the hash of the one before.

Whoever changes or removes a row breaks the chain from there on. Removing the newest rows leaves a sound chain, so the
newest hash is also kept in a file of its own beside the data (``audit.head``), written after every commit: a log that
is shorter than that was cut.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, func, insert, literal, select

from tachograph_collector.control.database import Database, DatabaseError, now_ns
from tachograph_collector.control.tables import AUDIT

logger = logging.getLogger(__name__)

HEAD_FILE = "audit.head"
_FIRST = "0" * 64
_PAGE_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One change or decision."""

    seq: int
    at_ns: int
    project: str
    actor: str
    """Who: the name given, and the key it was given with."""
    action: str
    """``key.create``, ``approval.allow`` ..."""
    subject: str
    """The id of what was changed."""
    detail: str
    """The rest, as JSON."""
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What :meth:`Audit.verify` found."""

    sound: bool
    entries: int
    problem: str = ""
    """The first break, in a sentence."""


class Audit:
    """Writes into transactions of others, so that a change and its entry are one."""

    def __init__(self, database: Database, head: Path) -> None:
        self._database = database
        self._head = head
        self._noting = threading.Lock()

    def record(
        self,
        connection: Connection,
        *,
        project: str,
        actor: str,
        action: str,
        subject: str,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Append one entry; it counts once ``connection`` commits. Writers of the database come one by one."""
        newest = connection.execute(
            select(AUDIT.c.seq, AUDIT.c.hash).order_by(AUDIT.c.seq.desc()).limit(1)
        ).first()
        seq, previous = (newest.seq + 1, newest.hash) if newest else (1, _FIRST)
        text = json.dumps(detail or {}, sort_keys=True, ensure_ascii=False)
        entry = Entry(seq, now_ns(), project, actor[:200], action, subject, text, previous, "")
        values = asdict(entry) | {"hash": _hash(entry)}
        connection.execute(insert(AUDIT).values(values))

    @contextlib.contextmanager
    def change(self) -> Iterator[Connection]:
        """A transaction that changes something and says so with :meth:`record`.

        Raises:
            DatabaseError: nothing was changed.
        """
        with self._database.write() as connection:
            yield connection
        try:
            with self._noting:
                self._note_head()
        except (OSError, DatabaseError) as error:
            # The change is made, and whoever asked for it must not hear otherwise.
            logger.warning("%s cannot be written: %s", self._head, error)

    def _note_head(self) -> None:
        """Keep the newest hash outside of the database; the entry itself is safe already."""
        with self._database.read() as connection:
            newest = connection.execute(
                select(AUDIT.c.seq, AUDIT.c.hash).order_by(AUDIT.c.seq.desc()).limit(1)
            ).first()
        if newest is None:
            return
        draft = self._head.with_name(f".{HEAD_FILE}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{newest.seq} {newest.hash}\n")
        draft.replace(self._head)

    def entries(self, project: str | None, limit: int, before: int | None = None) -> list[Entry]:
        """The newest entries first, those of one project or all; ``before`` a number to page on.

        Those of one project are numbered within it and stand without their hashes: the places of others in the
        chain would tell how much others do.
        """
        rows = select(AUDIT) if project is None else _numbered(project)
        numbered = rows.subquery()
        query = select(numbered).order_by(numbered.c.seq.desc()).limit(limit)
        if before is not None:
            query = query.where(numbered.c.seq < before)
        with self._database.read() as connection:
            return [Entry(**row._mapping) for row in connection.execute(query)]

    def verify(self) -> Verdict:
        """Follow the whole chain, from the first entry to the newest. Reads everything."""
        seq, previous = 0, _FIRST
        noted_seq, noted_hash = self._noted()
        for entry in self._all():
            seq += 1
            if entry.seq != seq:
                return Verdict(False, seq - 1, f"entry {seq} is missing")
            if entry.previous != previous or entry.hash != _hash(entry):
                return Verdict(False, seq - 1, f"entry {seq} is not what was written")
            if seq == noted_seq and entry.hash != noted_hash:
                return Verdict(False, seq - 1, f"entry {seq} differs from {self._head.name}")
            previous = entry.hash
        if noted_seq > seq:
            return Verdict(False, seq, f"the entries after {seq} are gone; there were {noted_seq}")
        return Verdict(True, seq)

    def verify_for(self, project: str) -> Verdict:
        """:meth:`verify`, as a project may know it: with its own number of entries, and no place in the chain."""
        found = self.verify()
        own = select(func.count()).select_from(AUDIT).where(AUDIT.c.project == project)
        with self._database.read() as connection:
            entries = connection.execute(own).scalar_one()
        problem = (
            "" if found.sound else "the log of this collector was altered; its owner sees where"
        )
        return Verdict(found.sound, entries, problem)

    def _all(self) -> Iterator[Entry]:
        after = 0
        while True:
            query = select(AUDIT).where(AUDIT.c.seq > after).order_by(AUDIT.c.seq).limit(_PAGE_ROWS)
            with self._database.read() as connection:
                page = [Entry(**row._mapping) for row in connection.execute(query)]
            if not page:
                return
            yield from page
            after = page[-1].seq

    def _noted(self) -> tuple[int, str]:
        with contextlib.suppress(OSError, ValueError):
            seq, hashed = self._head.read_text().split()
            return int(seq), hashed
        return 0, ""


def _numbered(project: str) -> Select[Any]:
    hidden = {"seq", "previous", "hash"}
    return select(
        func.row_number().over(order_by=AUDIT.c.seq).label("seq"),
        literal("").label("previous"),
        literal("").label("hash"),
        *(column for column in AUDIT.c if column.name not in hidden),
    ).where(AUDIT.c.project == project)


def _hash(entry: Entry) -> str:
    values = [
        entry.previous,
        entry.seq,
        entry.at_ns,
        entry.project,
        entry.actor,
        entry.action,
        entry.subject,
        entry.detail,
    ]
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
