"""The only way from the pages to the store: named queries, answered from a short memory.

Every function blocks until the answer is there and raises :data:`StoreError` when the store does not
answer. Values are shared between sessions: read them, never change them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from clickhouse_connect.driver.client import Client

from tachograph_dashboard.cache import TimedCache
from tachograph_dashboard.columns import TreeColumns, tree_columns
from tachograph_schemas import account, comparison, queries, recordings, store
from tachograph_schemas.account.model import Account, Usual
from tachograph_schemas.comparison import Parted
from tachograph_schemas.queries import DEFAULT_PROJECT, RunFilter, RunPage
from tachograph_schemas.recordings import RecordingState
from tachograph_schemas.rows import AccountSpan, Facets, RunRow, RunsSummary, SpanRow, TrendSlice
from tachograph_schemas.rows_costs import ModelPrice

Answer = TypeVar("Answer")
StoreError = (store.StoreError, OSError)
"""What a page shows as "the store does not answer"."""

PAGE_ROWS = 50
FRESH_S = 2.0
"""How old the answer to a question about a changing thing may be."""
KEPT_S = 600.0
"""How long an answer is kept that is named by its version and so never becomes wrong."""
_CONNECT_TIMEOUT_S = 3
_QUERY_TIMEOUT_S = 30
_PAYLOAD_CHARS = 8_000
_MOST_STEPS = 8_000
"""Of a run that is compared: twice what the comparison reads, as some spans show a call once more."""


@dataclass(frozen=True, slots=True)
class RunsView:
    """All that the page of runs shows for one filter."""

    summary: RunsSummary
    trend: tuple[TrendSlice, ...]


_connection: Client | None = None
_connecting = threading.Lock()
_views: TimedCache[RunsView] = TimedCache(FRESH_S, 64)
_pages: TimedCache[tuple[RunRow, ...]] = TimedCache(FRESH_S, 64)
_facets: TimedCache[Facets] = TimedCache(FRESH_S, 8)
_runs: TimedCache[RunRow | None] = TimedCache(FRESH_S, 64)
_versions: TimedCache[int] = TimedCache(1.0, 64)
_accounts: TimedCache[Account] = TimedCache(KEPT_S, 32)
_usual: TimedCache[Usual | None] = TimedCache(60.0, 64)
_nearest: TimedCache[Parted | None] = TimedCache(60.0, 32)
_steps: TimedCache[tuple[AccountSpan, ...]] = TimedCache(KEPT_S, 8)
_recordings: TimedCache[RecordingState | None] = TimedCache(FRESH_S, 64)
_trees: TimedCache[TreeColumns] = TimedCache(KEPT_S, 16)
_spans: TimedCache[SpanRow | None] = TimedCache(KEPT_S, 128)
_prices: TimedCache[ModelPrice | None] = TimedCache(60.0, 64)

_caches: list[TimedCache[Any]] = [
    _views, _pages, _facets, _runs, _versions, _accounts, _usual, _nearest, _trees, _spans, _prices,
]  # fmt: skip


def forget_with(*caches: TimedCache[Any]) -> None:
    """Have :func:`forget` clear these too: the answers that a page keeps by itself."""
    _caches.extend(caches)


def forget() -> None:
    """Drop the connection and every answer: the reader asked to try again."""
    global _connection
    with _connecting:
        _connection = None
    for cache in _caches:
        cache.clear()
    _steps.clear()
    _recordings.clear()


def is_empty() -> bool:
    """Whether no run was ever recorded."""
    return not facets().outcomes


def is_running(project: str = DEFAULT_PROJECT) -> bool:
    """Whether any run is running now."""
    which = RunFilter(project=project, outcomes=("running",))
    page = RunPage("newest", 1)
    return bool(_pages.get((which, page), lambda: tuple(queries.runs(_client(), which, page))))


def facets(project: str = DEFAULT_PROJECT) -> Facets:
    """What the filters can be set to."""
    return _facets.get(project, lambda: queries.facets(_client(), project))


def runs_view(which: RunFilter, slices: int, span: timedelta, now: datetime) -> RunsView:
    """Totals and their course in ``slices`` slices over the last ``span``."""
    slice_s = max(1, round(span.total_seconds() / slices))
    since = datetime.fromtimestamp((now.timestamp() // slice_s) * slice_s, UTC) - span

    def compute() -> RunsView:
        summary = queries.runs_summary(_client(), which)
        bounded = _with_since(which, max(since, which.since or since))
        trend = queries.runs_trend(_client(), bounded, slice_s) if summary.runs else []
        return RunsView(summary, tuple(trend))

    return _views.get((which, slices, span), compute)


def runs_page(which: RunFilter, order: queries.Order, page: int) -> tuple[RunRow, ...]:
    """The rows of page ``page``, counted from 1."""
    wanted = RunPage(order, PAGE_ROWS, (page - 1) * PAGE_ROWS)
    return _pages.get((which, wanted), lambda: tuple(queries.runs(_client(), which, wanted)))


def run(run_id: str, project: str = DEFAULT_PROJECT) -> RunRow | None:
    """One run, by its id or the beginning of it.

    Raises:
        AmbiguousRunError: several runs start like that.
    """
    return _runs.get((project, run_id), lambda: queries.run(_client(), run_id, project))


def run_version(run_id: str, project: str = DEFAULT_PROJECT) -> int:
    """A number that changes whenever the run does; 0 when there is none."""
    return _versions.get((project, run_id), lambda: queries.run_version(_client(), run_id, project))


def run_account(row: RunRow, version: int) -> Account:
    """The readable account of a run as of ``version``."""

    def compute() -> Account:
        spans = queries.account_spans(_client(), row.run_id, row.project)
        return account.build(row, spans, usual(row))

    # Both can change without a new version: a silent run becomes an interrupted one, and a running
    # one gets older.
    key = (row.project, row.run_id, version, row.outcome, row.duration_ns)
    return _accounts.get(key, compute)


def usual(row: RunRow) -> Usual | None:
    """What successful runs of the same agent need; ``None`` when there are too few of them."""
    # Asked again for every look at a running run, and as good an hour later.
    key = (row.project, row.agent, row.started_at.date())
    return _usual.get(key, lambda: comparison.usual(_client(), row))


def nearest(row: RunRow, version: int) -> Parted | None:
    """Where a run that did not succeed left the road of the nearest one that did."""

    def compute() -> Parted | None:
        spans = queries.account_spans(_client(), row.run_id, row.project)
        return comparison.parted(_client(), row, spans)

    return _nearest.get((row.project, row.run_id, version, row.outcome), compute)


def run_steps(run_id: str, version: int, project: str = DEFAULT_PROJECT) -> tuple[AccountSpan, ...]:
    """The spans of a run that say something, with more of their payloads than an account needs."""
    return _steps.get(
        (project, run_id, version),
        lambda: tuple(
            queries.account_spans(
                _client(), run_id, project, payload_chars=_PAYLOAD_CHARS, limit=_MOST_STEPS
            )
        ),
    )


def recording(run_id: str, project: str = DEFAULT_PROJECT) -> RecordingState | None:
    """What is known of a run's recording for replay."""
    return _recordings.get((project, run_id), lambda: recordings.state(_client(), run_id, project))


