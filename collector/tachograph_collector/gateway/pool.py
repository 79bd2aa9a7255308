"""Sessions of the embedded engine, lent to one query each.

A session is a ``clickhouse-connect`` client on the engine's path, opened with the settings a query wants and
then made read-only, so that neither settings nor a temporary table of one query can be seen by another.
Sessions are kept by their settings: clients repeat theirs, and opening costs about 13 ms.

A session that failed is thrown away. The engine leaves the rows of a query that failed half-way in the session's
buffer, and the next result of the session would begin with them.

The pool belongs to one event loop. The engine cannot be used after ``fork()``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tachograph_collector.gateway.errors import (
    TIMEOUT_EXCEEDED,
    TOO_MANY_SIMULTANEOUS_QUERIES,
    ClientGoneError,
    GatewayError,
)
from tachograph_collector.gateway.limits import Limits
from tachograph_schemas import gateway_statements as statements
from tachograph_schemas import store

logger = logging.getLogger(__name__)

T = TypeVar("T")
# How long a cancelled query may take to notice before its session is left behind.
_CANCEL_GRACE_S = 2.0
_CANCEL_EVERY_S = 0.2
# Clients come with a handful of settings each; a session that waits costs little.
_IDLE_PER_READER = 4


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What the engine says of itself: names of its table functions and settings, version, time zone."""

    table_functions: list[str]
    settings: list[str]
    version: str
    timezone: str


class Reader:
    """One session of the engine. Used by one thread at a time; every method blocks.

    Raises (every method): GatewayError as the engine puts it.
    """

    def __init__(self, path: Path, settings: Mapping[str, str], *, readonly: bool) -> None:
        self.key = session_key(settings, readonly=readonly)
        self.mark = f"gateway-{secrets.token_hex(8)}"
        self.database = "default"
        with _engine_errors():
            self._client = store.connect(f"chdb://{path}")
        # The driver has no call for a formatted result with its statistics, nor for the classifier.
        backend: Any = vars(self._client)["_backend"]
        self._connection: Any = backend._handle.conn
        wanted = {**settings, "log_comment": self.mark, **({"readonly": "1"} if readonly else {})}
        try:
            self._command(statements.set_settings(wanted))
        except GatewayError:
            self.close()
            raise

    def use(self, database: str) -> None:
        """Make ``database`` the one that unqualified tables are looked up in."""
        if database != self.database:
            self._command(statements.use_database(database))
            self.database = database

    def classify(self, sql: bytes) -> tuple[str, int]:
        """The engine's verdict on ``sql``: its class (READ_ONLY, MUTATING, CONTROL, UNKNOWN...) and how many statements."""
        with _engine_errors():
            report = self._connection._conn.classify_query(sql, self.database)
        return report["query_class"].name, int(report["statement_count"])

    def query(self, sql: bytes, format: str, parameters: Mapping[str, str]) -> Any:
        """Run to the end; the result has ``bytes()`` and statistics. The whole result is in memory."""
        with _engine_errors():
            return self._connection.query(sql, format, params=dict(parameters))

    def stream(self, sql: bytes, format: str, parameters: Mapping[str, str]) -> Any:
        """Start a query; the result's ``fetch()`` gives one block at a time, formatted by itself, and then None."""
        with _engine_errors():
            return self._connection.send_query(sql, format, params=dict(parameters))

    def fetch(self, stream: Any) -> Any:
        """The next block of ``stream``, or None at its end."""
        with _engine_errors():
            return stream.fetch()

    def close(self) -> None:
        """Give the session back to the engine."""
        self._client.close()

    def _command(self, sql: str) -> None:
        self.query(sql.encode(), "TabSeparated", {})


