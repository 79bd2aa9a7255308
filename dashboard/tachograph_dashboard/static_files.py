"""Streamlit's own scripts and styles, compressed once and kept.

Streamlit leaves compression to a proxy, and on a laptop there is none: 2 MB would travel for the first page.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import streamlit
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

_ROOT = (Path(streamlit.__file__).parent / "static" / "static").resolve()
_PREFIX = "/static/"
_TYPES = {".js": b"text/javascript; charset=utf-8", ".css": b"text/css; charset=utf-8"}
_LEVEL = 6


class CompressedStatic:
    """The middleware. What it does not know it passes on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._packed: dict[str, bytes] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self._body(scope)
        if body is None:
            await self._app(scope, receive, send)
            return
        headers = [
            (b"content-type", _TYPES[Path(scope["path"]).suffix]),
            (b"content-encoding", b"gzip"),
            (b"content-length", str(len(body)).encode()),
            (b"vary", b"accept-encoding"),
            # The names carry a hash of the content.
            (b"cache-control", b"public, max-age=31536000, immutable"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _body(self, scope: Scope) -> bytes | None:
        if scope["type"] != "http" or scope["method"] != "GET":
            return None
        path: str = scope["path"]
        if not path.startswith(_PREFIX) or Path(path).suffix not in _TYPES or not takes_gzip(scope):
            return None
        if path not in self._packed:
            packed = await run_in_threadpool(_pack, path)
            if packed is None:
                return None
            self._packed[path] = packed
        return self._packed[path]


def takes_gzip(scope: Scope) -> bool:
    """Whether the one who asks reads compressed answers."""
    return any(name == b"accept-encoding" and b"gzip" in value for name, value in scope["headers"])


def _pack(path: str) -> bytes | None:
    file = (_ROOT / path.removeprefix(_PREFIX)).resolve()
    if not file.is_relative_to(_ROOT) or not file.is_file():
        return None
    return gzip.compress(file.read_bytes(), _LEVEL)