def run_tree(run_id: str, version: int, project: str = DEFAULT_PROJECT) -> TreeColumns:
    """The spans of a run for its tree, as of ``version``."""
    return _trees.get(
        (project, run_id, version),
        lambda: tree_columns(queries.tree(_client(), run_id, project)),
    )


def span(run_id: str, span_id: str, version: int, project: str = DEFAULT_PROJECT) -> SpanRow | None:
    """One span, whole, as of ``version``."""
    return _spans.get(
        (project, run_id, span_id, version),
        lambda: queries.span(_client(), run_id, span_id, project),
    )


def price(of: SpanRow) -> ModelPrice | None:
    """What the store knows of the price of a model call's model."""
    if of.cost_usd is None:
        return None
    key = (of.provider, of.model)
    return _prices.get(key, lambda: queries.price(_client(), of.provider, of.model))


def export(run_id: str, project: str = DEFAULT_PROJECT) -> Iterator[SpanRow]:
    """Every span of a run, streamed; over a connection of its own, because it may take long."""
    return queries.export(_connect(), run_id, project)


def _with_since(which: RunFilter, since: datetime) -> RunFilter:
    values: dict[str, Any] = {
        name: getattr(which, name) for name in which.__dataclass_fields__ if name != "since"
    }
    return RunFilter(**values, since=since)


def client() -> Client:
    """The connection to the store, for the pages' own questions; shared by all threads."""
    return _client()


def _client() -> Client:
    global _connection
    with _connecting:
        if _connection is None:
            _connection = _connect()
        return _connection


def _connect() -> Client:
    dsn = os.environ.get("TACHO_CLICKHOUSE", "")
    if store.is_embedded(dsn):
        return store.connect(dsn)
    return store.connect(
        dsn,
        connect_timeout=_CONNECT_TIMEOUT_S,
        send_receive_timeout=_QUERY_TIMEOUT_S,
        query_retries=0,
    )
