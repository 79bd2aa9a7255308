"""Reading one HTTP request the way ClickHouse reads it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

from tachograph_collector.gateway.compression import inflate
from tachograph_collector.gateway.errors import (
    BAD_ARGUMENTS,
    NOT_IMPLEMENTED,
    QUERY_IS_TOO_LARGE,
    ClientGoneError,
    GatewayError,
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_PRINTABLE = re.compile(r"[!-~]{1,128}\Z")


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """A request for a query."""

    method: str
    query: bytes
    """The text in the URL or the form."""
    body: bytes
    """The body after decompression; more text, or the data of an insert."""
    parameters: Mapping[str, str]
    """Query parameters without their ``param_``."""
    options: Mapping[str, str]
    """Everything else in the URL: settings, and what steers the protocol."""
    headers: Mapping[str, str]

    @property
    def text(self) -> bytes:
        """The statement: the query, and the body behind it when there are both."""
        return b"\n".join(part for part in (self.query, self.body) if part)

    @property
    def database(self) -> str:
        """The database that unqualified names are looked up in."""
        return (
            self.options.get("database") or self.headers.get("x-clickhouse-database") or "default"
        )

    @property
    def default_format(self) -> str:
        """The format of a result whose statement names none."""
        return (
            self.options.get("default_format")
            or self.headers.get("x-clickhouse-format")
            or "TabSeparated"
        )

    @property
    def wants_whole_answer(self) -> bool:
        """Whether the client waits for the end, to get a late error as a status."""
        return "1" in {
            self.options.get("wait_end_of_query"),
            self.options.get("http_wait_end_of_query"),
        }


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers by lower-cased name; of repeated ones the last."""
    return {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
    }


def options_of(scope: Scope) -> dict[str, str]:
    """The URL's parameters; of repeated ones the last, as with the server."""
    text = scope["query_string"].decode("latin-1")
    try:
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=1000))
    except ValueError as error:
        raise GatewayError(BAD_ARGUMENTS, f"The URL cannot be read: {error}") from error


def query_id(options: Mapping[str, str]) -> str:
    """The client's id of the query, or a new one when it gave none that fits into a header."""
    given = options.get("query_id", "")
    return given if _PRINTABLE.match(given) else str(uuid.uuid4())


async def read_body(receive: Receive, limit_bytes: int) -> bytes:
    """The whole body.

    Raises:
        GatewayError: QUERY_IS_TOO_LARGE.
        ClientGoneError: the client went away before the end.
    """
    pieces, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit_bytes:
            raise GatewayError(QUERY_IS_TOO_LARGE, f"The body is over {limit_bytes} bytes.")
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)


def build(
    method: str,
    headers: Mapping[str, str],
    options: Mapping[str, str],
    body: bytes,
    limit_bytes: int,
) -> QueryRequest:
    """Put the parts of a request together.

    Raises:
        GatewayError: it cannot be read, or asks for what the gateway does not speak.
    """
    fields = dict(options)
    for name in ("compress", "decompress"):
        if fields.get(name, "0") not in {"0", "false", ""}:
            raise GatewayError(
                NOT_IMPLEMENTED,
                f"{name}=1 is not supported: use HTTP compression (Accept-Encoding, Content-Encoding).",
            )
    body = inflate(body, headers.get("content-encoding", "").strip().lower(), limit_bytes)
    query = fields.pop("query", "").encode()
    if headers.get("content-type", "").lower().startswith("multipart/form-data"):
        form = _form(headers["content-type"], body)
        query = b"\n".join(part for part in (query, form.pop("query", b"")) if part)
        fields |= {name: value.decode("utf-8", "replace") for name, value in form.items()}
        body = b""
    return QueryRequest(
        method=method,
        query=query,
        body=body,
        parameters={
            name.removeprefix("param_"): value
            for name, value in fields.items()
            if name.startswith("param_")
        },
        options={name: value for name, value in fields.items() if not name.startswith("param_")},
        headers=headers,
    )


def _form(content_type: str, body: bytes) -> dict[str, bytes]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1")
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    if not message.is_multipart():
        raise GatewayError(BAD_ARGUMENTS, "The multipart body cannot be read.")
    fields = {}
    for part in message.iter_parts():
        if part.get_filename() is not None:
            raise GatewayError(NOT_IMPLEMENTED, "External tables are not supported.")
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(payload, bytes):
            raise GatewayError(BAD_ARGUMENTS, "The multipart body cannot be read.")
        fields[name] = payload
    return fields
