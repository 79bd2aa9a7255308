"""How many things of a kind a project may have: who may make one could else make so many that no project is served."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Table, func, select

MOST_RULES: Final = 500
"""Alert rules: one thread measures those of all projects."""
MOST_TARGETS: Final = 100
MOST_WINDOWS: Final = 200
MOST_DIGESTS: Final = 50
MOST_BUDGETS: Final = 1_000
"""In force. Every process of the project hears all of them."""


class TooManyError(Exception):
    """The project has as many as it may; the message says how many."""


def check(connection: Connection, table: Table, project: str, most: int, *where: Any) -> None:
    """Whether a project's rows in ``table``, those just written included, are not too many.

    To be called in the transaction that writes them, which must end then.

    Raises:
        TooManyError: they are.
    """
    query = select(func.count()).select_from(table).where(table.c.project == project, *where)
    if connection.execute(query).scalar_one() > most:
        raise TooManyError(f"A project may have {most:,} of these; remove some first.")
