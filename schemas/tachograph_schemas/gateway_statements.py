"""The statements by which the gateway steers the engine: settings, cancelling, and what the engine has.

They are no queries of the product's data (:mod:`.queries`), and they exist for the embedded engine only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

TABLE_FUNCTIONS = "SELECT name FROM system.table_functions"
SETTING_NAMES = "SELECT name FROM system.settings"
SERVER_FACTS = "SELECT version() AS version, timezone() AS timezone"


def quoted(text: str) -> str:
    """``text`` as a string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def identifier(name: str) -> str:
    """``name`` as a quoted identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def set_settings(settings: Mapping[str, str]) -> str:
    """Apply settings to the session. The names must have been checked; the values are quoted."""
    return "SET " + ", ".join(f"{name} = {quoted(value)}" for name, value in settings.items())


def use_database(name: str) -> str:
    """Make ``name`` the database of the session."""
    return f"USE {identifier(name)}"


def cancel_marked(mark: str) -> str:
    """Cancel the queries of the session that carries ``mark`` in its ``log_comment``; does not wait."""
    return f"KILL QUERY WHERE Settings['log_comment'] = {quoted(mark)} ASYNC"


def settings_as_clients_may(writable: Iterable[str]) -> str:
    """``system.settings`` as a subquery that reports the ``writable`` ones as changeable."""
    names = ", ".join(quoted(name) for name in writable)
    return f"(SELECT * REPLACE (toUInt8(name NOT IN ({names})) AS readonly) FROM system.settings)"
