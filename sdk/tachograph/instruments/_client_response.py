"""Bodies of the clients' responses, observed where the HTTP client reads them.

A response's byte stream is replaced by one that passes everything on and tells an :class:`Observer`: the
same place where the client's own tracing looks. It sees every way of reading, closing or dropping a response
without a change in what the caller holds.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Protocol

from tachograph._guard import guarded


class Observer(Protocol):
    """Learns what happens to a body. The methods do not raise."""

    def chunk(self, data: bytes) -> None:
        """Some of the body was read, as it came over the wire."""

    def read(self) -> None:
        """The body was read to its end."""

    def closed(self) -> None:
        """The response was closed or dropped; also follows :meth:`read`."""


def observe(response: Any, observer: Observer) -> None:
    """Tell ``observer`` what becomes of the unread body of ``response``."""
    body = response.stream
    sync, asynchronous = _body_types(_http_library(response))
    response.stream = (sync if hasattr(body, "__iter__") else asynchronous)(body, observer)


def message_fields(message: Any) -> Mapping[str, Any]:
    """A message as plain data: from a model object, or from JSON that was read already."""
    if isinstance(message, Mapping):
        return message
    to_dict = getattr(message, "to_dict", None)
    fields = to_dict(mode="json", warnings=False) if callable(to_dict) else {}
    return fields if isinstance(fields, Mapping) else {}


def body_fields(response: Any) -> Mapping[str, Any]:
    """The message in a response whose body was read already; nothing when it was not."""
    try:
        fields = json.loads(response.content)
    except (RuntimeError, ValueError):
        # Not read, or not JSON: RuntimeError is what the HTTP client derives its errors from.
        return {}
    return fields if isinstance(fields, Mapping) else {}


def wire_fields(response: Any, raw: bytes) -> Mapping[str, Any]:
    """The message in the bytes of a body as they came over the wire, compressed or not."""
    library = sys.modules[_http_library(response)]
    return body_fields(library.Response(200, headers=response.headers, content=raw))


def _http_library(response: Any) -> str:
    """``httpx`` or ``httpx2``: clients take either, and each wants bodies of its own types."""
    return next(
        name
        for name in (base.__module__.partition(".")[0] for base in type(response).__mro__)
        if name in {"httpx", "httpx2"}
    )


@functools.cache
def _body_types(library: str) -> tuple[type, type]:
    """Our two kinds of body as that library's."""
    module = sys.modules[library]
    return (
        type("SyncBody", (_SyncBody, module.SyncByteStream), {}),
        type("AsyncBody", (_AsyncBody, module.AsyncByteStream), {}),
    )


class _Body:
    """What both kinds of body share."""

    def __init__(self, body: Any, observer: Observer) -> None:
        self._body = body
        self._observer = observer

    def __getattr__(self, name: str) -> Any:
        # The client looks for `stream_observer`, the HTTP client for `elapsed`.
        if name in {"_body", "_observer"}:
            raise AttributeError(name)
        return getattr(self._body, name)

    def __del__(self) -> None:
        with guarded("noticing a dropped response"):
            self._observer.closed()


class _SyncBody(_Body):
    def __iter__(self) -> Iterator[bytes]:
        for data in self._body:
            self._observer.chunk(data)
            yield data
        self._observer.read()

    def close(self) -> None:
        self._observer.closed()
        self._body.close()


class _AsyncBody(_Body):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._body:
            self._observer.chunk(data)
            yield data
        self._observer.read()

    async def aclose(self) -> None:
        self._observer.closed()
        await self._body.aclose()
