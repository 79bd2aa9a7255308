"""How well the harness around each agent does its work: what ran, what it cost, what was absorbed. By agent and time.

Every question is bounded by a time window and looks at runs that started in it; all of what a run's sub-agents did counts
for the run's agent. Functions block, and raise :data:`.store.StoreError` when the engine refuses.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from tachograph_schemas.maturity import Evidence
from tachograph_schemas.queries import DEFAULT_PROJECT, _rows, _sql
from tachograph_schemas.rows import HarnessCounts


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time, its end excluded."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class AgentRuns:
    """How the runs of one agent went."""

    agent: str
    """Empty for runs that name no agent."""
    runs: int
    running: int
    succeeded: int
    failed: int
    stopped: int
    interrupted: int
    total_cost_usd: float | None
    """Over the priced calls; ``None`` when none is priced."""
    unpriced: int
    """Model calls without a known price."""
    median_work_ns: int
    """Without the time that people took."""
    p95_work_ns: int
    last_started_at: datetime
    versions: int

    @property
    def ended(self) -> int:
        """Runs that are not running any more."""
        return self.runs - self.running

    @property
    def success_rate(self) -> float | None:
        """Of the runs that ended; ``None`` without any."""
        return self.succeeded / self.ended if self.ended else None

    @property
    def cost_per_success_usd(self) -> float | None:
        """What all runs cost, by the successful ones; ``None`` without a price or a success."""
        if self.total_cost_usd is None or not self.succeeded:
            return None
        return self.total_cost_usd / self.succeeded


@dataclass(frozen=True, slots=True)
class AgentHealth:
    """One agent: its runs, and what the harness around them did."""

    runs: AgentRuns
    harness: HarnessCounts

    @property
    def attempts_to_success(self) -> float | None:
        """Attempts that a successful repair took on the average, counted from 1; ``None`` without any."""
        done = self.harness.repairs_succeeded
        return self.harness.repair_attempts / done if done else None

    @property
    def retry_rate(self) -> float:
        """Retries a run."""
        return self.harness.retries / self.runs.runs

    @property
    def fallback_rate(self) -> float:
        """Stand-ins used, a run."""
        return self.harness.fallbacks / self.runs.runs

    @property
    def mean_approval_wait_ns(self) -> float | None:
        """What a person took to decide, on the average; ``None`` without approvals."""
        asked = self.harness.approvals
        return self.harness.approval_waiting_ns / asked if asked else None

    @property
    def absorbed(self) -> int:
        """Troubles that the harness dealt with: repaired, retried, fell back."""
        return self.harness.repairs_succeeded + self.harness.retries + self.harness.fallbacks


@dataclass(frozen=True, slots=True)
class HarnessSlice:
    """What the harness did in one slice of time."""

    slice: datetime
    counts: HarnessCounts


@dataclass(frozen=True, slots=True)
class AgentVersion:
    """The runs of one version of an agent."""

    label: str
    """As its author names it, else the commit; empty when neither is known."""
    runs: int
    succeeded: int
    failed: int
    """Failed or interrupted."""
    stopped: int
    running: int
    mean_cost_usd: float | None
    median_work_ns: int
    first_at: datetime
    last_at: datetime
    commits: list[str]


@dataclass(frozen=True, slots=True)
class BreakerTime:
    """One circuit breaker of an agent."""

    name: str
    trips: int
    open_ns: int
    """From opening to the next change; to its last sign when it never changed again."""
    refused: int
    """Calls that were not tried."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A run in which a tool was called again and again with the same arguments."""

    run_id: str
    agent: str
    same_call: int
    """The most calls of one tool with the same arguments."""
    same_result: int
    """The most of them that gave the same."""


def agents(client: Client, window: Window, project: str = DEFAULT_PROJECT) -> list[AgentHealth]:
    """Every agent with runs in the window, the busiest first; 500 at most."""
    values = _values(window, project)
    harness = {
        row.agent: row for row in _rows(client, _sql("agents_harness"), values, HarnessCounts)
    }
    return [
        AgentHealth(row, harness.get(row.agent) or _nothing(row.agent))
        for row in _rows(client, _sql("agents"), values, AgentRuns)
    ]


def agent(
    client: Client, name: str, window: Window, project: str = DEFAULT_PROJECT
) -> AgentHealth | None:
    """One agent; ``None`` when it has no run in the window."""
    values = _values(window, project, name)
    rows = _rows(client, _sql("agents"), values, AgentRuns)
    if not rows:
        return None
    return AgentHealth(rows[0], _rows(client, _sql("agent_harness"), values, HarnessCounts)[0])


def course(
    client: Client, name: str, window: Window, slice_s: int, project: str = DEFAULT_PROJECT
) -> list[HarnessSlice]:
    """What the harness did over time, in slices of ``slice_s`` seconds; empty slices are left out."""
    values = _values(window, project, name) | {"slice_s": slice_s}
    rows = client.query(_sql("agent_course"), parameters=values).result_rows
    return [HarnessSlice(row[0], HarnessCounts(name, *row[1:])) for row in rows]


def versions(
    client: Client, name: str, window: Window, project: str = DEFAULT_PROJECT
) -> list[AgentVersion]:
    """The versions that ran, the newest first; 20 at most."""
    return _rows(client, _sql("agent_versions"), _values(window, project, name), AgentVersion)


def breakers(
    client: Client, name: str, window: Window, project: str = DEFAULT_PROJECT
) -> list[BreakerTime]:
    """The circuit breakers around an agent, the busiest first."""
    return _rows(client, _sql("agent_breakers"), _values(window, project, name), BreakerTime)


def evidence(client: Client, name: str, window: Window, project: str = DEFAULT_PROJECT) -> Evidence:
    """What the spans of the agent's latest runs show of its harness; of 500 runs at most."""
    return _rows(client, _sql("agent_evidence"), _values(window, project, name), Evidence)[0]


def loops(
    client: Client, window: Window, least: int = 3, project: str = DEFAULT_PROJECT
) -> list[Loop]:
    """The runs in which the same call was made ``least`` times or more, the gravest first; 1,000 at most."""
    return _rows(client, _sql("loops"), _values(window, project) | {"least": least}, Loop)


def _nothing(name: str) -> HarnessCounts:
    """The counts of an agent around which no harness was at work."""
    return HarnessCounts(name, *[0] * (len(fields(HarnessCounts)) - 1))


def _values(window: Window, project: str, name: str = "") -> dict[str, Any]:
    return {"project": project, "since": window.since, "until": window.until, "agent": name}
