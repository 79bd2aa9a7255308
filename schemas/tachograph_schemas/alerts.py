"""What alerts can watch: the figures by name, and the one query that measures any of them.

The SQL is in ``queries/alert_*.sql``; the expressions of the figures are in ``queries/_alert_values.sql``, by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Final, Literal

from clickhouse_connect.driver.client import Client

from tachograph_schemas import words

GroupBy = Literal["", "agent", "customer", "model", "tool", "version"]
"""What a rule is split by; empty: everything together."""
Unit = Literal["usd", "tokens", "seconds", "rate", "count"]

MOST_GROUPS: Final = 200
"""Of a rule; the busiest ones, or the worst where that is known."""
_BREAKERS_ARE_REMEMBERED = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure that a rule can watch."""

    name: str
    title: str
    unit: Unit
    source: Literal[
        "calls",
        "runs",
        "spans",
        "breakers",
        "stuck",
        "loops",
        "silence",
        "approvals",
        "drift",
        "budgets",
    ]
    groups: tuple[GroupBy, ...]
    zero_when_absent: bool
    """Whether nothing to measure is a figure of 0; else there is no figure then."""

    def shown(self, value: float | None) -> str:
        """The figure as people read it."""
        if value is None:
            return "no data"
        if self.unit == "usd":
            return words.usd(value)
        if self.unit == "seconds":
            return words.duration(value * 1e9)
        if self.unit == "rate":
            return f"{value * 100:.3g} %"
        return f"{value:,.6g}" if value % 1 else f"{value:,.0f}"

    def over(self, window_s: int) -> str:
        """Over which time it is measured, in words; empty when it is of this moment."""
        if self.source in {"calls", "runs", "spans", "loops"}:
            return f"in {span(window_s)}"
        return f"for {span(window_s)}" if self.source == "stuck" else ""


def span(window_s: float) -> str:
    """A length of time that somebody chose: ``5 min``, ``1 h``, ``7 d``; seconds where it is no round one."""
    for size_s, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if window_s >= size_s and window_s % size_s == 0:
            return f"{window_s // size_s:.0f} {unit}"
    return f"{window_s:g} s"


@dataclass(frozen=True, slots=True)
class Measured:
    """One group's figure."""

    key: str
    value: float | None
    """``None``: there is nothing that it could be computed from."""
    samples: int
    """How many runs, calls or spans it was computed from."""


_RUN: tuple[GroupBy, ...] = ("", "agent", "customer", "version")
_CALL: tuple[GroupBy, ...] = (*_RUN, "model")
_SPAN: tuple[GroupBy, ...] = (*_CALL, "tool")

METRICS: Final[Mapping[str, Metric]] = {
    metric.name: metric
    for metric in (
        Metric("cost_usd", "Cost", "usd", "calls", _CALL, True),
        Metric("tokens", "Tokens", "tokens", "calls", _CALL, True),
        Metric("model_calls", "Model calls", "count", "calls", _CALL, True),
        Metric("unpriced_calls", "Calls without a price", "count", "calls", _CALL, True),
        Metric("runs", "Runs that ended", "count", "runs", _RUN, True),
        Metric("run_p50_s", "Median duration of runs", "seconds", "runs", _RUN, False),
        Metric("run_p95_s", "Slowest 5 % of runs", "seconds", "runs", _RUN, False),
        Metric("run_p99_s", "Slowest 1 % of runs", "seconds", "runs", _RUN, False),
        Metric("success_rate", "Share of runs that succeed", "rate", "runs", _RUN, False),
        Metric("failure_rate", "Share of runs that fail", "rate", "runs", _RUN, False),
        Metric("stopped_rate", "Share of runs that are stopped", "rate", "runs", _RUN, False),
        Metric("failed_runs", "Runs that failed", "count", "runs", _RUN, True),
        Metric("interrupted_runs", "Runs that went silent", "count", "runs", _RUN, True),
        Metric("cost_per_success_usd", "Cost of a successful run", "usd", "runs", _RUN, False),
        Metric("lost_spans", "Spans that did not arrive", "count", "runs", _RUN, True),
        Metric("model_p50_s", "Median duration of model calls", "seconds", "spans", _CALL, False),
        Metric("model_p95_s", "Slowest 5 % of model calls", "seconds", "spans", _CALL, False),
        Metric("model_p99_s", "Slowest 1 % of model calls", "seconds", "spans", _CALL, False),
        Metric("tool_p95_s", "Slowest 5 % of tool calls", "seconds", "spans", _SPAN, False),
        Metric("tool_p99_s", "Slowest 1 % of tool calls", "seconds", "spans", _SPAN, False),
        Metric("model_error_rate", "Share of model calls that fail", "rate", "spans", _CALL, False),
        Metric("tool_error_rate", "Share of tool calls that fail", "rate", "spans", _SPAN, False),
        Metric(
            "validation_failure_rate", "Share of checks that fail", "rate", "spans", _RUN, False
        ),
        Metric("repair_success_rate", "Share of repairs that work", "rate", "spans", _RUN, False),
        Metric("breaker_trips", "Circuit breakers that opened", "count", "spans", _RUN, True),
        Metric(
            "breaker_open_s",
            "Longest time a circuit breaker is open",
            "seconds",
            "breakers",
            _RUN,
            True,
        ),
        Metric("gate_denials", "Actions that gates denied", "count", "spans", _SPAN, True),
        Metric("budget_stops", "Stops by budgets", "count", "spans", _RUN, True),
        Metric("stops", "Stops", "count", "spans", _RUN, True),
        Metric("stuck_runs", "Runs in which nothing happens", "count", "stuck", _RUN, True),
        Metric("looping_runs", "Runs that repeat themselves", "count", "loops", _RUN, True),
        Metric("silence_s", "Time since anything came", "seconds", "silence", _RUN, False),
        Metric(
            "approvals_waiting", "Approvals that wait", "count", "approvals", ("", "agent"), True
        ),
        Metric(
            "approval_wait_s",
            "Longest wait of an approval",
            "seconds",
            "approvals",
            ("", "agent"),
            True,
        ),
        Metric("drift_alarms", "Open alarms of drift", "count", "drift", ("", "agent"), True),
        Metric(
            "budget_used",
            "Used of a budget",
            "rate",
            "budgets",
            ("", "agent", "customer"),
            True,
        ),
    )
}
"""Everything that a rule can watch, by name."""
CONTROL_SOURCES: Final = frozenset(("approvals", "drift", "budgets"))
"""What the control database knows, not the engine."""

