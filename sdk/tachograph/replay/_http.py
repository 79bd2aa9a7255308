"""Requests of httpx clients as effects: status, headers and body, streams chunk by chunk.

One seam for every client that is built on httpx or its successor, the official clients of model providers among them:
what they make of an answer (types, retries, errors, events of a stream) is done again by their own code.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from tachograph.replay._place import here
from tachograph.replay._seam import EffectSeam, effect
from tachograph.replay._swap import swapped

_MODULES = ("httpx", "httpx2")
_DROPPED_HEADERS = frozenset(("content-encoding", "content-length", "transfer-encoding"))
_SECRET_HEADERS = frozenset(("set-cookie", "authorization", "www-authenticate"))
_undo: list[Callable[[], None]] = []
_done: set[str] = set()


def install() -> None:
    """Wrap the clients of the modules that are loaded. Safe to repeat, as more may be loaded later."""
    for name in _MODULES:
        module = sys.modules.get(name)
        if module is None or name in _done or not hasattr(module, "AsyncClient"):
            continue
        _done.add(name)
        _wrap(module, module.Client, _sync_send)
        _wrap(module, module.AsyncClient, _async_send)


def uninstall() -> None:
    """Give the clients their own methods back."""
    while _undo:
        _undo.pop()()
    _done.clear()


def _wrap(module: Any, cls: Any, wrapper: Callable[[Any, Any], Any]) -> None:
    original = cls.send
    cls.send = functools.wraps(original)(wrapper(module, original))
    _undo.append(lambda: setattr(cls, "send", original))


def _seam(request: Any, *, stream: bool) -> EffectSeam | None:
    if here() is None:
        return None
    url = request.url
    name = f"{request.method} {url.host}{url.path}"
    given = {
        "method": request.method,
        "url": str(url.copy_with(username=None, password=None)),
        "body": _body(request),
        "stream": stream,
    }
    return effect("http", name, given)


def _body(request: Any) -> Any:
    try:
        content = request.content
    except Exception:
        return None  # a body that is made while it is sent
    if not content:
        return None
    try:
        return json.loads(content)
    except ValueError:
        return bytes(content)


def _async_send(module: Any, original: Callable[..., Any]) -> Callable[..., Any]:
    async def send(self: Any, request: Any, *, stream: bool = False, **options: Any) -> Any:
        seam = _seam(request, stream=stream)
        if seam is None:
            asked = swapped(module, request, is_effect=False)
            return await original(self, asked, stream=stream, **options)

        if not stream:

            async def whole() -> dict[str, Any]:
                asked = swapped(module, request, is_effect=True)
                response = await original(self, asked, **options)
                return {**_head(response), "content": response.content}

            return _response(module, request, await seam.acall(whole, (), {}))

        async def parts() -> AsyncIterator[Any]:
            asked = swapped(module, request, is_effect=True)
            response = await original(self, asked, stream=True, **options)
            try:
                yield _head(response)
                async for chunk in response.aiter_bytes():
                    yield chunk
            finally:
                await response.aclose()

        items = seam.agen(parts, (), {})
        head = await anext(items)
        return _response(module, request, head, _AsyncBody(items))

    return send


def _sync_send(module: Any, original: Callable[..., Any]) -> Callable[..., Any]:
    def send(self: Any, request: Any, *, stream: bool = False, **options: Any) -> Any:
        seam = _seam(request, stream=stream)
        if seam is None:
            asked = swapped(module, request, is_effect=False)
            return original(self, asked, stream=stream, **options)

        if not stream:

            def whole() -> dict[str, Any]:
                response = original(self, swapped(module, request, is_effect=True), **options)
                return {**_head(response), "content": response.content}

            return _response(module, request, seam.call(whole, (), {}))

        def parts() -> Iterator[Any]:
            asked = swapped(module, request, is_effect=True)
            response = original(self, asked, stream=True, **options)
            try:
                yield _head(response)
                yield from response.iter_bytes()
            finally:
                response.close()

        items = seam.gen(parts, (), {})
        return _response(module, request, next(items), _SyncBody(items))

    return send


def _head(response: Any) -> dict[str, Any]:
    headers = [
        [name, value]
        for name, value in response.headers.multi_items()
        if name.lower() not in _DROPPED_HEADERS | _SECRET_HEADERS
    ]
    return {"status": response.status_code, "headers": headers, "http": response.http_version}


def _response(module: Any, request: Any, given: dict[str, Any], body: Any = None) -> Any:
    """A response of the client's own kind."""
    options: dict[str, Any] = {"stream": _stream_of(module, body)} if body is not None else {}
    if body is None:
        options["content"] = given["content"]
    return module.Response(
        given["status"],
        headers=[(name, value) for name, value in given["headers"]],
        request=request,
        extensions={"http_version": given["http"].encode("ascii", "replace")},
        **options,
    )


class _AsyncBody:
    def __init__(self, items: Any) -> None:
        self.items = items

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self.items:
            yield chunk

    async def aclose(self) -> None:
        await self.items.aclose()


class _SyncBody:
    def __init__(self, items: Any) -> None:
        self.items = items

    def __iter__(self) -> Iterator[bytes]:
        yield from self.items

    def close(self) -> None:
        self.items.close()


def _stream_of(module: Any, body: Any) -> Any:
    base = module.AsyncByteStream if isinstance(body, _AsyncBody) else module.SyncByteStream
    return type("RecordedBody", (type(body), base), {})(body.items)
