"""The control API's part on recordings: ``PUT`` and ``GET /api/v1/recordings/{run_id}``."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from tachograph_collector.control.access import Access
from tachograph_collector.errors import BodyError, NotNowError, TooLargeError
from tachograph_collector.recordings import RecordingStore
from tachograph_schemas.control import RECORDING_TYPE, RECORDINGS
from tachograph_schemas.queries import AmbiguousRunError
from tachograph_schemas.store import StoreError

BODY_LIMIT_BYTES = 64 << 20
_AT_ONCE = 2
"""Bodies held in memory at a time; whoever comes on top is told to wait."""


def add_recordings(api: FastAPI, recordings: RecordingStore, access: Access) -> None:
    """Add the two. Putting the same recording again changes nothing; 200 means that it is on disk."""
    places = asyncio.Semaphore(_AT_ONCE)

    @api.put(RECORDINGS + "/{run_id}")
    async def put(run_id: str, request: Request) -> Response:
        """Store a recording, a ``.tacho`` file."""
        project = access.needs("send")(request).project
        # A page of a browser cannot send this type elsewhere without asking first, and is then refused.
        if request.headers.get("content-type", "").partition(";")[0] != RECORDING_TYPE:
            return JSONResponse(
                {"detail": f"Send Content-Type: {RECORDING_TYPE}."}, status_code=415
            )
        if places.locked():
            return _not_now("Other recordings are being stored.", 1)
        async with places:
            try:
                body = await _read(request)
                added = await asyncio.to_thread(recordings.save, run_id, body, project)
            except BodyError as error:
                return JSONResponse({"detail": str(error)}, status_code=error.http_status)
            except NotNowError as error:
                return _not_now(str(error), error.retry_after_s)
            except StoreError as error:
                return JSONResponse({"detail": f"The engine refuses: {error}"}, status_code=500)
        return JSONResponse({"run_id": run_id, "added": added})

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
    """
    parts: list[bytes] = []
    size_bytes = 0
    async for part in request.stream():
        size_bytes += len(part)
        if size_bytes > BODY_LIMIT_BYTES:
            raise TooLargeError(f"A recording may have {BODY_LIMIT_BYTES:,} bytes.")
        parts.append(part)
    return b"".join(parts)
