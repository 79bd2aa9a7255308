"""The control API's part on the quarantine: what is in it, and trying it again."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from tachograph_collector.control.access import Access
from tachograph_collector.quarantine import Quarantine
from tachograph_collector.quarantine_retry import QuarantineRetry


def add_quarantine(
    api: FastAPI, quarantine: Quarantine, retry: QuarantineRetry, access: Access
) -> None:
    """Add ``GET /api/v1/quarantine`` and ``POST /api/v1/quarantine/retry``.

    For who runs the collector alone: it holds bodies of every project.
    """
    only_for = [Depends(access.owner)]

    @api.get("/api/v1/quarantine", dependencies=only_for)
    def listed() -> JSONResponse:
        """Count and bytes of what is set aside, why the newest is, and how many are being tried again."""
        return JSONResponse(_state(quarantine, retry))

    @api.post("/api/v1/quarantine/retry", dependencies=only_for)
    def retried(request: Request) -> JSONResponse:
        """Put everything through again; what fails again comes back with its new reason."""
        # A page of a browser cannot send this type elsewhere without asking first, and is then refused.
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return JSONResponse({"detail": "Send Content-Type: application/json."}, status_code=415)
        try:
            moved = quarantine.retry_all()
        except OSError as error:
            return JSONResponse(
                {"detail": f"{quarantine.directory} cannot be changed: {error}"}, status_code=500
            )
        retry.wake()
        return JSONResponse({"retried": moved})


def _state(quarantine: Quarantine, retry: QuarantineRetry) -> dict[str, Any]:
    # In this order: a body that comes back meanwhile would else be in neither of the two.
    waiting = retry.waiting
    bodies = quarantine.bodies()
    return {
        "bodies": len(bodies),
        "bytes": sum(body.bytes for body in bodies),
        "newest_reason": bodies[-1].reason if bodies else "",
        "path": str(quarantine.directory),
        "retrying": waiting,
    }
