"""The engine's parts on disk: which are broken, what of them can still be read, and setting them aside.

A part is a directory of one table that holds the rows of one or more inserts. Used with the embedded engine, whose
files are this machine's.
"""

from __future__ import annotations

from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from tachograph_schemas import names

TABLES = (
    names.TABLE_SPAN_ROWS,
    names.TABLE_RUN_ROWS,
    names.TABLE_LOG_ROWS,
    names.TABLE_METRIC_ROWS,
)
"""Tables whose parts are looked after."""

BROKEN_CODES = frozenset(
    {
        32,  # ATTEMPT_TO_READ_AFTER_EOF
        33,  # CANNOT_READ_ALL_DATA
        39,  # TOO_LARGE_SIZE_COMPRESSED
        40,  # CHECKSUM_DOESNT_MATCH
        76,  # CANNOT_OPEN_FILE
        107,  # FILE_DOESNT_EXIST
        226,  # NO_FILE_IN_DATA_PART
        228,  # BAD_SIZE_OF_FILE_IN_DATA_PART
        246,  # CORRUPTED_DATA
        271,  # CANNOT_DECOMPRESS
        432,  # UNKNOWN_CODEC
    }
)
"""Codes with which the engine says that its own files may be broken."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a table."""

    table: str
    name: str
    bytes: int = 0
    rows: int = 0


def detached(client: Client) -> list[Part]:
    """The parts that the engine itself set aside because they are broken, at a start or later."""
    rows = client.query(
        "SELECT table, name, bytes_on_disk FROM system.detached_parts WHERE database = currentDatabase()"
        " AND table IN {tables:Array(String)} AND startsWith(ifNull(reason, ''), 'broken') ORDER BY table, name",
        parameters={"tables": list(TABLES)},
    ).result_rows
    return [Part(*row) for row in rows]


def active(client: Client) -> list[Part]:
    """The parts in use, newest first."""
    rows = client.query(
        "SELECT table, name, bytes_on_disk, rows FROM system.parts WHERE database = currentDatabase()"
        " AND active AND table IN {tables:Array(String)} ORDER BY modification_time DESC, name",
        parameters={"tables": list(TABLES)},
    ).result_rows
    return [Part(*row) for row in rows]


def is_sound(client: Client, part: Part) -> bool:
    """Whether a part's files match their checksums. Reads all of it."""
    rows = client.query(
        f"CHECK TABLE {_identifier(part.table)} PART {_text(part.name)}"
        " SETTINGS check_query_single_value_result = 0"
    ).result_rows
    # The embedded engine says it in text.
    return all(str(row[1]) in {"1", "True", "true"} for row in rows)


def copy_rows(client: Client, part: Part, first: int, last: int) -> None:
    """Insert a part's rows ``first`` up to ``last`` (not included) once more, into a part of their own.

    Raises:
        StoreError: some of them cannot be read.
    """
    table = _identifier(part.table)
    client.command(
        f"INSERT INTO {table} SELECT * FROM {table} WHERE _part = {_text(part.name)}"
        " AND _part_offset >= {first:UInt64} AND _part_offset < {last:UInt64}"
        " SETTINGS max_threads = 1, max_insert_threads = 1",
        parameters={"first": first, "last": last},
    )


def detach(client: Client, part: Part) -> None:
    """Take a part out of its table; its files stay in the table's ``detached`` directory."""
    client.command(f"ALTER TABLE {_identifier(part.table)} DETACH PART {_text(part.name)}")


def _identifier(table: str) -> str:
    if table not in TABLES:
        raise ValueError(f"{table} is no table whose parts are looked after")
    return table


def _text(name: str) -> str:
    return "'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"