class Lease:
    """A session for the length of one query."""

    def __init__(self, pool: EnginePool, reader: Reader) -> None:
        self.reader = reader
        self.spoiled = False
        """Set it when the session must not serve another query."""
        self._pool = pool
        self.unfinished: asyncio.Future[Any] | None = None

    async def call(
        self, work: Callable[[Reader], T], gone: asyncio.Event, timeout_s: float | None = None
    ) -> T:
        """Run ``work`` in a thread of the pool until it is done, the client is ``gone`` or time is up.

        In the last two cases the query is cancelled; should it not notice, its session is left to end by
        itself and the caller is free.

        Raises:
            GatewayError: from ``work``, or TIMEOUT_EXCEEDED.
            ClientGoneError: the client went away first.
        """
        if gone.is_set():
            raise ClientGoneError
        running = self._pool.in_thread(work, self.reader)
        leaving = asyncio.ensure_future(gone.wait())
        waited_for: set[asyncio.Future[Any]] = {running, leaving}
        try:
            await asyncio.wait(waited_for, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                return running.result()
            self.unfinished = running
            running.add_done_callback(_dispose)
            self._pool.cancel(self.reader, running)
            await asyncio.wait({running}, timeout=_CANCEL_GRACE_S)
        except BaseException:
            self.spoiled = True
            if not running.done() and self.unfinished is None:
                self.unfinished = running
                running.add_done_callback(_dispose)
            raise
        finally:
            leaving.cancel()
        self.spoiled = True
        if gone.is_set():
            raise ClientGoneError
        raise GatewayError(TIMEOUT_EXCEEDED, f"Timeout exceeded: the query ran over {timeout_s} s.")


class EnginePool:
    """Sessions of the engine at ``path``, at most ``limits.readers`` at a time.

    One path per process: the engine must not be open at another one. Opening the pool is cheap; sessions are
    opened when they are wanted.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self.limits = limits
        self._idle: list[Reader] = []
        self._busy: set[Reader] = set()
        self._lock = threading.Lock()
        self._slots = asyncio.Semaphore(limits.readers)
        self._waiting = 0
        self._closed = False
        self._control: Reader | None = None
        self._cancelling: set[asyncio.Task[None]] = set()
        # One thread more than readers, so that a cancellation never waits behind what it cancels.
        self._threads = ThreadPoolExecutor(limits.readers, thread_name_prefix="gateway")
        self._control_thread = ThreadPoolExecutor(1, thread_name_prefix="gateway-control")

    @asynccontextmanager
    async def lease(
        self, settings: Mapping[str, str], gone: asyncio.Event, *, readonly: bool
    ) -> AsyncIterator[Lease]:
        """A session with exactly these settings; waits for a free one.

        Raises:
            GatewayError: TOO_MANY_SIMULTANEOUS_QUERIES; or what the engine says of the settings.
            ClientGoneError: the client went away while waiting.
        """
        await self._take_slot(gone)
        lease: Lease | None = None
        try:
            key = session_key(settings, readonly=readonly)
            reader = self._idle_reader(key)
            if reader is None:
                reader = await self.in_thread(self._new_reader, settings, readonly)
            lease = Lease(self, reader)
            self._busy.add(reader)
            yield lease
        finally:
            self._give_back(lease)

    def in_thread(self, work: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        """Run ``work`` in one of the pool's threads."""
        return asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def cancel(self, reader: Reader, running: asyncio.Future[Any]) -> None:
        """Cancel what runs in the session, until it has ended: what has only begun, the engine does not know yet."""

        async def repeat() -> None:
            loop = asyncio.get_running_loop()
            while not running.done() and not self._closed:
                with contextlib.suppress(RuntimeError):  # the pool is closed meanwhile
                    await loop.run_in_executor(self._control_thread, self._kill, reader.mark)
                await asyncio.wait({running}, timeout=_CANCEL_EVERY_S)

        task = asyncio.create_task(repeat())
        self._cancelling.add(task)
        task.add_done_callback(self._cancelling.discard)

    async def facts(self) -> EngineFacts:
        """What the engine says of itself."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._control_thread, self._facts)

    def close(self) -> None:
        """Cancel what runs and close every session. Blocks until the running queries have noticed."""
        self._closed = True
        ending = threading.Thread(target=self._threads.shutdown, name="gateway-end")
        ending.start()
        while ending.is_alive():
            for reader in list(self._busy):
                with contextlib.suppress(RuntimeError):
                    self._control_thread.submit(self._kill, reader.mark).result()
            ending.join(_CANCEL_EVERY_S)
        self._control_thread.shutdown(wait=True)
        with self._lock:
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.close()
        control, self._control = self._control, None
        if control is not None:
            control.close()

    async def _take_slot(self, gone: asyncio.Event) -> None:
        if self._closed or (self._slots.locked() and self._waiting >= self.limits.queue):
            raise GatewayError(
                TOO_MANY_SIMULTANEOUS_QUERIES,
                f"Too many simultaneous queries: {self.limits.readers} run and {self._waiting} wait.",
            )
        self._waiting += 1
        taking = asyncio.ensure_future(self._slots.acquire())
        leaving = asyncio.ensure_future(gone.wait())
        try:
            await asyncio.wait(
                {taking, leaving},
                timeout=self.limits.queue_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        except BaseException:
            # Cancelled while the slot was being handed over: nobody would give it back.
            if taking.done() and not taking.cancelled():
                self._slots.release()
            raise
        finally:
            self._waiting -= 1
            leaving.cancel()
            taken = taking.done()
            if not taken:
                taking.cancel()
        if taken:
            return
        if gone.is_set():
            raise ClientGoneError
        raise GatewayError(
            TOO_MANY_SIMULTANEOUS_QUERIES,
            f"Too many simultaneous queries: none ended within {self.limits.queue_timeout_s:g} s.",
        )

    def _give_back(self, lease: Lease | None) -> None:
        unfinished = lease.unfinished if lease is not None else None
        if lease is not None and unfinished is not None and not unfinished.done():
            # The thread is still inside the engine: the slot is free when it comes out.
            unfinished.add_done_callback(lambda _: self._finish(lease))
            return
        self._finish(lease)

    def _finish(self, lease: Lease | None) -> None:
        self._slots.release()
        if lease is None:
            return
        self._busy.discard(lease.reader)
        if lease.spoiled or lease.unfinished is not None or self._closed:
            lease.reader.close()
            return
        with self._lock:
            self._idle.append(lease.reader)

    def _idle_reader(self, key: frozenset[tuple[str, str]]) -> Reader | None:
        with self._lock:
            for index in range(len(self._idle) - 1, -1, -1):
                if self._idle[index].key == key:
                    return self._idle.pop(index)
        return None

    def _new_reader(self, settings: Mapping[str, str], readonly: bool) -> Reader:
        with self._lock:
            # The least recently used ones make room.
            surplus = (
                [self._idle.pop(0)]
                if len(self._idle) >= _IDLE_PER_READER * self.limits.readers
                else []
            )
        for reader in surplus:
            reader.close()
        return Reader(self.path, settings, readonly=readonly)

    def _controller(self) -> Reader:
        if self._control is None:
            self._control = Reader(self.path, {}, readonly=False)
        return self._control

    def _kill(self, mark: str) -> None:
        try:
            self._controller().query(statements.cancel_marked(mark).encode(), "TabSeparated", {})
        except GatewayError as error:
            logger.warning("a query could not be cancelled: %s", error)
            if self._control is not None:
                self._control.close()
                self._control = None

    def _facts(self) -> EngineFacts:
        def column(sql: str) -> list[str]:
            result = self._controller().query(sql.encode(), "TabSeparated", {})
            return str(result.bytes().decode()).splitlines()

        version, timezone = column(statements.SERVER_FACTS)[0].split("\t")
        return EngineFacts(
            table_functions=column(statements.TABLE_FUNCTIONS),
            settings=column(statements.SETTING_NAMES),
            version=version,
            timezone=timezone,
        )


def _dispose(abandoned: asyncio.Future[Any]) -> None:
    """Release what a call made that nobody waits for any more."""
    if not abandoned.cancelled() and abandoned.exception() is None:
        close = getattr(abandoned.result(), "close", None)
        if close is not None:
            close()


def session_key(settings: Mapping[str, str], *, readonly: bool) -> frozenset[tuple[str, str]]:
    """What two sessions must have in common to serve the same queries."""
    return frozenset({*settings.items(), ("readonly", str(readonly))})


class _engine_errors:  # noqa: N801 - reads as a statement where it is used
    """Turns whatever the engine or its driver raises into a :class:`GatewayError`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, GatewayError):
            raise GatewayError.from_engine(error) from error
