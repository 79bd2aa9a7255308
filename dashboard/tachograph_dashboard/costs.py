"""What the page of costs shows: answers of the store and of the control API, from a short memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tachograph_dashboard import control, data
from tachograph_dashboard.cache import TimedCache
from tachograph_schemas import costs
from tachograph_schemas.control import BUDGETS
from tachograph_schemas.costs import CostGroup, CostSlice, Lost

FRESH_S = 5.0


@dataclass(frozen=True, slots=True)
class CostsView:
    """All that the page shows of a time."""

    groups: tuple[CostGroup, ...]
    """By the property that was chosen; the dearest first."""
    models: tuple[CostGroup, ...]
    """By model: disjoint, so their sums are the totals."""
    agents: tuple[CostGroup, ...]
    """By agent: every run is in one."""
    course: tuple[CostSlice, ...]
    lost: Lost


_views: TimedCache[CostsView] = TimedCache(FRESH_S, 16)
_budgets: TimedCache[Mapping[str, Any]] = TimedCache(2.0, 2)


def view(group: str, since: datetime, slice_s: int) -> CostsView:
    """Blocks until the answers are there.

    Raises:
        StoreError: the store does not answer.
    """
    key = (group, since, slice_s)
    return _views.get(key, lambda: _view(data.client(), group, since, slice_s))


def _view(client: Any, group: str, since: datetime, slice_s: int) -> CostsView:
    agents = tuple(costs.costs_by(client, "agent", since))
    models = tuple(costs.costs_by(client, "model", since))
    known = {"agent": agents, "model": models}
    groups = known.get(group) or tuple(costs.costs_by(client, group, since))
    course = tuple(costs.costs_over_time(client, group, since, slice_s))
    return CostsView(groups, models, agents, course, costs.lost(client, since))


def budgets() -> list[Mapping[str, Any]]:
    """Every budget with its accounts.

    Raises:
        ControlError: the collector does not answer, or refuses.
    """
    return list(_budgets.get("all", lambda: control.call("GET", BUDGETS))["budgets"])


def budget(name: str) -> Mapping[str, Any]:
    """One budget with its burn-down and its versions."""
    return control.call("GET", f"{BUDGETS}/{name}")


def put_budget(definition: Mapping[str, Any], actor: str, seen: int) -> None:
    """Make a budget, or change the version that was ``seen`` (0: there was none)."""
    change = {**definition, "if_version": seen}
    control.call("POST", BUDGETS, {"budgets": [change], "actor": actor})
    _budgets.clear()


def remove_budget(name: str, actor: str) -> None:
    """Take a budget out of force."""
    control.call("DELETE", f"{BUDGETS}/{name}", query={"by": actor})
    _budgets.clear()


def forget() -> None:
    """Ask again for what is shown."""
    _views.clear()
    _budgets.clear()
