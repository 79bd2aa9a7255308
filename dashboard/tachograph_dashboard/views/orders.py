"""Pauses and stops in force, as rows of a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tachograph_dashboard.views.alerts import drawn
from tachograph_schemas import words

_STATES = {"pause": ("Paused", "waiting"), "stop": ("Stopped", "bad")}
_ID_CHARS = 12
_REASON_CHARS = 400


def concerning(
    orders: Sequence[Mapping[str, Any]], *, agent: str, run_id: str = ""
) -> list[Mapping[str, Any]]:
    """Those that an agent obeys, or one run of it: its own, and what is ordered for everything."""
    aims = {("all", ""), ("agent", agent), ("run", run_id)}
    return [order for order in orders if (order["scope"], order["target"]) in aims]


def rows(orders: Sequence[Mapping[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """The orders with who gave them and why, each with the button that takes it back."""
    return [_row(order, now) for order in orders]


def earlier(count: int) -> str:
    """What is said of those that are not listed, as they are too many."""
    return (
        f"{count:,} more, given earlier, are in force. They are listed as these end."
        if count
        else ""
    )


def _row(order: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    since_ns = max(0, now.timestamp() * 1e9 - order["created_ns"])
    return drawn(
        f"{order['scope']} {order['target']}",
        _STATES[order["action"]],
        aim(order["scope"], order["target"]),
        line=words.excerpt(order["reason"], _REASON_CHARS),
        meta=[(f"by {words.excerpt(order['actor'], 60)}, {words.duration(since_ns)} ago", False)],
        acts=[("end", "Let it go on")],
    )


def aim(scope: str, target: str) -> str:
    """Whom an order is for."""
    if scope == "all":
        return "Everything"
    return f"Agent {words.excerpt(target, 80)}" if scope == "agent" else f"Run {target[:_ID_CHARS]}"
