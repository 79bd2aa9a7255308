"""Every query that Tachograph asks, named: the SQL is in ``queries/*.sql``, values are always bound.

Used by the dashboard and the command line. Each function takes an open client (:func:`.store.connect`),
blocks until the answer is there, and raises :data:`.store.StoreError` when the engine refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any, TypeVar

from clickhouse_connect.driver.client import Client

from tachograph_schemas.find import (
    DEFAULT_PROJECT,
    FIRST_PAGE,
    ORDERS,
    Cursor,
    Order,
    OrderBy,
    RunFilter,
    RunPage,
)
from tachograph_schemas.rows import (
    AccountSpan,
    Facets,
    HarnessCounts,
    ModelUsage,
    RunRow,
    RunsSummary,
    SpanRow,
    StopCounts,
    TrendSlice,
)
from tachograph_schemas.rows_costs import BillLine, ModelPrice
from tachograph_schemas.span_logs import with_content
from tachograph_schemas.statements import statement

__all__ = [
    "DEFAULT_PROJECT",
    "EPOCH",
    "FIRST_PAGE",
    "ORDERS",
    "AmbiguousRunError",
    "Cursor",
    "Order",
    "RunFilter",
    "RunPage",
    "account_spans",
    "cursor_after",
    "export",
    "facets",
    "filtered",
    "harness_counts",
    "model_usage",
    "price",
    "run",
    "run_version",
    "runs",
    "runs_summary",
    "runs_trend",
    "schema_version",
    "span",
    "stop_counts",
    "tree",
]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# Columns whose expression is more than their name.
_EXPRESSIONS = {
    "start_ns": "toUnixTimestamp64Nano(start_time) AS start_ns",
    "is_open": "CAST(isNull(end_time), 'Bool') AS is_open",
    "kind": "toString(kind) AS kind",
    "status": "toString(status) AS status",
    "input_text": "substringUTF8(input, 1, {payload_chars:UInt32}) AS input_text",
    "output_text": "substringUTF8(output, 1, {payload_chars:UInt32}) AS output_text",
    "facts": "mapFilter((key, value) -> (startsWith(key, 'tacho.')"
    " AND key NOT IN ('tacho.input', 'tacho.output')) OR startsWith(key, 'gen_ai.evaluation.')"
    " OR key = 'gen_ai.retrieval.query.text', attributes) AS facts",
    "events": "arrayZip(arrayMap(t -> toUnixTimestamp64Nano(t), events.time), events.name,"
    " events.attributes) AS event_rows",
    "links": "arrayZip(links.trace_id, links.span_id, links.attributes) AS link_rows",
}

# A call's main span has the best usage that any of its spans tells (${calls_of_run}).
_COUNTED = {
    name: f"if(call_id = '', {name}, call_{name}) AS counted_{name}"
    for name in (
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "cost_usd",
        "cost_status",
    )
}

# The list shows the beginning of a payload at most; whole ones are megabytes a page.
_LIST_EXPRESSIONS = {
    "input": "substringUTF8(input, 1, 300) AS input_start",
    "output": "substringUTF8(output, 1, 300) AS output_start",
}

_FRAGMENTS = (
    "second_views",
    "calls_of_run",
    "spans_of_run",
    "run_versions",
    "outcome_now",
    "duration_now",
    "drift_run_columns",
    "drift_span_columns",
    "runs_around",
    "harness_counters",
    "harness_spans",
    "is_harness",
    "runs_of_window",
)

_Row = TypeVar("_Row")


def runs(client: Client, which: RunFilter, page: RunPage = FIRST_PAGE) -> list[RunRow]:
    """The runs that match, one page of them; ``input`` and ``output`` are cut to 300 characters.

    A page that begins behind a cursor (:func:`cursor_after`) costs as much as the first one; one that is
    counted from the beginning (``offset``) costs the merging of all runs.
    """
    order = ORDERS[page.order]
    if page.offset:
        sql = _placed(filtered("runs_skipped", which), order, None, raw=False)
        values = which.parameters() | {"limit": page.limit, "offset": page.offset}
        ids = [row[0] for row in client.query(sql, parameters=values).result_rows]
        return [row for _, row in _latest(client, which, order, ids, None)]
    found: list[tuple[Cursor, RunRow]] = []
    for since in which.windows(page.order, page.after, datetime.now(UTC)):
        bounded = replace(which, since=since)
        reached = found[-1][0] if found else page.after
        found += _matching(client, bounded, order, reached, page.limit - len(found))
        if len(found) >= page.limit:
            break
    return [row for _, row in found]


def cursor_after(client: Client, row: RunRow, order: Order = "newest") -> Cursor | None:
    """Where the page behind ``row`` begins in this order; ``None`` when the run is gone."""
    which = RunFilter(project=row.project)
    found = _latest(client, which, ORDERS[order], [row.run_id], None)
    return found[0][0] if found else None


def _matching(
    client: Client, which: RunFilter, order: OrderBy, after: Cursor | None, wanted: int
) -> list[tuple[Cursor, RunRow]]:
    """The first ``wanted`` matches behind ``after``, with their places."""
    matches: list[tuple[Cursor, RunRow]] = []
    # Twice as many rows as runs: the newest runs are often stored in two versions that are not merged yet.
    window = 2 * wanted + 10
    while True:
        sql = _placed(filtered("runs_found", which, raw=True), order, after, raw=True)
        values = which.parameters() | {"limit": window} | _place(after)
        rows = client.query(sql, parameters=values).result_rows
        ids = list(dict.fromkeys(row[0] for row in rows))
        # A full window says nothing about what lies behind its end, so neither may its runs.
        end = Cursor(rows[-1][1], rows[-1][0]) if len(rows) == window else None
        for place, row in _latest(client, which, order, ids, after):
            if end is None or not order.is_behind(place, end):
                matches.append((place, row))
        if end is None or len(matches) >= wanted:
            return matches[:wanted]
        after, window = end, min(window * 4, 10_000)


def _latest(
    client: Client, which: RunFilter, order: OrderBy, ids: list[str], after: Cursor | None
) -> list[tuple[Cursor, RunRow]]:
    """Those of ``ids`` whose latest version matches and lies behind ``after``, in order."""
    if not ids:
        return []
    sql = _placed(filtered("runs", which, spans=False), order, after, raw=False)
    values = which.parameters() | {"run_ids": ids} | _place(after)
    rows = client.query(sql, parameters=values).result_rows
    return [(Cursor(values[-1], values[0]), RunRow(*values[:-1])) for values in rows]


def _placed(sql: str, order: OrderBy, after: Cursor | None, *, raw: bool) -> str:
    behind = f"AND {order.behind}" if after is not None else ""
    text = sql.replace("${place}", order.place).replace("${order}", order.sql)
    text = text.replace("${after}", behind)
    return text.replace("${duration_ns}", _sql("_duration_now").strip() if raw else "duration_ns")


def _place(after: Cursor | None) -> dict[str, Any]:
    return {} if after is None else {"after_place": after.place, "after_run_id": after.run_id}


def runs_summary(client: Client, which: RunFilter) -> RunsSummary:
    """Totals over all runs that match."""
    return _rows(client, filtered("runs_summary", which), which.parameters(), RunsSummary)[0]


def runs_trend(client: Client, which: RunFilter, slice_s: int) -> list[TrendSlice]:
    """The runs that match in slices of ``slice_s`` seconds; ``which.since`` must be set."""
    values = which.parameters() | {"slice_s": slice_s}
    return _rows(client, filtered("runs_trend", which), values, TrendSlice)


def model_usage(
    client: Client,
    since: datetime,
    until: datetime,
    slice_s: int = 3600,
    project: str = DEFAULT_PROJECT,
) -> list[ModelUsage]:
    """Tokens and dollars of the model calls from ``since`` to before ``until``, in slices of ``slice_s``."""
    values = {"project": project, "since": since, "until": until, "slice_s": slice_s}
    return _rows(client, _sql("model_usage"), values, ModelUsage)


def harness_counts(
    client: Client, since: datetime, until: datetime, project: str = DEFAULT_PROJECT
) -> list[HarnessCounts]:
    """What the harness around each agent did from ``since`` to before ``until``, the busiest agent first."""
    values = {"project": project, "since": since, "until": until}
    return _rows(client, _sql("harness"), values, HarnessCounts)


def stop_counts(
    client: Client, since: datetime, until: datetime, project: str = DEFAULT_PROJECT
) -> list[StopCounts]:
    """Which stop rules fired from ``since`` to before ``until``, the most frequent first."""
    values = {"project": project, "since": since, "until": until}
    return _rows(client, _sql("stops"), values, StopCounts)


def facets(client: Client, project: str = DEFAULT_PROJECT, since: datetime | None = None) -> Facets:
    """The agents, customers and outcomes of the runs since ``since``, most frequent first."""
    values = {"project": project, "since": since or EPOCH}
    return _rows(client, _sql("run_facets"), values, Facets)[0]


def agent_seen(client: Client, agent: str) -> bool:
    """Whether anything was ever recorded of an agent of this name, in any project."""
    return bool(client.query(_sql("agent_seen"), parameters={"agent": agent}).result_rows[0][0])


class AmbiguousRunError(LookupError):
    """Several runs start with the given text."""


def run(client: Client, run_id: str, project: str = DEFAULT_PROJECT) -> RunRow | None:
    """The run with this id, or the only one whose id starts with it; ``None`` when there is none.

    Raises:
        AmbiguousRunError: several ids start with ``run_id``.
    """
    if not run_id:
        return None
    found = _rows(client, _sql("run"), {"project": project, "run_id": run_id}, RunRow)
    if len(found) > 1 and found[0].run_id != run_id:
        raise AmbiguousRunError(
            f"Several runs start with {run_id!r}, {found[0].run_id} and {found[1].run_id} among "
            "them. Give more of the id."
        )
    return found[0] if found else None


def run_version(client: Client, run_id: str, project: str = DEFAULT_PROJECT) -> int:
    """A number that changes whenever the run does; 0 when there is no such run."""
    rows = client.query(
        _sql("run_version"), parameters={"project": project, "run_id": run_id}
    ).result_rows
    return int(rows[0][0]) if rows else 0


def account_spans(
    client: Client,
    run_id: str,
    project: str = DEFAULT_PROJECT,
    *,
    payload_chars: int = 2000,
    limit: int = 50_000,
) -> list[AccountSpan]:
    """The spans of a run that its account is made of, oldest first."""
    values = {"project": project, "run_id": run_id, "payload_chars": payload_chars, "limit": limit}
    return _rows(client, _sql("account"), values, AccountSpan)


def tree(client: Client, run_id: str, project: str = DEFAULT_PROJECT) -> dict[str, list[Any]]:
    """The thin columns of a run's spans, oldest first, by name (see ``tree.sql``)."""
    result = client.query(
        _sql("tree"), parameters={"project": project, "run_id": run_id}, column_oriented=True
    )
    columns = result.result_columns or [[] for _ in result.column_names]
    return {name: list(column) for name, column in zip(result.column_names, columns, strict=True)}


