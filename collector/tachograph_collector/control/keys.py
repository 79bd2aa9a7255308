"""API keys in the control database: made, listed, revoked, and known to the intake without a query.

A key is ``tacho_<id>_<secret>``. The secret has 256 random bits, so its SHA-256 is as hard to reverse as the best
password hash, and a theft of the database gives nobody a key. It is shown once, when it is made.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import insert, select, update

from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database, DatabaseError, now_ns
from tachograph_collector.control.tables import KEYS

logger = logging.getLogger(__name__)

Role = Literal["ingest", "read", "operate", "admin"]
PREFIX = "tacho_"
REFRESH_S = 0.5
"""How often what another collector changed is looked for: a revoked key works for less than a second."""
_SECRET_BYTES = 32
_ID_BYTES = 6
_PROJECT = re.compile(r"[a-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret."""

    id: str
    name: str
    role: Role
    project: str
    created_ns: int
    created_by: str
    revoked_ns: int | None


class KeyStore:
    """The keys of the control database. Looking one up asks memory alone."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit
        self._live: Mapping[str, tuple[bytes, Key]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="tachograph-keys", daemon=True)
        self.refresh()

    def start(self) -> None:
        """Begin to follow what other collectors of the same database change."""
        self._thread.start()

    def stop(self) -> None:
        """Blocks for a moment."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def any(self) -> bool:
        """Whether there is a key that works."""
        return bool(self._live)

    def is_live(self, key_id: str) -> bool:
        """Whether a key with this id works."""
        return key_id in self._live

    def find(self, given: bytes) -> Key | None:
        """The key behind what was sent; ``None`` when there is none or it was revoked. For any thread."""
        prefix, _, rest = given.partition(b"_")
        if prefix + b"_" != PREFIX.encode():
            return None
        known = self._live.get(rest.partition(b"_")[0].decode("latin-1"))
        # A key that is not known takes as long as one that is wrong.
        expected = known[0] if known is not None else b""
        sound = hmac.compare_digest(_hash(given).encode(), expected)
        return known[1] if known is not None and sound else None

    def create(self, name: str, role: Role, project: str, actor: str) -> tuple[Key, str]:
        """A new key, and the secret text that is never shown again.

        Raises:
            ValueError: the project's name cannot be used.
            DatabaseError: nothing was made.
        """
        if not _PROJECT.fullmatch(project):
            raise ValueError("a project is named with a-z, 0-9 and -, 64 characters at most")
        key_id = secrets.token_hex(_ID_BYTES)
        text = f"{PREFIX}{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        key = Key(key_id, name, role, project, now_ns(), actor, None)
        with self._audit.change() as connection:
            connection.execute(insert(KEYS).values(_columns(key) | {"hash": _hash(text.encode())}))
            self._audit.record(
                connection,
                project=project,
                actor=actor,
                action="key.create",
                subject=key_id,
                detail={"name": name, "role": role},
            )
        self.refresh()
        return key, text

    def revoke(self, key_id: str, actor: str) -> Key | None:
        """End a key, now and for good; ``None`` when there is none. One that is revoked stays as it is.

        Raises:
            DatabaseError: it still works.
        """
        with self._audit.change() as connection:
            row = connection.execute(select(KEYS).where(KEYS.c.id == key_id)).first()
            if row is None or row.revoked_ns is not None:
                return _key(row) if row is not None else None
            ended = now_ns()
            connection.execute(update(KEYS).where(KEYS.c.id == key_id).values(revoked_ns=ended))
            self._audit.record(
                connection,
                project=row.project,
                actor=actor,
                action="key.revoke",
                subject=key_id,
                detail={"name": row.name, "role": row.role},
            )
        self.refresh()
        return self.get(key_id)

    def get(self, key_id: str) -> Key | None:
        """One key, revoked or not."""
        with self._database.read() as connection:
            row = connection.execute(select(KEYS).where(KEYS.c.id == key_id)).first()
        return _key(row) if row is not None else None

    def listed(self) -> list[Key]:
        """Every key there is or was, the newest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(KEYS).order_by(KEYS.c.created_ns.desc()))
            return [_key(row) for row in rows]

    def refresh(self) -> None:
        """Read the keys that work.

        Raises:
            DatabaseError: what was known before stays in force.
        """
        with self._database.read() as connection:
            rows = connection.execute(select(KEYS).where(KEYS.c.revoked_ns.is_(None))).all()
        self._live = {row.id: (row.hash.encode(), _key(row)) for row in rows}

    def _follow(self) -> None:
        while not self._stopping.wait(REFRESH_S):
            try:
                self.refresh()
            except DatabaseError as error:
                logger.error("The keys cannot be read; those known before stay: %s", error)
                # Said once, not twice a second, until it is over.
                self._stopping.wait(30)


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _columns(key: Key) -> dict[str, Any]:
    return {column: getattr(key, column) for column in Key.__slots__}


def _key(row: Any) -> Key:
    return Key(**{column: getattr(row, column) for column in Key.__slots__})
