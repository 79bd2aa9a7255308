"""Who calls the control API, and whether they may: dependencies of its routes."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BeforeValidator, StringConstraints

from tachograph_collector.keys import KEY_NEEDED, Caller, Keys, Right
from tachograph_schemas.control import MOST_NAME, RECORDINGS

Scope = dict[str, Any]
Asgi = Callable[[Any, Any, Any], Awaitable[None]]
MOST_BODY_BYTES = 1 << 20
_READ_IN_PIECES = re.compile(re.escape(RECORDINGS) + "(/.*)?", re.DOTALL)
"""Whose routes keep a bound of their own while they read."""
_HOST = re.compile(r"\[([^\]]+)\](?::\d+)?|([^:]+)(?::\d+)?")


def _storable(text: Any) -> Any:
    """Without what a database cannot hold: half characters and NUL."""
    if not isinstance(text, str):
        return text
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")


Name = Annotated[str, StringConstraints(max_length=MOST_NAME), BeforeValidator(_storable)]
Sentence = Annotated[str, StringConstraints(max_length=4_000), BeforeValidator(_storable)]
Document = Annotated[str, StringConstraints(max_length=MOST_BODY_BYTES), BeforeValidator(_storable)]


class Access:
    """What a route asks for: ``caller: Annotated[Caller, Depends(access.needs("look"))]``."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def needs(self, *rights: Right) -> Callable[[Request], Caller]:
        """A dependency that lets those pass who have one of ``rights``."""

        def check(request: Request) -> Caller:
            given = request.headers.get("authorization", "").encode("latin-1", "replace")
            caller = self._keys.caller(given)
            if caller is None:
                raise HTTPException(401, KEY_NEEDED, {"WWW-Authenticate": "Bearer"})
            _refuse_pages(request, caller)
            if not caller.rights.intersection(rights):
                raise HTTPException(403, "This key may not do that; `tacho key list` shows roles.")
            return caller

        return check

    def owner(self, request: Request) -> Caller:
        """A dependency that lets those pass who run the collector: what is asked for is of all projects."""
        caller = self.needs("administer")(request)
        if not caller.is_owner:
            raise HTTPException(403, "This is for who runs the collector: TACHO_API_KEY.")
        return caller


def _refuse_pages(request: Request, caller: Caller) -> None:
    """Pages of a browser have no business here, least of all where no key is needed.

    A page says where it comes from (``Origin``) whenever it changes something; one whose name was bent to this
    machine's address (DNS rebinding) asks for that name.
    """
    if "origin" in request.headers:
        raise HTTPException(403, "Pages of a browser may not use this API.")
    if caller.is_keyless and not _is_this_machine(request.headers.get("host", "")):
        raise HTTPException(403, "Without a key, ask for 127.0.0.1 or localhost.")


def _is_this_machine(host: str) -> bool:
    match = _HOST.fullmatch(host)
    name = (match[1] or match[2]).lower() if match else ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class BoundedBodies:
    """Refuses what is too large before it is read; what has no length is not read at all."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request, or hand it on."""
        reads = scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "DELETE"}
        if not reads and not _READ_IN_PIECES.fullmatch(scope["path"]):
            headers = dict(scope["headers"])
            length = headers.get(b"content-length", b"")
            if b"transfer-encoding" in headers and not length:
                await _refusal(411, "Send a Content-Length.")(scope, receive, send)
                return
            if length.isdigit() and int(length) > MOST_BODY_BYTES:
                sentence = f"At most {MOST_BODY_BYTES:,} bytes."
                await _refusal(413, sentence)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _refusal(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status, headers={"connection": "close"})


def explained(_request: Request, error: Exception) -> Response:
    """What is wrong with a request, without quoting it: it may hold what cannot be sent back."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    detail = [{"loc": each["loc"], "msg": each["msg"]} for each in found]
    return Response(json.dumps({"detail": detail}), 422, media_type="application/json")


def actor(name: str, caller: Caller) -> str:
    """Who did it, for the audit log: the name that was given, and what vouches for it."""
    vouched = f"key {caller.key} {caller.name!r}" if caller.key else caller.name
    return f"{name} ({vouched})" if name else vouched
