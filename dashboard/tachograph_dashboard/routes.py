"""HTTP routes beside the pages: bulk data goes here, not through the page's socket.

Each serves exactly what a signed link names (:mod:`.links`), and nothing without one.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tachograph_dashboard import data
from tachograph_dashboard.links import LinkRefusedError, Purpose, Target, read
from tachograph_schemas.rows import RunRow, SpanRow

# A finished run does not change under its version, so its link may be answered by the browser itself.
_KEPT = "private, max-age=7200, immutable"
_NOT_KEPT = "no-store"
_RUNNING = "running"


def _guarded(purpose: Purpose, answer: Callable[[Target], Response]) -> Route:
    """A route that reads its link, and turns every failure into a plain sentence."""

    async def endpoint(request: Request) -> Response:
        try:
            target = read(request.path_params["token"], purpose)
        except LinkRefusedError:
            return _refusal(403, "This link has expired. Load the page again.")
        try:
            return await run_in_threadpool(answer, target)
        except data.StoreError:
            return _refusal(503, "The store does not answer. Runs are still being recorded.")

    return Route(f"/data/{purpose}/{{token}}", endpoint, methods=["GET"])


def _tree(target: Target) -> Response:
    run = data.run(target.run_id, target.project)
    if run is None:
        return _refusal(404, "This run is no longer stored.")
    tree = data.run_tree(target.run_id, target.version, target.project)
    return Response(
        tree.packed,
        media_type="application/octet-stream",
        headers={
            "Content-Encoding": "gzip",
            "Cache-Control": _NOT_KEPT if run.outcome == _RUNNING else _KEPT,
        },
    )


def _span(target: Target) -> Response:
    row = data.span(target.run_id, target.span_id, target.version, target.project)
    if row is None:
        return _refusal(404, "This span is no longer stored.")
    return _Json(_plain(row), headers=_download(f"span-{target.span_id}"))


def _export(target: Target) -> Response:
    run = data.run(target.run_id, target.project)
    if run is None:
        return _refusal(404, "This run is no longer stored.")
    spans = data.export(target.run_id, target.project)
    return StreamingResponse(
        export_json(run, spans),
        media_type="application/json",
        headers=_download(f"run-{run.run_id}"),
    )


def export_json(run: RunRow, spans: Iterator[SpanRow]) -> Iterator[str]:
    """One JSON object, ``{"run": ..., "spans": [...]}``, a piece at a time."""
    yield f'{{"run": {_dump(_plain(run))},\n"spans": ['
    separator = "\n"
    for span in spans:
        yield separator + _dump(_plain(span))
        separator = ",\n"
    yield "\n]}\n"


def _plain(row: RunRow | SpanRow) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in dataclasses.fields(row)}


_dump = partial(json.dumps, ensure_ascii=False, default=str)


class _Json(JSONResponse):
    def render(self, content: Any) -> bytes:
        return _dump(content).encode("utf-8", "replace")


def _download(name: str) -> dict[str, str]:
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:100]
    return {
        "Content-Disposition": f'attachment; filename="{safe}.json"',
        "Cache-Control": _NOT_KEPT,
    }


def _refusal(status: int, sentence: str) -> Response:
    return PlainTextResponse(sentence, status, headers={"Cache-Control": _NOT_KEPT})


ROUTES = [_guarded("tree", _tree), _guarded("span", _span), _guarded("export", _export)]
