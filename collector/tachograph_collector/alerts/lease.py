"""Who of several collectors does what one of them has to do."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from tachograph_collector.control.database import Database, now_ns
from tachograph_collector.control.tables_alerts import LEASES

_TERMS_AHEAD = 10
_LONGEST_TERM_NS = 60 * 10**9
_AHEAD_NS = 60 * 10**9


class Lease:
    """A named lease in the control database. Methods block on it."""

    def __init__(self, database: Database, name: str, holder: str, term_s: float) -> None:
        self._database = database
        self._name = name
        self._holder = holder
        self._term_ns = int(term_s * 1e9)

    def take(self) -> bool:
        """Get it, or keep it; whether it is ours now."""
        with self._database.read() as connection:
            row = connection.execute(select(LEASES).where(LEASES.c.name == self._name)).first()
        at = now_ns()
        if row is not None and row.holder != self._holder and self._is_live(row, at):
            return False
        # Ours for long enough: nothing to write every time.
        if (
            row is not None
            and row.holder == self._holder
            and row.until_ns > at + self._term_ns // 2
        ):
            return True
        with self._database.write() as connection:
            return self._renew(connection, at)

    def keep(self, connection: Connection) -> bool:
        """Whether it is ours still, as seen by a transaction that writes; if so, for a whole term from now on.

        It is when its time has run out and nobody else has taken it: what took us so long was done by us alone.
        """
        row = connection.execute(select(LEASES).where(LEASES.c.name == self._name)).first()
        return row is not None and row.holder == self._holder and self._renew(connection, now_ns())

    def lengthen(self) -> None:
        """Ask for twice the time from now on, up to a minute: what was to be done within the term took longer."""
        self._term_ns = min(2 * self._term_ns, max(self._term_ns, _LONGEST_TERM_NS))

    def let_go(self) -> None:
        """Give it up, so that another one need not wait."""
        mine = (LEASES.c.name == self._name, LEASES.c.holder == self._holder)
        with self._database.write() as connection:
            connection.execute(update(LEASES).where(*mine).values(until_ns=0))

    def _is_live(self, row: Row[Any], at_ns: int) -> bool:
        """Whether a lease holds. One that ends long after any term is of a clock that was ahead, and put back."""
        return bool(at_ns < row.until_ns <= at_ns + max(_TERMS_AHEAD * self._term_ns, _AHEAD_NS))

    def _renew(self, connection: Connection, at_ns: int) -> bool:
        row = connection.execute(select(LEASES).where(LEASES.c.name == self._name)).first()
        values = {"holder": self._holder, "until_ns": at_ns + self._term_ns}
        if row is None:
            connection.execute(insert(LEASES).values(values | {"name": self._name}))
            return True
        if row.holder != self._holder and self._is_live(row, at_ns):
            return False
        connection.execute(update(LEASES).where(LEASES.c.name == self._name).values(values))
        return True
