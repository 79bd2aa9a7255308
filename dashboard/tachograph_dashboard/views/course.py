"""What was spent over a time, as bars."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

from tachograph_dashboard.views import plots
from tachograph_schemas import words
from tachograph_schemas.costs import OTHERS, CostSlice

HEIGHT_PX = 270
_BAR = 0.72
"""Of a slice's width."""
_NAME_CHARS = 40
# Apart in both looks, and none of them the red of failures; the last is for all others.
PALETTE = ("#2E7FD9", "#8257DB", "#1F9E8F", "#E8890C", "#B9559E", "#7F9A1E", "#5166C7", "#9BA5B5")


def figure(
    slices: Sequence[CostSlice],
    unnamed: str,
    span: tuple[datetime, datetime],
    slice_s: int,
    where: tzinfo,
) -> dict[str, Any]:
    """A Plotly figure: stacked bars as wide as their slices, the dearest group at the bottom.

    Args:
        slices: What each group cost in each slice.
        unnamed: What a group without a name is called.
        span: From when until when.
        slice_s: How long a slice is, seconds.
        where: The zone of the reader's clock.
    """
    spent: dict[str, float] = {}
    for each in slices:
        spent[each.key] = spent.get(each.key, 0.0) + each.cost_usd
    ranked = sorted(spent, key=lambda key: (key == OTHERS, -spent[key]))
    traces = []
    for key, color in zip(ranked, _colors(ranked), strict=True):
        mine = [each for each in slices if each.key == key]
        middles = [each.slice + timedelta(seconds=slice_s / 2) for each in mine]
        name = words.excerpt(key, _NAME_CHARS) or unnamed
        traces.append(
            {
                "type": "bar",
                "name": _plain(name),
                "x": [plots.clock(at, where) for at in middles],
                "y": [each.cost_usd for each in mine],
                "width": slice_s * 1000 * _BAR,
                "customdata": [
                    [f"{each.slice.astimezone(where):%d %b %H:%M}", words.usd(each.cost_usd)]
                    for each in mine
                ],
                "hovertemplate": f"{_plain(name)}<br>from %{{customdata[0]}}: %{{customdata[1]}}<extra></extra>",
                "marker": {"color": color, "line": {"width": 0}},
            }
        )
    axis = plots.time_axis(*span, where)
    frame = plots.layout(HEIGHT_PX, axis, {"tickprefix": "$"}, legend=len(ranked) > 1)
    return {"data": traces, "layout": frame | {"barmode": "stack", "bargap": 0}}


def told(slices: Sequence[CostSlice]) -> str:
    """The same in words, for those who cannot see it."""
    spent = sum(each.cost_usd for each in slices)
    return f"{words.usd(spent)} spent over the time that is shown"


def _colors(ranked: Sequence[str]) -> list[str]:
    colors = [*PALETTE[: len(ranked)]]
    if OTHERS in ranked:
        colors[-1] = PALETTE[-1]
    return colors


def _plain(name: str) -> str:
    """A name that is no markup to Plotly, which reads a little HTML in names and hovers."""
    return name.replace("&", "&amp;").replace("<", "&lt;").replace("%{", "% {")
