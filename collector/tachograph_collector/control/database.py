"""The control database: one pool of connections, short transactions, migrations at the start.

SQLite runs in WAL mode with ``synchronous=FULL``: a decision that was answered for survives a power cut. Writers take
SQLite's write lock when they begin, so that no transaction fails halfway because another one was faster.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, insert, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from tachograph_collector.control.migrations import MIGRATIONS
from tachograph_collector.control.tables import VERSIONS
from tachograph_collector.errors import StartError

DatabaseError = SQLAlchemyError
"""What every use of the database may raise: it is gone, full, or too busy."""

_FULL = {"SQLITE_FULL", "53100"}
"""SQLite's name for a full disk, and PostgreSQL's."""
BUSY_TIMEOUT_S = 10.0
WRITER_IDLE_S = 30.0
_IDLE_LIMIT = "idle_in_transaction_session_timeout"
_CONNECT_OPTIONS = {"connect_timeout": 10}
"""Seconds, unless the URL says how many."""
_POOL_CONNECTIONS = 8
_WRITING = "tacho_writing"
# Any number that no other program of the same PostgreSQL database uses.
_WRITERS_LOCK = 0x7AC40


class Database:
    """The control database at ``url``. Its methods block; call them off the event loop."""

    def __init__(self, url: str) -> None:
        """Open it and bring its tables up to date.

        Raises:
            StartError: it cannot be opened; the message says what to do.
        """
        try:
            self.path = _sqlite_path(url)
            self._engine = _engine(url)
            _migrate(self)
        except (SQLAlchemyError, OSError, ImportError, ValueError) as error:
            raise StartError(_refusal(url, error)) from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only looks.

        Raises:
            DatabaseError: see there.
        """
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that changes something; writers come one after the other. Committed on leaving.

        Who comes waits for its turn for :data:`BUSY_TIMEOUT_S` at most; on PostgreSQL, who has it and does nothing
        with it for :data:`WRITER_IDLE_S` loses it.

        Raises:
            DatabaseError: see there; nothing was changed then.
        """
        with self._engine.execution_options(**{_WRITING: True}).begin() as connection:
            if connection.dialect.name == "postgresql":
                # A collector that was frozen, or whose machine is gone, holds the lock until the server ends its
                # session; without a limit that is when TCP gives up, after hours, and nobody writes meanwhile.
                limits = (("lock_timeout", BUSY_TIMEOUT_S), (_IDLE_LIMIT, WRITER_IDLE_S))
                connection.execute(select(*(_for_this_transaction(*each) for each in limits)))
                connection.execute(select(func.pg_advisory_xact_lock(_WRITERS_LOCK)))
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def _for_this_transaction(setting: str, limit_s: float) -> Any:
    return func.set_config(setting, f"{round(limit_s * 1e3)}ms", True)


def _sqlite_path(url: str) -> Path | None:
    parts = make_url(url)
    if parts.get_backend_name() != "sqlite":
        return None
    if not parts.database or not Path(parts.database).is_absolute():
        raise ValueError("a file is named by its whole path")
    return Path(parts.database)


def _engine(url: str) -> Engine:
    path = _sqlite_path(url)
    if path is None:
        options = {} if "connect_timeout" in make_url(url).query else _CONNECT_OPTIONS
        return create_engine(
            url, pool_size=_POOL_CONNECTIONS, pool_pre_ping=True, connect_args=options
        )
    # Nobody else on the machine has a reason to read it; made here, it is never wider, not even for a moment.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    engine = create_engine(
        url, pool_size=_POOL_CONNECTIONS, connect_args={"timeout": BUSY_TIMEOUT_S}
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver's own transactions begin late and take the write lock later still: we begin ourselves.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get(_WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _migrate(database: Database) -> None:
    with database.write() as connection:
        VERSIONS.create(connection, checkfirst=True)
        done = set(connection.execute(select(VERSIONS.c.version)).scalars())
        newest = max(done, default=0)
        if newest > len(MIGRATIONS):
            raise ValueError(
                f"it was written by a newer Tachograph (version {newest}, this one knows {len(MIGRATIONS)})"
            )
        for number, migration in enumerate(MIGRATIONS, 1):
            if number not in done:
                migration(connection)
                connection.execute(insert(VERSIONS).values(version=number, applied_ns=now_ns()))


def is_full(error: Exception) -> bool:
    """Whether there was no room on the disk for what was to be written."""
    cause = getattr(error, "orig", None)
    names = (getattr(cause, "sqlite_errorname", None), getattr(cause, "sqlstate", None))
    return any(name in _FULL for name in names)


def now_ns() -> int:
    """The wall clock, nanoseconds since 1970: what other processes read and people are shown."""
    return time.time_ns()


def _refusal(url: str, error: Exception) -> str:
    shown = make_url(url).render_as_string(hide_password=True) if "://" in url else url
    said = str(getattr(error, "orig", None) or error)
    return (
        f"The control database {shown} cannot be opened: {said}. Set TACHO_CONTROL_DB to one that can "
        "(sqlite:////absolute/path/control.db, or postgresql+psycopg://user:password@host/name)."
    )
