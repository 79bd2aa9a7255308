"""Sending answers the way ClickHouse sends them."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Mapping
from typing import IO

from tachograph_collector.gateway.errors import ClientGoneError, GatewayError
from tachograph_collector.gateway.request import Send

_SERVER_NAME = socket.gethostname().encode("ascii", "replace")
_PIECE_BYTES = 256 << 10
_CONTENT_TYPES = {
    "tabseparated": "text/tab-separated-values; charset=UTF-8",
    "tsv": "text/tab-separated-values; charset=UTF-8",
    "csv": "text/csv; charset=UTF-8",
    "json": "application/json; charset=UTF-8",
    "jsonlines": "application/x-ndjson; charset=UTF-8",
    "ndjson": "application/x-ndjson; charset=UTF-8",
    "xml": "application/xml; charset=UTF-8",
    "markdown": "text/markdown; charset=UTF-8",
    "pretty": "text/plain; charset=UTF-8",
    "vertical": "text/plain; charset=UTF-8",
    "values": "text/plain; charset=UTF-8",
    "tskv": "text/plain; charset=UTF-8",
}


class Answer:
    """One answer on its way to one client."""

    def __init__(self, send: Send, *, head_only: bool, send_timeout_s: float) -> None:
        self._send = send
        self._head_only = head_only
        self._send_timeout_s = send_timeout_s
        # Lets a client tell an error in the middle of a result from data that looks like one.
        self._tag = secrets.token_hex(8)
        self.started = False

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send status and headers."""
        self.started = True
        common = [
            (b"x-clickhouse-server-display-name", _SERVER_NAME),
            (b"x-clickhouse-exception-tag", self._tag.encode()),
            # Results are data, never pages.
            (b"x-content-type-options", b"nosniff"),
        ]
        given = [
            (name.lower().encode(), value.encode("latin-1", "replace"))
            for name, value in headers.items()
        ]
        await self._put(
            {"type": "http.response.start", "status": status, "headers": given + common}
        )

    async def piece(self, data: bytes, *, more: bool = True) -> None:
        """Send bytes of the body. Waits while the client is slow.

        Raises:
            ClientGoneError: it took longer than the limit.
        """
        body = b"" if self._head_only else data
        await self._put({"type": "http.response.body", "body": body, "more_body": more})

    async def file(self, file: IO[bytes], headers: Mapping[str, str]) -> None:
        """Send an answer whose body is complete."""
        left = file.seek(0, os.SEEK_END)
        file.seek(0)
        await self.start(200, {**headers, "Content-Length": str(left)})
        while left > _PIECE_BYTES:
            await self.piece(file.read(_PIECE_BYTES))
            left -= _PIECE_BYTES
        await self.piece(file.read(), more=False)

    async def text(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        """Send a short plain answer."""
        body = text.encode()
        await self.start(
            status,
            {
                "Content-Type": "text/plain; charset=UTF-8",
                "Content-Length": str(len(body)),
                **(headers or {}),
            },
        )
        await self.piece(body, more=False)

    def late_error(self, error: GatewayError, version: str) -> bytes:
        """What ends a result that failed half-way."""
        text = error.text(version).encode()
        tag = self._tag.encode()
        mark = b"__exception__"
        size = str(len(text)).encode()
        return b"\r\n".join([b"", mark, tag, text + size + b" " + tag, mark, b""])

    async def _put(self, message: dict[str, object]) -> None:
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await self._send(message)
        except (TimeoutError, OSError) as error:
            raise ClientGoneError from error


def content_type(format: str) -> str:
    """The media type of a result format."""
    name = format.lower()
    for known, media_type in _CONTENT_TYPES.items():
        if name == known or name.startswith(f"{known}withnames"):
            header = "; header=present" if name != known else "; header=absent"
            return media_type + (header if known == "csv" else "")
    if name.startswith("json"):
        return "application/json; charset=UTF-8"
    if name.startswith("pretty"):
        return _CONTENT_TYPES["pretty"]
    return "application/octet-stream"
