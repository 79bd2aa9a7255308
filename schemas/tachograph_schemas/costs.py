"""What things cost: the queries behind the page of costs, their typed rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any, Final, NamedTuple

from clickhouse_connect.driver.client import Client

from tachograph_schemas.find import DEFAULT_PROJECT


class Group(NamedTuple):
    """A property by which costs are told apart, and how each query names it."""

    of_calls: str
    of_course: str = ""
    """In the course in time; empty: it has none, so all is drawn together."""
    of_paid: str = ""
    """Of what was paid beside tokens; empty: as of calls."""


GROUPS: Final = {
    "agent": Group("agent", "agent"),
    "model": Group("call_model", "call.2", "model"),
    "customer": Group("customer", "customer"),
    "user": Group("user_id", "user_id"),
    "tool": Group("arrayJoin(if(empty(tools), [''], tools))", "", "tool"),
    "step": Group("placed.step"),
    "session": Group("session_id", "session_id"),
    "version": Group("version", "version"),
}
OTHERS: Final = "all others"
_CALL_TYPE: Final = (
    "'Tuple(Nullable(DateTime64(9, \\'UTC\\')), String, Nullable(Float64), String, Nullable(UInt64), "
    "Nullable(UInt64), Nullable(UInt64), Nullable(UInt64), Nullable(Float64), String)'"
)
_PAID: Final = "(isNotNull(tool_cost_usd) OR isNotNull(human_cost_usd) OR isNotNull(saved_usd) OR odd_usage != '')"
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
    tool_cost_usd: float | None = None
    """What steps say that they cost beside tokens; None when none says so."""
    human_cost_usd: float | None = None
    """The time of people, likewise."""
    saved_usd: float | None = None
    """What cached answers would have cost."""
    odd_calls: int = 0
    """Calls whose numbers of tokens do not add up."""

    @property
    def per_success_usd(self) -> float | None:
        """All that was spent, divided by the runs that succeeded; None when nothing is known, or none did."""
        return (
            None
            if self.whole_usd is None or not self.succeeded
            else self.whole_usd / self.succeeded
        )

    @property
    def whole_usd(self) -> float | None:
        """Models, tools and people together; None when nothing of it is known."""
        known = [self.cost_usd, self.tool_cost_usd, self.human_cost_usd]
        spent = [usd for usd in known if usd is not None]
        return sum(spent) if spent else None


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
    odd_calls: int
    """Whose numbers of tokens do not add up."""
    retried_usd: float
    """Attempts that failed and were made again."""
    tools_usd: float
    people_usd: float
    saved_usd: float
    """By answers from a cache."""


def costs_by(
    client: Client, group: str, since: datetime, project: str = DEFAULT_PROJECT
) -> list[CostGroup]:
    """Costs of the runs that began since a time, by one of :data:`GROUPS`, the dearest first."""
    values = {"project": project, "since": since, "limit": _MOST_GROUPS}
    called = client.query(_by(group), parameters=values).result_rows
    paid = client.query(_beside(group), parameters=values).result_rows
    beside = {key: amounts for key, *amounts in paid}
    found = [CostGroup(*row, *beside.pop(row[0], ())) for row in called]
    # Of tools and steps that no model call belongs to
    rest = [_without_calls(key, amounts) for key, amounts in beside.items()]
    found = [*found, *rest]
    found.sort(key=lambda row: (row.whole_usd is None, -(row.whole_usd or 0.0), -row.runs, row.key))
    return found[:_MOST_GROUPS]


def _without_calls(key: str, amounts: Sequence[Any]) -> CostGroup:
    return CostGroup(key, 0, 0, None, None, 0, 0, 0, 0, 0, 0, None, *amounts)


def _by(group: str) -> str:
    placed = "run_id = placed.run_id AND called.call_span = placed.span_id"
    place = _placed("layer = 'model'", placed) if group == "step" else ""
    sql = _sql("costs_by").replace("${cost_group}", GROUPS[group].of_calls)
    return sql.replace("${cost_place}", place).replace("${call_type}", _CALL_TYPE)


def _beside(group: str) -> str:
    named = GROUPS[group].of_paid or GROUPS[group].of_calls
    placed = "paid.run_id = placed.run_id AND paid.span_id = placed.span_id"
    place = _placed(_PAID, placed) if group == "step" else ""
    return (
        _sql("costs_beside")
        .replace("${beside_group}", named)
        .replace("${beside_place}", place)
        .replace("${is_paid}", _PAID)
    )


def _placed(start: str, placed: str) -> str:
    sql = _sql("_cost_place").replace("${place_start}", start)
    return sql.replace("${placed_span}", placed)


def costs_over_time(
    client: Client, group: str, since: datetime, slice_s: int, project: str = DEFAULT_PROJECT
) -> list[CostSlice]:
    """Costs of the calls since a time in slices; of groups that have no course in time all together."""
    sql = _sql("costs_over_time").replace("${call_group}", GROUPS[group].of_course or "'all'")
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
