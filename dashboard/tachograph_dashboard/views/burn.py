"""The burn-down of a budget: what was left at each moment of its window, and where that leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any

from tachograph_dashboard.views import plots
from tachograph_schemas import words
from tachograph_schemas.budgets import amount

HEIGHT_PX = 190
# In both looks, like the palette of costs.
_SPENT, _AHEAD = "#2E7FD9", "#9BA5B5"

Point = tuple[int, float]


def figure(state: Mapping[str, Any], where: tzinfo) -> dict[str, Any] | None:
    """A Plotly figure; ``None`` for budgets that have no course, or where nothing was spent yet.

    A budget of one account burns down to nothing. Accounts of several have a limit each, so only what they spent
    together can be drawn.
    """
    course: list[Point] = [(int(at_ns), float(spent)) for at_ns, spent in state.get("burn", [])]
    if not course or not course[-1][1]:
        return None
    rule, accounts = state["rule"], state["accounts"]
    is_one = len(accounts) == 1
    start = rule["limit"] if is_one else 0.0
    shown = [(at_ns, start - spent if is_one else spent) for at_ns, spent in course]
    title = "Left" if is_one else "Spent by all accounts together"
    traces = [_line(title, shown, where, rule["unit"], color=_SPENT, shape="hv")]
    if rule["window"] != "rolling":
        ahead = sum(float(each["forecast"] or 0.0) for each in accounts)
        end = (int(state["ends_ns"]), max(start - ahead, 0.0) if is_one else ahead)
        traces.append(
            _line("At this pace", [shown[-1], end], where, rule["unit"], color=_AHEAD, dash="dot")
        )
    return {"data": traces, "layout": _layout(state, course, where)}


def told(state: Mapping[str, Any]) -> str:
    """The same in words, for those who cannot see it."""
    unit, accounts = state["rule"]["unit"], state["accounts"]
    spent = sum(each["spent"] for each in accounts)
    if len(accounts) == 1:
        return f"{amount(accounts[0]['left'], unit)} of {amount(state['rule']['limit'], unit)} left"
    return f"{amount(spent, unit)} spent by {words.count(len(accounts), 'account')} together"


def _line(
    name: str,
    points: Sequence[Point],
    where: tzinfo,
    unit: str,
    *,
    color: str,
    shape: str = "linear",
    dash: str = "solid",
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [plots.clock(plots.utc(at_ns), where) for at_ns, _ in points],
        "y": [value for _, value in points],
        "text": [amount(value, unit) for _, value in points],
        "hovertemplate": "%{x|%d %b %H:%M}<br>%{text}<extra></extra>",
        "line": {"color": color, "width": 2, "shape": shape, "dash": dash},
        "fill": "tozeroy" if dash == "solid" else "none",
        "fillcolor": "rgba(46,127,217,0.12)",
    }


def _layout(state: Mapping[str, Any], course: Sequence[Point], where: tzinfo) -> dict[str, Any]:
    rule = state["rule"]
    end_ns = course[-1][0] if rule["window"] == "rolling" else int(state["ends_ns"])
    axis = plots.time_axis(plots.utc(course[0][0]), plots.utc(end_ns), where)
    money = {"tickprefix": "$" if rule["unit"] == "usd" else ""}
    return plots.layout(HEIGHT_PX, axis, money, legend=True)
