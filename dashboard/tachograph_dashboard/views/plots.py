"""What the charts of the page of costs share: clock, ticks, margins, so that they have one look."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

CONFIG: Final = {"displayModeBar": False}
_MOST_TICKS = 8
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_STEPS: Final = (
    *(timedelta(minutes=minutes) for minutes in (5, 10, 15, 30)),
    *(hours * _HOUR for hours in (1, 3, 6, 12)),
    *(days * _DAY for days in (1, 2, 7, 14)),
)
_MONTHS: Final = (1, 2, 3, 6, 12, 24)


def clock(at: datetime, where: tzinfo) -> str:
    """A time as Plotly draws it: it shows the clock that it is given, so without a zone."""
    return at.astimezone(where).replace(tzinfo=None).isoformat()


def time_axis(since: datetime, until: datetime, where: tzinfo) -> dict[str, Any]:
    """The axis of time: at most eight marks at round times, and no two with the same words."""
    first, last = (each.astimezone(where).replace(tzinfo=None) for each in (since, until))
    span = last - first
    step = next((each for each in _STEPS if span / each <= _MOST_TICKS), None)
    marks = _by_months(first, last) if step is None else _by(step, first, last)
    return {
        "range": [first.isoformat(), last.isoformat()],
        "tickmode": "array",
        "tickvals": [mark.isoformat() for mark in marks],
        "ticktext": [_said(mark, step) for mark in marks],
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
    }


def _by(step: timedelta, first: datetime, last: datetime) -> list[datetime]:
    mark = datetime(first.year, first.month, first.day)  # noqa: DTZ001 - a clock on the wall
    marks = []
    while mark <= last:
        if mark >= first:
            marks.append(mark)
        mark += step
    return marks


def _by_months(first: datetime, last: datetime) -> list[datetime]:
    months = (last.year - first.year) * 12 + last.month - first.month
    step = next((each for each in _MONTHS if months / each <= _MOST_TICKS), max(months // 8, 1))
    found = []
    for month in range(0, months + 1, step):
        years, rest = divmod(first.month - 1 + month, 12)
        mark = datetime(first.year + years, rest + 1, 1)  # noqa: DTZ001 - a clock on the wall
        found += [mark] if mark >= first else []
    return found


def _said(mark: datetime, step: timedelta | None) -> str:
    if step is None:
        return f"{mark:%b %Y}"
    is_midnight = not (mark.hour or mark.minute)
    return f"{mark.day} {mark:%b}" if step >= _DAY or is_midnight else f"{mark:%H:%M}"


def layout(
    height_px: int, x: Mapping[str, Any], y: Mapping[str, Any], *, legend: bool
) -> dict[str, Any]:
    """The frame of a chart; the legend is above it, where it takes no room of the axis."""
    return {
        "height": height_px,
        "margin": {"l": 0, "r": 8, "t": 8, "b": 0},
        "showlegend": legend,
        "legend": {
            "orientation": "h",
            "y": 1.02,
            "yanchor": "bottom",
            "x": 0,
            "traceorder": "normal",
        },
        "xaxis": dict(x),
        "yaxis": {"rangemode": "tozero", "nticks": 4, "fixedrange": True, **y},
        "dragmode": False,
    }


def utc(at_ns: int) -> datetime:
    """A time in nanoseconds since 1970."""
    return datetime.fromtimestamp(at_ns / 1e9, UTC)
