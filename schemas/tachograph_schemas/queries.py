"""Every query that Tachograph asks, named: the SQL is in ``queries/*.sql``, values are always bound.

Used by the dashboard and the command line. Each function takes an open client (:func:`.store.connect`),
blocks until the answer is there, and raises :data:`.store.StoreError` when the engine refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any, Literal, TypeVar

from clickhouse_connect.driver.client import Client

from tachograph_schemas.rows import (
    AccountSpan,
    Facets,
    ModelPrice,
    RunRow,
    RunsSummary,
    SpanRow,
    TrendSlice,
)

DEFAULT_PROJECT = "default"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Order = Literal["newest", "oldest", "slowest", "most expensive", "most tokens", "most errors"]
ORDERS: dict[Order, str] = {
    "newest": "started_at DESC",
    "oldest": "started_at",
    "slowest": "duration_ns DESC",
    "most expensive": "cost_usd DESC NULLS LAST",
    "most tokens": "ifNull(input_tokens, 0) + ifNull(output_tokens, 0)"
    " + ifNull(cache_read_tokens, 0) + ifNull(cache_write_tokens, 0) DESC",
    "most errors": "error_count DESC",
}

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

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs; the empty filter means all. Hashable, so that it can be a cache key."""

    project: str = DEFAULT_PROJECT
    agents: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    customers: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""
    """Found anywhere in goal, stop reason, input, output, run id, session, user or tags."""
    min_cost_usd: float | None = None
    tag: str = ""
    session_id: str = ""

    def parameters(self) -> dict[str, Any]:
        """The values that the filter's SQL binds."""
        return {
            "project": self.project,
            "agents": list(self.agents),
            "outcomes": list(self.outcomes),
            "customers": list(self.customers),
            "since": self.since or EPOCH,
            "until": self.until or datetime(2200, 1, 1, tzinfo=UTC),
            "text": self.text,
            "min_cost_usd": -1.0 if self.min_cost_usd is None else self.min_cost_usd,
            "tag": self.tag,
            "session_id": self.session_id,
        }


@dataclass(frozen=True, slots=True)
class RunPage:
    """A page of the list of runs."""

    order: Order = "newest"
    limit: int = 50
    offset: int = field(default=0)


def runs(client: Client, which: RunFilter, page: RunPage = RunPage()) -> list[RunRow]:
    """The runs that match, one page of them; ``input`` and ``output`` are cut to 300 characters."""
    sql = _sql("runs").replace("${order}", ORDERS[page.order])
    values = which.parameters() | {"limit": page.limit, "offset": page.offset}
    return _rows(client, sql, values, RunRow)


def runs_summary(client: Client, which: RunFilter) -> RunsSummary:
    """Totals over all runs that match."""
    return _rows(client, _sql("runs_summary"), which.parameters(), RunsSummary)[0]


def runs_trend(client: Client, which: RunFilter, slice_s: int) -> list[TrendSlice]:
    """The runs that match in slices of ``slice_s`` seconds; ``which.since`` must be set."""
    values = which.parameters() | {"slice_s": slice_s}
    return _rows(client, _sql("runs_trend"), values, TrendSlice)


def facets(client: Client, project: str = DEFAULT_PROJECT, since: datetime | None = None) -> Facets:
    """The agents, customers and outcomes of the runs since ``since``, most frequent first."""
    values = {"project": project, "since": since or EPOCH}
    return _rows(client, _sql("run_facets"), values, Facets)[0]


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
    """One span, whole; ``None`` when the run has no such span."""
    values = {"project": project, "run_id": run_id, "span_id": span_id}
    rows = _rows(client, _sql("span"), values, SpanRow)
    return rows[0] if rows else None


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
    for fragment in ("run_filter", "second_views", "calls_of_run"):
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


def _rows(client: Client, sql: str, values: dict[str, Any], row: type[_Row]) -> list[_Row]:
    return [row(*values) for values in client.query(sql, parameters=values).result_rows]
