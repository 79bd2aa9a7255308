"""The engine as the loader sees it: insert a batch, say what is there, make it lasting.

Two forms behind one class: the engine embedded in this process reads the batch from a file, a server gets
it as the body of the request. Everything else is the same SQL over the same client.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError, StreamFailureError

from tachograph_collector.kinds import signal_of
from tachograph_collector.wal import Record
from tachograph_schemas import ingest, pricing, store
from tachograph_schemas.ingest import RunKey
from tachograph_schemas.ingest_signals import TABLES, SignalTable
from tachograph_schemas.names import SIGNALS, Signal
from tachograph_schemas.shapes import EVERYTHING, Shape, insert_growing
from tachograph_schemas.statements import statement
from tachograph_schemas.store import Layout, StoreError

# Codes of the engine that say "not now": the batch is sound and must be tried again.
_TRANSIENT_CODES = frozenset(
    {
        3,  # UNEXPECTED_END_OF_FILE of a connection
        159,  # TIMEOUT_EXCEEDED
        164,  # READONLY
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        203,  # NO_FREE_CONNECTION
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        225,  # NO_ZOOKEEPER
        173,  # CANNOT_ALLOCATE_MEMORY
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        279,  # ALL_CONNECTION_TRIES_FAILED
        319,  # UNKNOWN_STATUS_OF_INSERT
        394,  # QUERY_WAS_CANCELLED
        425,  # SYSTEM_ERROR
        516,  # AUTHENTICATION_FAILED: an operator mends it, the data is not at fault
        999,  # KEEPER_EXCEPTION
    }
)


_INSERT_MEMORY_BYTES = 3 << 30
# What the engine says of a batch whose schema it could not keep: no such message, no such file, or half of one.
_LOST_SCHEMA = re.compile(r"in the schema file|Cannot parse .*\.proto|CANNOT_PARSE_PROTOBUF_SCHEMA")


class SchemaLostError(OSError):
    """The engine could not keep its copy of a batch's schema: its disk was full, and the batch is sound."""


class UnknownKindError(StoreError):
    """A record of a signal that this version does not know: trying again helps nobody."""

    code = 0


def is_transient(error: Exception) -> bool:
    """Whether the same batch may well succeed later: the engine is at fault, not the data."""
    if isinstance(error, (OperationalError, StreamFailureError, OSError)):
        return True
    code = getattr(error, "code", None)
    return code is None or int(code) in _TRANSIENT_CODES


def is_hungry(error: Exception) -> bool:
    """Whether the engine ran out of memory: its own state, or a batch that asks for too much."""
    return getattr(error, "code", None) in {173, 241}


@dataclass(frozen=True, slots=True)
class Stored:
    """A record that the engine has: its place in the log and its receive time, which never repeat."""

    sequence: int
    received_ns: int