FILTERS: Final[tuple[GroupBy, ...]] = ("agent", "customer", "model", "tool", "version")


def measure(
    client: Client,
    metric: Metric,
    *,
    project: str,
    group_by: GroupBy,
    window_s: int,
    only: Mapping[str, Sequence[str]],
    until: datetime,
) -> list[Measured]:
    """The figure over the last ``window_s`` seconds before ``until``, one for each group there is.

    Args:
        client: An open client; blocks until the answer is there.
        metric: One of :data:`METRICS`, of any source but :data:`CONTROL_SOURCES`.
        project: Whose data.
        group_by: One of ``metric.groups``.
        window_s: Seconds.
        only: Names by column (of ``metric.groups``): nothing else is counted.
        until: The end, in UTC.

    Raises:
        StoreError: the engine refuses.
        ValueError: the metric cannot be split or filtered like that.
    """
    wanted = {column: list(names) for column, names in only.items() if names}
    if group_by not in metric.groups or not set(wanted) <= set(metric.groups):
        raise ValueError(f"{metric.name} knows {', '.join(metric.groups[1:])}")
    since = until - timedelta(seconds=window_s)
    if metric.source == "breakers":
        since = min(since, until - _BREAKERS_ARE_REMEMBERED)
    values = {
        "project": project,
        "since": since.astimezone(UTC),
        "until": until.astimezone(UTC),
        "most_groups": MOST_GROUPS,
    } | {f"only_{column}": names for column, names in wanted.items()}
    rows = client.query(_sql(metric, group_by, tuple(wanted)), parameters=values).result_rows
    return [
        Measured(key, None if value is None else float(value), samples)
        for key, value, samples in rows
    ]


def newest(client: Client) -> int:
    """A number that grows whenever something arrives.

    Raises:
        StoreError: the engine refuses.
    """
    return int(client.query(_file("alert_newest")).result_rows[0][0])


@cache
def _sql(metric: Metric, group_by: GroupBy, filtered: tuple[str, ...]) -> str:
    conditions = (f"AND {column} IN {{only_{column}:Array(String)}}" for column in filtered)
    text = _file(f"alert_{metric.source}")
    for place, filling in (
        ("group", f"toString({group_by})" if group_by else "''"),
        ("value", _values()[metric.name].strip()),
        ("samples", "count()"),
        ("filter", " ".join(conditions)),
        ("outcome_now", _file("_outcome_now").strip()),
    ):
        text = text.replace(f"${{{place}}}", filling)
    return text


@cache
def _values() -> Mapping[str, str]:
    _, *blocks = re.split(r"^-- (\w+)\n", _file("_alert_values"), flags=re.MULTILINE)
    return dict(zip(blocks[::2], blocks[1::2], strict=True))


def _file(name: str) -> str:
    folder = resources.files("tachograph_schemas").joinpath("queries")
    return folder.joinpath(f"{name}.sql").read_text(encoding="utf-8")
