"""From a request for a query to its answer: what may run, in which session, sent in which form."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from tachograph_collector.gateway import compression, guard, session
from tachograph_collector.gateway.answer import Answer, content_type
from tachograph_collector.gateway.compression import Encoder
from tachograph_collector.gateway.errors import (
    BAD_ARGUMENTS,
    QUERY_IS_TOO_LARGE,
    READONLY,
    GatewayError,
)
from tachograph_collector.gateway.execution import Plan, Result, next_encoded, spool
from tachograph_collector.gateway.handshake import with_own_settings
from tachograph_collector.gateway.limits import Limits
from tachograph_collector.gateway.pool import EnginePool, Lease
from tachograph_collector.gateway.request import QueryRequest, query_id
from tachograph_collector.gateway.stitch import stitcher
from tachograph_collector.gateway.writes import embedded_form

# The engine's own limit comes first; this catches queries that it does not interrupt.
_OVERTIME_S = 5.0
_READS = frozenset({"READ_ONLY", "UNKNOWN"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What the engine says of itself."""

    forbidden: frozenset[str]
    """Table functions that are refused."""
    writable_settings: tuple[str, ...]
    version: str
    timezone: str


_MAX_QUERY_CHARS = 256 << 10


class QueryService:
    """Runs the queries of one gateway."""

    def __init__(self, pool: EnginePool, limits: Limits, *, read_write: bool) -> None:
        self._pool = pool
        self._limits = limits
        self._read_write = read_write
        self._facts_lock = asyncio.Lock()
        self._known: Facts | None = None

    @property
    def version(self) -> str:
        """The engine's version, "unknown" before the first query."""
        return self._known.version if self._known is not None else "unknown"

    async def run(self, request: QueryRequest, answer: Answer, gone: asyncio.Event) -> None:
        """Run the statement and send its result; ``gone`` is set when the client leaves.

        Raises:
            GatewayError: nothing was sent yet.
            ClientGoneError: nobody is left to send anything to.
        """
        facts = await self._facts()
        if self._read_write:
            with self._unrestricted(request) as (plan, settings):
                await self._query(request, plan, settings, answer, gone)
        else:
            plan, settings = self._restricted(request, facts)
            await self._query(request, plan, settings, answer, gone)

    def _restricted(self, request: QueryRequest, facts: Facts) -> tuple[Plan, dict[str, str]]:
        """What a read-only client gets, with the settings of its session; raises when it asks for more."""
        if len(request.text) > _MAX_QUERY_CHARS:
            # The engine would refuse it too; reading it here would hold up the whole collector.
            raise GatewayError(
                QUERY_IS_TOO_LARGE, f"Max query size exceeded: over {_MAX_QUERY_CHARS} characters."
            )
        guard.check_beginning(request.text)
        statement = guard.parse(request.text)
        guard.check_text(statement, request.parameters, facts.forbidden)
        session.clause_settings(guard.nested_settings(statement), self._limits)
        statement = with_own_settings(statement, facts.writable_settings)
        plan = _plan(request, statement)
        # The engine accepts a clause that changes nothing, so the session has its values beforehand.
        wanted = session.client_settings(request.options, self._limits) | session.clause_settings(
            statement.settings, self._limits
        )
        if wanted.get("extremes", "0") not in {"0", "false"}:
            plan = replace(plan, streams=False)
        return plan, session.base_settings(self._limits, buffered=not plan.streams) | wanted

    @contextmanager
    def _unrestricted(self, request: QueryRequest) -> Iterator[tuple[Plan, dict[str, str]]]:
        settings = {
            name: value for name, value in request.options.items() if name not in session.TRANSPORT
        }
        with embedded_form(request) as sql:
            try:
                plan = _plan(request, guard.parse(sql))
            except GatewayError:
                # Inline data need not be readable as SQL.
                plan = Plan(sql, request.parameters, request.database, request.default_format)
            yield plan, settings

    async def _query(
        self,
        request: QueryRequest,
        plan: Plan,
        settings: Mapping[str, str],
        answer: Answer,
        gone: asyncio.Event,
    ) -> None:
        coding = _coding(request)
        facts = await self._facts()
        headers = {
            "X-ClickHouse-Query-Id": query_id(request.options),
            "X-ClickHouse-Timezone": settings.get("session_timezone") or facts.timezone,
            **({"Content-Encoding": coding, "Vary": "Accept-Encoding"} if coding else {}),
        }
        async with self._pool.lease(settings, gone, readonly=not self._read_write) as lease:
            kind, count = await lease.call(lambda reader: reader.classify(plan.sql), gone)
            self._admit(kind, count, plan, request)
            if kind in _READS:
                headers |= {
                    "X-ClickHouse-Format": plan.format,
                    "Content-Type": content_type(plan.format),
                }
            else:
                # It may have changed the session (SET, USE, a temporary table).
                lease.spoiled = True
            result = Result(lease.reader, plan, writes=kind == "MUTATING")
            encoder = compression.encoder(coding) if coding else None
            try:
                if request.wants_whole_answer or not plan.streams:
                    await self._send_whole(result, encoder, headers, answer, lease, gone)
                else:
                    await self._send_pieces(result, encoder, headers, answer, lease, gone)
            except BaseException:
                lease.spoiled = True
                raise
            finally:
                if lease.unfinished is None and result.is_running:
                    await lease.call(lambda _: result.close(), asyncio.Event())

    async def _send_whole(
        self,
        result: Result,
        encoder: Encoder | None,
        headers: Mapping[str, str],
        answer: Answer,
        lease: Lease,
        gone: asyncio.Event,
    ) -> None:
        """Run to the end first: a late error is answered with a status, and the summary is complete."""
        with await lease.call(lambda _: spool(result, encoder), gone, self._time_limit_s) as file:
            await answer.file(file, {**headers, "X-ClickHouse-Summary": result.summary()})

    async def _send_pieces(
        self,
        result: Result,
        encoder: Encoder | None,
        headers: Mapping[str, str],
        answer: Answer,
        lease: Lease,
        gone: asyncio.Event,
    ) -> None:
        """Send while the query runs, never holding more than a block."""

        async def following() -> bytes | None:
            return await lease.call(
                lambda _: next_encoded(result, encoder), gone, self._time_limit_s
            )

        piece = await following()
        await answer.start(200, {**headers, "X-ClickHouse-Summary": result.summary()})
        try:
            while piece is not None:
                await answer.piece(piece)
                piece = await following()
            ending = encoder.finish() if encoder is not None else b""
        except GatewayError as error:
            lease.spoiled = True
            tail = answer.late_error(error, self.version)
            ending = encoder.encode(tail) + encoder.finish() if encoder is not None else tail
        await answer.piece(ending, more=False)

    @property
    def _time_limit_s(self) -> float | None:
        return None if self._read_write else self._limits.max_execution_s + _OVERTIME_S

    def _admit(self, kind: str, count: int, plan: Plan, request: QueryRequest) -> None:
        if not self._read_write:
            guard.check_class(guard.parse(plan.sql), kind, count)
        elif request.method != "POST" and kind not in _READS:
            raise GatewayError(
                READONLY,
                "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly.",
            )

    async def _facts(self) -> Facts:
        async with self._facts_lock:
            if self._known is None:
                known = await self._pool.facts()
                self._known = Facts(
                    forbidden=guard.forbidden_table_functions(known.table_functions),
                    writable_settings=tuple(session.admitted(known.settings)),
                    version=known.version,
                    timezone=known.timezone,
                )
            return self._known


def _coding(request: QueryRequest) -> str | None:
    if request.options.get("enable_http_compression", "1") == "0":
        return None
    return compression.choose(request.headers.get("accept-encoding", ""))


def _plan(request: QueryRequest, statement: guard.Statement) -> Plan:
    format_name = statement.format or request.default_format
    if not format_name.isidentifier() or not format_name.isascii():
        raise GatewayError(BAD_ARGUMENTS, f"{format_name!r} is not the name of a format.")
    return Plan(
        sql=statement.sql,
        parameters=request.parameters,
        database=request.database,
        format=format_name,
        streams=statement.is_select
        and not statement.has_totals
        and stitcher(format_name) is not None,
    )
