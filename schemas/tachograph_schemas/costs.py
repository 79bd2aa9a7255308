"""What things cost: the queries behind the page of costs, their typed rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from tachograph_schemas.find import DEFAULT_PROJECT

# A property of runs, and how each of the two queries names it; of tools there is no course in time.
GROUPS: Final = {
    "agent": ("agent", "agent"),
    "model": ("call_model", "call.2"),
    "customer": ("customer", "customer"),
    "user": ("user_id", "user_id"),
    "session": ("session_id", "session_id"),
    "version": ("version", "version"),
    "tool": ("arrayJoin(if(empty(tools), [''], tools))", ""),
}
OTHERS: Final = "all others"
_MOST_GROUPS = 200
_DRAWN_GROUPS = 7


@dataclass(frozen=True, slots=True)
class CostGroup:
    """What the runs of one agent, customer ... cost."""

    key: str
    runs: int
    succeeded: int
    cost_usd: float | None
    """Of the priced calls; None when none is."""
    failed_cost_usd: float | None
    """Of runs that failed or were interrupted."""
    calls: int
    unpriced_calls: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    client_cost_usd: float | None
    """What the senders say."""

    @property
    def per_success_usd(self) -> float | None:
        """All that was spent, divided by the runs that succeeded."""
        if self.cost_usd is None or not self.succeeded:
            return None
        return self.cost_usd / self.succeeded


@dataclass(frozen=True, slots=True)
class CostSlice:
    """What one group cost in one slice of time."""

    slice: datetime
    key: str
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Lost:
    """What was paid for nothing, or twice."""

    failed_repairs_usd: float
    repairs_usd: float
    failed_repairs: int
    repairs: int
    failed_calls_usd: float
    retries: int
    cache_missed_usd: float
    doubtful_calls: int
    """Whose numbers of tokens do not add up."""


def costs_by(
    client: Client, group: str, since: datetime, project: str = DEFAULT_PROJECT
) -> list[CostGroup]:
    """Costs of the runs that began since a time, by one of :data:`GROUPS`, the dearest first."""
    sql = _sql("costs_by").replace("${cost_group}", GROUPS[group][0])
    values = {"project": project, "since": since, "limit": _MOST_GROUPS}
    return [CostGroup(*row) for row in client.query(sql, parameters=values).result_rows]


def costs_over_time(
    client: Client, group: str, since: datetime, slice_s: int, project: str = DEFAULT_PROJECT
) -> list[CostSlice]:
    """Costs of the calls since a time in slices; of groups that have no course in time all together."""
    sql = _sql("costs_over_time").replace("${call_group}", GROUPS[group][1] or "'all'")
    values: dict[str, Any] = {
        "project": project,
        "since": since,
        "slice_s": slice_s,
        "groups": _DRAWN_GROUPS,
        "others": OTHERS,
    }
    return [CostSlice(*row) for row in client.query(sql, parameters=values).result_rows]


def lost(client: Client, since: datetime, project: str = DEFAULT_PROJECT) -> Lost:
    """What the runs that began since a time paid for nothing, or twice."""
    values = {"project": project, "since": since}
    (row,) = client.query(_sql("costs_lost"), parameters=values).result_rows
    return Lost(*row)


def _sql(name: str) -> str:
    folder = resources.files("tachograph_schemas").joinpath("queries")
    return folder.joinpath(f"{name}.sql").read_text(encoding="utf-8")
