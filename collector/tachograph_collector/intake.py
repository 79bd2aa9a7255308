"""OTLP/HTTP: a body comes in, is checked, reaches the disk, and only then is acknowledged.

The answers are those of the OTLP specification: 200 with a partial success when single spans were dropped,
400 / 413 / 415 that a client must not retry, 503 with ``Retry-After`` that it should; the body of an error
is a ``google.rpc.Status``.
"""

from __future__ import annotations

import asyncio
import hmac
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tachograph_collector.canonical import CanonicalBody, canonical
from tachograph_collector.errors import (
    BadBodyError,
    BodyError,
    NotNowError,
    TooLargeError,
    UnsupportedError,
)
from tachograph_collector.metrics import Metrics
from tachograph_collector.wal import Log
from tachograph_schemas import names

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATH = "/v1/traces"
PROTOBUF = b"application/x-protobuf"
_CONTENT_TYPES = {PROTOBUF, b"application/protobuf"}
_INLINE_BYTES = (
    256 << 10
)  # a body up to this size is checked on the event loop: about a millisecond
_OK = ExportTraceServiceResponse().SerializeToString()
_GRPC_CODES = {400: 3, 401: 16, 404: 5, 405: 12, 413: 3, 415: 3, 503: 14}


class Intake:
    """The ASGI application behind ``/v1/traces``."""

    def __init__(
        self,
        log: Log,
        metrics: Metrics,
        *,
        max_body_bytes: int,
        api_key: str = "",
        project: str = "default",
    ) -> None:
        self._log = log
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._api_key = api_key.encode()
        self._project = project
        self.stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] != "POST":
            await _refuse(send, 405, "Send OTLP with POST.", [(b"allow", b"POST")])
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if not self._is_allowed(headers):
            await _refuse(
                send,
                401,
                "A key is needed: Authorization: Bearer <TACHO_API_KEY>.",
                [(b"www-authenticate", b"Bearer")],
            )
            return
        self._metrics.add(names.METRIC_BODIES_RECEIVED)
        try:
            body = await self._checked(headers, receive)
            if body.data:
                await self._append(body)
        except BodyError as error:
            self._metrics.add(names.METRIC_BODIES_REFUSED, reason=error.reason)
            await _refuse(send, error.http_status, str(error))
            return
        except NotNowError as error:
            self._metrics.add(names.METRIC_BODIES_REFUSED, reason="not_now")
            retry = str(error.retry_after_s).encode()
            await _refuse(send, 503, str(error), [(b"retry-after", retry)])
            return
        self._metrics.add(names.METRIC_SPANS_ACKNOWLEDGED, body.spans)
        await _answer(send, 200, _success(body), PROTOBUF)

    def _is_allowed(self, headers: dict[bytes, bytes]) -> bool:
        if not self._api_key:
            return True
        given = headers.get(b"authorization", b"")
        scheme, _, key = given.partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(key.strip(), self._api_key)

    async def _checked(self, headers: dict[bytes, bytes], receive: Receive) -> CanonicalBody:
        content_type = headers.get(b"content-type", PROTOBUF).split(b";")[0].strip().lower()
        if content_type not in _CONTENT_TYPES:
            raise UnsupportedError(
                f"Content-Type {content_type.decode('latin-1')!r} is not understood; "
                "send application/x-protobuf."
            )
        raw = await self._read(headers, receive)
        encoding = headers.get(b"content-encoding", b"identity").strip().lower()
        if len(raw) <= _INLINE_BYTES and encoding == b"identity":
            return canonical(raw)
        return await asyncio.to_thread(self._inflate_and_check, raw, encoding)

    async def _read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > self._max_body_bytes:
            raise self._too_large()
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise BadBodyError("The client hung up before the body was complete.")
            part = message.get("body", b"")
            size += len(part)
            if size > self._max_body_bytes:
                raise self._too_large()
            parts.append(part)
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def _inflate_and_check(self, raw: bytes, encoding: bytes) -> CanonicalBody:
        return canonical(self._inflate(raw, encoding))

    def _inflate(self, raw: bytes, encoding: bytes) -> bytes:
        """Undo the content encoding, never producing more than the limit."""
        if encoding in {b"", b"identity"}:
            return raw
        if encoding not in {b"gzip", b"deflate"}:
            raise UnsupportedError(
                f"Content-Encoding {encoding.decode('latin-1')!r} is not understood; send gzip, "
                "deflate, or none."
            )
        # gzip has a header of its own; 32 lets zlib tell the two by it.
        inflater = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)
        try:
            body = inflater.decompress(raw, self._max_body_bytes + 1)
        except zlib.error as error:
            raise BadBodyError(f"The body is not sound {encoding.decode()}: {error}.") from error
        if len(body) > self._max_body_bytes:
            raise self._too_large()
        if not inflater.eof:
            raise BadBodyError(f"The {encoding.decode()} body is cut short.")
        return body

    def _too_large(self) -> TooLargeError:
        return TooLargeError(
            f"The body is over {self._max_body_bytes} bytes, as sent or decompressed. Send smaller "
            "batches, or raise TACHO_MAX_BODY_BYTES on the collector."
        )

    async def _append(self, body: CanonicalBody) -> None:
        """Wait until the body is on disk."""
        if self.stopping:
            raise NotNowError("The collector is stopping.")
        loop = asyncio.get_running_loop()
        durable: asyncio.Future[None] = loop.create_future()

        def settle(error: OSError | None) -> None:
            if durable.done():
                return
            if error is None:
                durable.set_result(None)
            else:
                durable.set_exception(error)

        def done(error: OSError | None) -> None:
            loop.call_soon_threadsafe(settle, error)

        try:
            self._log.append(self._project, body.data, body.spans, done)
            await durable
        except OSError as error:
            raise NotNowError(f"The collector cannot store more now: {error}.") from error


def _success(body: CanonicalBody) -> bytes:
    if not body.rejected:
        return _OK
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = body.rejected
    response.partial_success.error_message = (
        f"{body.rejected} spans have no usable trace id (16 bytes) or span id (8 bytes)."
    )
    return bytes(response.SerializeToString())


async def _refuse(
    send: Send, http_status: int, message: str, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    status = Status(code=_GRPC_CODES.get(http_status, 2), message=message)
    await _answer(send, http_status, status.SerializeToString(), PROTOBUF, headers)


async def _answer(
    send: Send,
    http_status: int,
    body: bytes,
    content_type: bytes,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    all_headers = [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode()),
        *(headers or []),
    ]
    await send({"type": "http.response.start", "status": http_status, "headers": all_headers})
    await send({"type": "http.response.body", "body": body})
