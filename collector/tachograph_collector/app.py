"""The HTTP face of the collector: which path leads where."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse

from tachograph_collector.intake import Intake, Receive, Scope, Send, is_otlp
from tachograph_collector.loader import Loader
from tachograph_collector.metrics import Metrics
from tachograph_collector.wal import Log


class CollectorApp:
    """OTLP goes straight to the intake; everything else to the control API."""

    def __init__(self, otlp: Intake, control: FastAPI) -> None:
        self._otlp = otlp
        self._control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatch one request."""
        if scope["type"] == "http" and is_otlp(scope["method"], scope["path"]):
            await self._otlp(scope, receive, send)
        else:
            await self._control(scope, receive, send)


def control_api(version: str, log: Log, loader: Loader, metrics: Metrics) -> FastAPI:
    """Health, readiness, metrics, and the API under ``/api/v1``."""
    api = FastAPI(
        title="Tachograph collector",
        version=version,
        openapi_url="/api/v1/openapi.json",
        # The interactive pages would load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
    )

    @api.get("/healthz", response_class=PlainTextResponse)
    def alive() -> str:
        """The process lives and answers."""
        return "ok\n"

    @api.get("/readyz")
    def ready() -> JSONResponse:
        """Whether what is sent now will be queryable in a moment."""
        state = _state(version, log, loader)
        return JSONResponse(state, status_code=200 if state["status"] == "ok" else 503)

    @api.get("/metrics", response_class=PlainTextResponse)
    def prometheus() -> str:
        """Counters and gauges as Prometheus text."""
        return metrics.text()

    @api.get("/api/v1/health")
    def health() -> dict[str, Any]:
        """The same as ``/readyz``, always answered with 200."""
        return _state(version, log, loader)

    return api


def _state(version: str, log: Log, loader: Loader) -> dict[str, Any]:
    starting = not loader.ready.is_set()
    return {
        "status": "starting" if starting else "trouble" if loader.trouble else "ok",
        "version": version,
        "trouble": loader.trouble,
        "unstored_bytes": log.unstored_bytes,
        "oldest_unstored_s": round(log.oldest_unstored_s, 3),
        "damaged_log_files": [path.name for path in log.damaged],
    }