def span(
    client: Client, run_id: str, span_id: str, project: str = DEFAULT_PROJECT
) -> SpanRow | None:
    """One span, whole; ``None`` when the run has no such span.

    Input and output that only its log events carry are those of its log events.
    """
    values = {"project": project, "run_id": run_id, "span_id": span_id}
    rows = _rows(client, _sql("span"), values, SpanRow)
    return with_content(client, rows[0], project) if rows else None


def bill(client: Client, run_id: str, project: str = DEFAULT_PROJECT) -> list[BillLine]:
    """The sum behind the cost of a run: by model and rate, the dearest first."""
    values = {"project": project, "run_id": run_id}
    return _rows(client, statement("bill"), values, BillLine)


def price(client: Client, provider: str, model: str) -> ModelPrice | None:
    """What a token of this model costs; ``None`` when the model was never looked up.

    ``price_id`` is empty when the price list does not know the model.
    """
    rows = _rows(client, _sql("price"), {"provider": provider, "model": model}, ModelPrice)
    return rows[0] if rows else None


def schema_version(client: Client) -> int:
    """The number of the last migration that ran; 0 for an empty database."""
    return int(client.query(_sql("schema_version")).result_rows[0][0])


def export(client: Client, run_id: str, project: str = DEFAULT_PROJECT) -> Iterator[SpanRow]:
    """Every span of a run, whole, oldest first, streamed."""
    values = {"project": project, "run_id": run_id}
    with client.query_rows_stream(_sql("export"), parameters=values) as stream:
        for row in stream:
            yield SpanRow(*row)