class EngineStore:
    """Writes batches for one writer. Used by one thread at a time.

    Raises (every method): StoreError, OSError.
    """

    def __init__(self, dsn: str, layout: Layout, work_directory: Path) -> None:
        self._dsn = dsn
        self._layout = layout
        self._work = work_directory
        self._client: Client | None = None
        self._shape = Shape()  # of the spans so far; a server cannot be asked for a batch's
        self._schemas_lost = 0
        self.embedded = store.is_embedded(dsn)

    def open(self) -> list[str]:
        """Open the engine and bring the tables up to date; returns the migrations that ran."""
        self._work.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.embedded:
            # The engine's copies of our schemas: one that a full disk or a power cut left empty would be used again.
            for copy in Path("__cache__").glob("*.proto"):
                copy.unlink(missing_ok=True)
        # Recovery re-inserts and roll-ups read a lot at once; a server answers them within this time.
        options = {} if self.embedded else {"send_receive_timeout": 120}
        self._client = store.connect(self._dsn, **options)
        return store.migrate(self._client, self._layout)

    def close(self) -> None:
        """Close the engine; the embedded one releases its directory."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def insert(self, writer_id: int, batch: int, records: Iterable[Record]) -> None:
        """Store records of one signal as one insert; all or nothing.

        Raises:
            StoreError: among others, when a later version wrote them.
            SchemaLostError: try again.
        """
        try:
            self._insert(writer_id, batch, list(records))
        except StoreError as error:
            if _LOST_SCHEMA.search(str(error)) is None:
                raise
            # The engine writes the schema to a file that it names after the text, and on a full disk the file
            # stays empty and is remembered as that until the process ends. Another text is another file.
            self._schemas_lost += 1
            raise SchemaLostError(f"the engine lost the schema of a batch: {error}") from error

    def _insert(self, writer_id: int, batch: int, records: list[Record]) -> None:
        signal = signal_of(records[0])
        if signal is None:
            raise UnknownKindError(
                f"records of kind {records[0].kind} were written by a later version"
            )
        into = TABLES[signal]
        values = {"writer_id": writer_id, "batch": batch}
        # Over this the engine refuses the batch, and the loader halves it, before the machine is full.
        settings = dict(into.insert_settings()) | {"max_memory_usage": _INSERT_MEMORY_BYTES}
        if self._schemas_lost:
            settings["format_schema"] = f"{settings['format_schema']}\n// {self._schemas_lost}\n"
        pieces = (
            piece
            for record in records
            for piece in ingest.frame(
                record.project, record.sequence, record.received_ns, record.body
            )
        )
        if not self.embedded:
            settings |= {"insert_distributed_sync": 1}
            with self.session() as client:
                client.command(
                    into.insert_from_body(),
                    parameters=values,
                    data=b"".join(pieces),
                    settings=settings,
                )
            return
        path = self._work / "batch.pb"
        with path.open("wb") as file:
            file.writelines(pieces)
        self._insert_file(into, path, values, settings)

    def _insert_file(
        self, into: SignalTable, path: Path, values: dict[str, int], settings: dict[str, str | int]
    ) -> None:
        def insert(shape: Shape) -> None:
            sql = into.insert_from_file(str(path), shape)
            with self.session() as client:
                client.command(sql, parameters=values, settings=settings)

        def held() -> Sequence[Sequence[int]]:
            with self.session() as client:
                sql = into.from_file("shape", str(path))
                return client.query(sql, parameters=values, settings=settings).result_rows[0]

        if into.signal == "traces":
            self._shape = insert_growing(self._shape, insert, held)
        else:
            insert(EVERYTHING)

    def roll_up(
        self, writer_id: int, batches: Collection[int], resting: Collection[RunKey] = ()
    ) -> dict[RunKey, int]:
        """Look up the prices of models seen for the first time, then recompute the touched runs.

        Returns:
            The large runs among them, and how many spans each has.
        """
        with self.session() as client:
            pricing.price_pending(client, writer_id, batches)
            return ingest.roll_up(client, writer_id, batches, resting)

    def roll_up_runs(self, runs: Collection[RunKey]) -> dict[RunKey, int]:
        """Recompute these runs; returns the large ones, and how many spans each has."""
        with self.session() as client:
            return ingest.roll_up(client, 0, (), rested=runs)

    def growing_runs(
        self, writer_id: int, batches: Collection[int], resting: Collection[RunKey]
    ) -> dict[RunKey, bool]:
        """Those of ``resting`` that batches touched, and whether they brought the end of the run."""
        with self.session() as client:
            return ingest.growing_runs(client, writer_id, batches, resting)

    def stored_after(
        self, writer_id: int, sequence: int, signals: Iterable[Signal] = SIGNALS
    ) -> set[Stored]:
        """Which records behind ``sequence`` the engine has. Reads the data, so it also proves it readable."""
        values = {"writer_id": writer_id, "sequence": sequence}
        found: set[Stored] = set()
        for signal in signals:
            named = values | {"table": TABLES[signal].table}
            with self.session() as client:
                rows = client.query(statement("stored_records"), parameters=named).result_rows
            found.update(Stored(int(row[0]), int(row[1])) for row in rows)
        return found

    def batches_without_runs(self) -> list[tuple[int, int]]:
        """Writer and batch of spans whose runs are missing, oldest first. Reads the keys of all spans."""
        with self.session() as client:
            rows = client.query(statement("batches_without_runs")).result_rows
        return [(int(row[0]), int(row[1])) for row in rows]

    def batches_after(self, writer_id: int, sequence: int) -> list[int]:
        """The batches that hold those records, oldest first."""
        values = {"writer_id": writer_id, "sequence": sequence}
        with self.session() as client:
            rows = client.query(statement("stored_batches"), parameters=values).result_rows
        return [int(row[0]) for row in rows]

    def barrier(self) -> None:
        """Make everything inserted so far survive a power cut. A server's durability is its own."""
        if self.embedded:
            syncfs(Path(self._dsn.removeprefix("chdb://")))

    @contextlib.contextmanager
    def session(self) -> Iterator[Client]:
        """The engine's session; a fresh one after an error.

        An embedded session that failed part way hands its leftover rows to the next query.
        """
        if self._client is None:
            raise StoreError("the engine is not open")
        try:
            yield self._client
        except Exception:
            if self.embedded:
                spoiled, self._client = self._client, store.connect(self._dsn)
                spoiled.close()
            raise


def syncfs(directory: Path) -> None:
    """Flush the filesystem that holds ``directory``: the engine does not sync what it writes."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if libc.syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(directory))
    finally:
        os.close(fd)
