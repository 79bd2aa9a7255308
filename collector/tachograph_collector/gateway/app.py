"""The ASGI application: ClickHouse's HTTP interface over the embedded engine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tachograph_collector.gateway import access
from tachograph_collector.gateway.answer import Answer
from tachograph_collector.gateway.errors import (
    AUTHENTICATION_FAILED,
    UNKNOWN_EXCEPTION,
    ClientGoneError,
    GatewayError,
)
from tachograph_collector.gateway.limits import Limits
from tachograph_collector.gateway.pool import EnginePool
from tachograph_collector.gateway.request import (
    Receive,
    Scope,
    Send,
    build,
    headers_of,
    options_of,
    read_body,
)
from tachograph_collector.gateway.service import QueryService

logger = logging.getLogger(__name__)

_MAX_WRITE_BYTES = 1 << 30
_NO_HANDLER = "There is no handle {path}\n\nUse / or /ping for health checks.\nSend queries to / with POST or GET.\n"


class Gateway:
    """Answers ClickHouse clients. Made by :func:`create_gateway`."""

    def __init__(self, engine: EnginePool, token: str, limits: Limits, *, read_write: bool) -> None:
        self._pool = engine
        self._token = token
        self._limits = limits
        self._read_write = read_write
        self._service = QueryService(engine, limits, read_write=read_write)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or take part in the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        answer = Answer(
            send,
            head_only=scope["method"] == "HEAD",
            send_timeout_s=self._limits.send_timeout_s,
        )
        try:
            await self._respond(scope, receive, answer)
        except ClientGoneError:
            logger.debug("a client of the gateway went away")
        except GatewayError as error:
            await self._refuse(answer, error)
        except Exception as error:
            logger.exception("the gateway failed to answer")
            await self._refuse(answer, GatewayError(UNKNOWN_EXCEPTION, type(error).__name__))

    async def aclose(self) -> None:
        """Close the engine's sessions. Waits for the queries that still run."""
        await asyncio.to_thread(self._pool.close)

    async def _respond(self, scope: Scope, receive: Receive, answer: Answer) -> None:
        method, path = scope["method"], scope["path"]
        headers = headers_of(scope)
        access.check_host(headers.get("host", ""), (scope.get("server") or (None, None))[1])
        if method not in {"GET", "HEAD", "POST"}:
            await answer.text(405, "Use GET or POST.\n", {"Allow": "GET, HEAD, POST"})
        elif path == "/ping" and method != "POST":
            await answer.text(200, "Ok.\n")
        elif path not in {"", "/"}:
            await answer.text(404, _NO_HANDLER.format(path=path))
        elif method != "POST" and not scope["query_string"]:
            await answer.text(200, "Ok.\n")
        else:
            options = options_of(scope)
            access.check_token(self._token, headers, options)
            limit = _MAX_WRITE_BYTES if self._read_write else self._limits.max_request_bytes
            body = await read_body(receive, limit)
            request = build(method, headers, options, body, limit)
            async with _departure(receive) as gone:
                await self._service.run(request, answer, gone)

    async def _refuse(self, answer: Answer, error: GatewayError) -> None:
        if answer.started:
            # Too late for a status: closing without the last chunk is all that is left.
            raise error
        headers = {
            "X-ClickHouse-Exception-Code": str(error.code),
            **(
                {"WWW-Authenticate": 'Basic realm="ClickHouse server HTTP API"'}
                if error.code == AUTHENTICATION_FAILED
                else {}
            ),
        }
        with contextlib.suppress(ClientGoneError):
            await answer.text(error.http_status, error.text(self._service.version), headers)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return


def create_gateway(
    engine: EnginePool, token: str, limits: Limits | None = None, *, read_write: bool = False
) -> Gateway:
    """An ASGI application that speaks ClickHouse's HTTP protocol over ``engine``.

    Args:
        engine: the sessions; closed by the application's ``aclose`` or at the end of its lifespan.
        token: the password every query must bring (:func:`.token.ensure_token`).
        limits: what a query may take; those of the engine's pool when not given.
        read_write: run any statement with no limits, inserts with their data in the body included. For tests
            that need a ClickHouse server; the product never sets it and has no setting for it.
    """
    if not token:
        raise ValueError("the gateway needs a token")
    return Gateway(engine, token, limits or engine.limits, read_write=read_write)


@asynccontextmanager
async def _departure(receive: Receive) -> AsyncIterator[asyncio.Event]:
    """An event that is set when the client closes the connection."""
    gone = asyncio.Event()

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    task = asyncio.ensure_future(watch())
    try:
        yield gone
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