@cache
def _sql(name: str) -> str:
    """The text of a named query, its column lists and filters filled in."""
    folder = resources.files("tachograph_schemas").joinpath("queries")
    text = folder.joinpath(f"{name}.sql").read_text(encoding="utf-8")
    for fragment in _FRAGMENTS:
        if f"${{{fragment}}}" in text:
            text = text.replace(f"${{{fragment}}}", _sql(f"_{fragment}").strip())
    for placeholder, row, expressions in (
        ("${run_columns}", RunRow, {}),
        ("${run_list_columns}", RunRow, _LIST_EXPRESSIONS),
        ("${span_columns}", SpanRow, _EXPRESSIONS),
        ("${account_columns}", AccountSpan, _EXPRESSIONS | _COUNTED),
        ("${price_columns}", ModelPrice, {}),
    ):
        columns = [expressions.get(column.name, column.name) for column in fields(row)]
        text = text.replace(placeholder, ", ".join(columns))
    return text


def filtered(name: str, which: RunFilter, *, raw: bool = False, spans: bool = True) -> str:
    """The text of a query with the conditions that ``which`` sets.

    Args:
        name: The query.
        which: The filter; what it leaves open is no part of the text, so no column is read for it.
        raw: The query reads versions of runs, which do not know yet how they stand now.
        spans: With the conditions that ask the spans of the runs.
    """
    now = _sql("_outcome_now").strip(), _sql("_duration_now").strip()
    outcome, duration_ns = now if raw else ("outcome", "duration_ns")
    wanted = which.conditions(spans=spans)
    head, *blocks = re.split(r"^-- (\w+)\n", _sql("_run_filter"), flags=re.MULTILINE)
    conditions = dict(zip(blocks[::2], blocks[1::2], strict=True))
    texts = [head, *(conditions[field] for field in wanted if field != "attributes")]
    if "attributes" in wanted:
        one = conditions["attributes"]
        texts += [
            one.replace("attribute_0", f"attribute_{at}") for at in range(len(which.attributes))
        ]
    text = "    ".join(texts).rstrip()
    text = text.replace("${outcome}", outcome).replace("${duration_ns}", duration_ns)
    return _sql(name).replace("${run_filter}", text)


def _rows(client: Client, sql: str, values: dict[str, Any], row: type[_Row]) -> list[_Row]:
    return [row(*values) for values in client.query(sql, parameters=values).result_rows]
