"""What clients read about settings before they send any.

Clients ask ``system.settings`` which settings they may change and keep to the answer. In a read-only
session the engine says "none", although the gateway takes the harmless ones; so a statement that reads
that table is shown the gateway's answer in the column ``readonly``.
"""

from __future__ import annotations

from collections.abc import Sequence

from tachograph_collector.gateway.guard import Statement, parse
from tachograph_collector.gateway.lexer import Token
from tachograph_schemas.gateway_statements import settings_as_clients_may


def with_own_settings(statement: Statement, writable: Sequence[str]) -> Statement:
    """The statement with ``system.settings`` replaced by a subquery that tells which are ``writable``."""
    places = [
        (first.start, third.end)
        for before, first, second, third, after in _windows(statement.tokens)
        if first.name == "system"
        and second.is_mark(b".")
        and third.name == "settings"
        and before.name in {"from", "join"}
        and not (after is not None and after.is_mark(b"."))
    ]
    if not places:
        return statement
    subquery = settings_as_clients_may(writable).encode()
    sql = statement.sql
    for start, end in reversed(places):
        sql = sql[:start] + subquery + sql[end:]
    return parse(sql)


def _windows(found: Sequence[Token]) -> list[tuple[Token, Token, Token, Token, Token | None]]:
    return [
        (*found[at : at + 4], found[at + 4] if at + 4 < len(found) else None)  # type: ignore[misc]
        for at in range(len(found) - 3)
    ]
