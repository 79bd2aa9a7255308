"""OTLP/HTTP: a body comes in, is checked, reaches the disk, and only then is acknowledged.

The answers are those of the OTLP specification: 200 with a partial success when single spans were dropped,
400 / 413 / 415 that a client must not retry, 503 with ``Retry-After`` that it should. JSON is answered with JSON,
everything else with protobuf; the body of an error is a ``google.rpc.Status``. There are no CORS headers: pages of
a browser have no business here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from tachograph_collector import signals
from tachograph_collector.content import encoding_of, too_large
from tachograph_collector.errors import (
    BadBodyError,
    BodyError,
    NotNowError,
    StalledError,
    UnsupportedError,
)
from tachograph_collector.kept_bodies import KeptBodies
from tachograph_collector.keys import KEY_NEEDED, Keys
from tachograph_collector.memory import Loan
from tachograph_collector.receive import Parcel, Protocol, Receiver
from tachograph_schemas.control import KEEP, KEPT

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_Headers = list[tuple[bytes, bytes]]

PROTOBUF = b"application/x-protobuf"
JSON = b"application/json"
_PROTOCOLS: dict[bytes, Protocol] = {
    PROTOBUF: "http/protobuf",
    b"application/protobuf": "http/protobuf",
    JSON: "http/json",
}
_SIGNALS = {face.path: face for face in signals.FACES.values()}
_GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 408: 4, 413: 3, 415: 3, 503: 14}
_KEEP, _KEPT = KEEP.lower().encode(), KEPT.lower().encode()
STALL_S = 30.0
"""Whoever sends nothing more of a body for so long is not waited for."""


def is_otlp(method: str, path: str) -> bool:
    """Whether a request is for the intake; clients put all sorts of paths before ``/v1/traces``."""
    if method != "POST" and path.startswith("/api/v1/"):
        return False
    return path.endswith(tuple(_SIGNALS))


class Intake:
    """The ASGI application behind ``/v1/traces``, ``/v1/logs`` and ``/v1/metrics``."""

    def __init__(
        self,
        receiver: Receiver,
        keys: Keys,
        kept: KeptBodies | None = None,
        *,
        stall_s: float = STALL_S,
    ) -> None:
        self._receiver = receiver
        self._keys = keys
        self._kept = kept
        self._stall_s = stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = _joined(scope["headers"])
        is_json = _content_type(headers) == JSON
        if scope["method"] != "POST":
            await _refuse(send, 405, "Send OTLP with POST.", is_json, [(b"allow", b"POST")])
            return
        signal = next(_SIGNALS[path] for path in _SIGNALS if scope["path"].endswith(path))
        if b"origin" in headers:
            # Whatever a page sends says where it comes from, also when its name was bent to this machine's address.
            self._receiver.count_refusal("unauthorized", signal.name)
            await _refuse(send, 403, "Pages of a browser may not send here.", is_json)
            return
        project = self._keys.project(headers.get(b"authorization", b""))
        if project is None:
            self._receiver.count_refusal("unauthorized", signal.name)
            await _refuse(send, 401, KEY_NEEDED, is_json, [(b"www-authenticate", b"Bearer")])
            return
        try:
            response, more = await self._answer(signal, headers, receive, project)
        except BodyError as error:
            self._receiver.count_refusal(error, signal.name)
            # Whoever stalled is not waited for any more.
            closing = [(b"connection", b"close")] if isinstance(error, StalledError) else None
            await _refuse(send, error.http_status, str(error), is_json, closing)
        except NotNowError as error:
            self._receiver.count_refusal(error, signal.name)
            retry = str(round(error.retry_after_s)).encode()
            await _refuse(send, 503, str(error), is_json, [(b"retry-after", retry)])
        else:
            await _send(send, 200, response, is_json, more)

    async def _answer(
        self,
        signal: signals.SignalFace,
        headers: dict[bytes, bytes],
        receive: Receive,
        project: str,
    ) -> tuple[Message, _Headers]:
        protocol = _protocol(headers)
        encoding = encoding_of(headers.get(b"content-encoding", b""))
        with self._receiver.memory.loan() as loan:
            raw = await self._read(headers, receive, loan)
            parcel = Parcel(raw, project, protocol, encoding, signal)
            answer: Message = signal.answer(await self._receiver.take(parcel, loan))
        name = headers.get(_KEEP, b"").decode("latin-1")
        if name and self._kept is not None and self._kept.keep(project, name, raw, encoding):
            return answer, [(_KEPT, b"1")]
        return answer, []

    async def _read(self, headers: dict[bytes, bytes], receive: Receive, loan: Loan) -> bytes:
        most = self._receiver.max_body_bytes
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > most:
            raise too_large(most)
        parts: list[bytes] = []
        size = 0
        while True:
            try:
                async with asyncio.timeout(self._stall_s):
                    message = await receive()
            except TimeoutError:
                raise StalledError(
                    f"Nothing more of the body came for {self._stall_s:g} seconds."
                ) from None
            if message["type"] == "http.disconnect":
                raise BadBodyError("The client hung up before the body was complete.")
            part = message.get("body", b"")
            size += len(part)
            if size > most:
                raise too_large(most)
            loan.claim(len(part))
            parts.append(part)
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)


def _joined(headers: _Headers) -> dict[bytes, bytes]:
    """Headers by name; one that comes twice means its values one after the other."""
    out: dict[bytes, bytes] = {}
    for name, value in headers:
        out[name] = out[name] + b"," + value if name in out else value
    return out


def _content_type(headers: dict[bytes, bytes]) -> bytes:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def _protocol(headers: dict[bytes, bytes]) -> Protocol:
    given = _content_type(headers)
    if given in _PROTOCOLS:
        return _PROTOCOLS[given]
    # One that is missing is refused too: a page of a browser may send that anywhere without asking.
    raise UnsupportedError(
        f"Content-Type {given.decode('latin-1')[:80]!r} is not understood; send application/x-protobuf "
        "or application/json."
    )


async def _refuse(
    send: Send, http_status: int, message: str, is_json: bool, headers: _Headers | None = None
) -> None:
    status = Status(code=_GRPC_CODES.get(http_status, 2), message=message)
    await _send(send, http_status, status, is_json, headers)


async def _send(
    send: Send, http_status: int, message: Message, is_json: bool, headers: _Headers | None = None
) -> None:
    if is_json:
        body = json_format.MessageToJson(message, indent=None).encode()
    else:
        body = message.SerializeToString()
    all_headers = [
        (b"content-type", JSON if is_json else PROTOBUF),
        (b"content-length", str(len(body)).encode()),
        *(headers or []),
    ]
    await send({"type": "http.response.start", "status": http_status, "headers": all_headers})
    await send({"type": "http.response.body", "body": body})
