"""The control API's part on recordings: ``POST /api/v1/recordings``, ``PUT`` and ``GET /api/v1/recordings/{run_id}``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from tachograph_collector.content import encoding_of
from tachograph_collector.control.access import Access
from tachograph_collector.errors import (
    BadBodyError,
    BodyError,
    NotNowError,
    StalledError,
    TooLargeError,
)
from tachograph_collector.intake import STALL_S
from tachograph_collector.kept_bodies import KeptBodies
from tachograph_collector.recordings import RecordingStore
from tachograph_schemas.control import PREFIX, RECORDING_TYPE, RECORDINGS, RECORDINGS_TYPE
from tachograph_schemas.queries import AmbiguousRunError
from tachograph_schemas.store import StoreError

BODY_LIMIT_BYTES = 64 << 20
_AT_ONCE = 2
"""Bodies held in memory at a time; whoever comes on top is told to wait."""


class _Door:
    """Takes the bodies of requests, few at a time, and answers them."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def take(
        self, request: Request, content_type: str, save: Callable[[bytes, str], dict[str, Any]]
    ) -> Response:
        """``save`` is given the body and whose it is; what it returns is the answer."""
        project = self._access.needs("send")(request).project
        # A page of a browser cannot send this type elsewhere without asking first, and is then refused.
        if request.headers.get("content-type", "").partition(";")[0] != content_type:
            return JSONResponse({"detail": f"Send Content-Type: {content_type}."}, status_code=415)
        if self._places.locked():
            return _not_now("Other recordings are being stored.", 1)
        async with self._places:
            try:
                body = await _read(request)
                said = await asyncio.to_thread(save, body, project)
            except BodyError as error:
                return JSONResponse({"detail": str(error)}, status_code=error.http_status)
            except NotNowError as error:
                return _not_now(str(error), error.retry_after_s)
            except StoreError as error:
                return JSONResponse({"detail": f"The engine refuses: {error}"}, status_code=500)
        return JSONResponse(said)


def add_recordings(
    api: FastAPI, recordings: RecordingStore, access: Access, kept: KeptBodies
) -> None:
    """Add the three; ``kept`` has what bodies may be compressed against. Sending the same recording again changes nothing; 200 means that it is on disk."""
    door = _Door(access)

    @api.put(RECORDINGS + "/{run_id}")
    async def put(run_id: str, request: Request) -> Response:
        """Store a recording, a ``.tacho`` file."""

        def save(body: bytes, project: str) -> dict[str, Any]:
            return {"run_id": run_id, "added": recordings.save(run_id, body, project)}

        return await door.take(request, RECORDING_TYPE, save)

    @api.post(RECORDINGS)
    async def post(request: Request) -> Response:
        """Store several recordings, each after its length in four bytes, all or none."""

        def save(body: bytes, project: str) -> dict[str, Any]:
            encoding = encoding_of(request.headers.get("content-encoding", "").encode("latin-1"))
            prefix = kept.prefix(project, request.headers.get(PREFIX, ""))
            return {"added": recordings.save_several(body, encoding, project, prefix)}

        return await door.take(request, RECORDINGS_TYPE, save)

    @api.get(RECORDINGS + "/{run_id}")
    async def get(run_id: str, request: Request) -> Response:
        """The recording of the run whose id begins so, a ``.tacho`` file."""
        project = access.needs("look")(request).project
        try:
            found = await asyncio.to_thread(recordings.load, run_id, project)
        except AmbiguousRunError as error:
            return JSONResponse({"detail": str(error)}, status_code=409)
        except NotNowError as error:
            return _not_now(str(error), error.retry_after_s)
        except StoreError as error:
            return JSONResponse({"detail": f"The engine refuses: {error}"}, status_code=500)
        if found is None:
            detail = f"There is no recording of a run {run_id[:64]!r}."
            return JSONResponse({"detail": detail}, status_code=404)
        return Response(found, media_type=RECORDING_TYPE)


def _not_now(detail: str, after_s: float) -> JSONResponse:
    headers = {"Retry-After": str(max(round(after_s), 1))}
    return JSONResponse({"detail": detail}, status_code=503, headers=headers)


async def _read(request: Request) -> bytes:
    """The body, within its limit.

    Raises:
        TooLargeError: it is longer.
        StalledError: the client stopped sending; others wait for its place.
        BadBodyError: the client hung up.
    """
    parts: list[bytes] = []
    size_bytes = 0
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(STALL_S):
                part = await anext(stream, None)
        except TimeoutError:
            raise StalledError(f"Nothing more of the body came for {STALL_S:g} seconds.") from None
        except ClientDisconnect:
            raise BadBodyError("The client hung up before the body was complete.") from None
        if part is None:
            return b"".join(parts)
        size_bytes += len(part)
        if size_bytes > BODY_LIMIT_BYTES:
            raise TooLargeError(f"A recording may have {BODY_LIMIT_BYTES:,} bytes.")
        parts.append(part)
