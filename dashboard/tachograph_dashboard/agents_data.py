"""What the page of agents asks the store, answered from a short memory; see :mod:`.data`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tachograph_dashboard import data
from tachograph_dashboard.cache import TimedCache
from tachograph_schemas import health, queries
from tachograph_schemas.health import AgentHealth, AgentVersion, BreakerTime, HarnessSlice, Window
from tachograph_schemas.maturity import Scorecard, scorecard
from tachograph_schemas.queries import DEFAULT_PROJECT, RunFilter
from tachograph_schemas.rows import TrendSlice

SLICES = 40
_FRESH_S = 30.0
"""Health changes slowly, and a week of it is more work than a list of runs."""
_GRAIN_S = 60


@dataclass(frozen=True, slots=True)
class Course:
    """An agent over time."""

    slice_s: int
    runs: tuple[TrendSlice, ...]
    harness: tuple[HarnessSlice, ...]


_lists: TimedCache[tuple[AgentHealth, ...]] = TimedCache(_FRESH_S, 16)
_agents: TimedCache[AgentHealth | None] = TimedCache(_FRESH_S, 32)
_courses: TimedCache[Course] = TimedCache(_FRESH_S, 32)
_versions: TimedCache[Sequence[AgentVersion]] = TimedCache(_FRESH_S, 32)
_breakers: TimedCache[Sequence[BreakerTime]] = TimedCache(_FRESH_S, 32)
_cards: TimedCache[Scorecard] = TimedCache(_FRESH_S, 32)
data.forget_with(_lists, _agents, _courses, _versions, _breakers, _cards)


def window(span: timedelta, now: datetime) -> Window:
    """The last ``span`` until ``now``, in whole minutes, so that a question asked again is the same one."""
    until = datetime.fromtimestamp((now.timestamp() // _GRAIN_S + 1) * _GRAIN_S, UTC)
    return Window(until - span, until)


def listed(when: Window, project: str = DEFAULT_PROJECT) -> tuple[AgentHealth, ...]:
    """Every agent that ran, the busiest first."""
    return _lists.get((project, when), lambda: tuple(health.agents(data.client(), when, project)))


def agent(name: str, when: Window, project: str = DEFAULT_PROJECT) -> AgentHealth | None:
    """One agent; ``None`` when it did not run."""
    key = (project, name, when)
    return _agents.get(key, lambda: health.agent(data.client(), name, when, project))


def course(name: str, when: Window, project: str = DEFAULT_PROJECT) -> Course:
    """Its runs and its harness over time."""
    slice_s = max(1, round((when.until - when.since).total_seconds() / SLICES))

    def compute() -> Course:
        which = RunFilter(project=project, agents=(name,), since=when.since)
        runs = queries.runs_trend(data.client(), which, slice_s)
        done = health.course(data.client(), name, when, slice_s, project)
        return Course(slice_s, tuple(runs), tuple(done))

    return _courses.get((project, name, when), compute)


def versions(name: str, when: Window, project: str = DEFAULT_PROJECT) -> Sequence[AgentVersion]:
    """Its versions, the newest first."""
    key = (project, name, when)
    return _versions.get(key, lambda: health.versions(data.client(), name, when, project))


def breakers(name: str, when: Window, project: str = DEFAULT_PROJECT) -> Sequence[BreakerTime]:
    """The circuit breakers around it."""
    key = (project, name, when)
    return _breakers.get(key, lambda: health.breakers(data.client(), name, when, project))


def card(name: str, when: Window, project: str = DEFAULT_PROJECT) -> Scorecard:
    """How mature its harness is."""

    def compute() -> Scorecard:
        return scorecard(health.evidence(data.client(), name, when, project))

    return _cards.get((project, name, when), compute)
