"""From one page to another: the pages, what waits on them, and links followed without a reload."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import streamlit as st

from tachograph_dashboard import control
from tachograph_dashboard.cache import TimedCache
from tachograph_schemas.control import ALERTS, APPROVALS, DRIFT, WAITING

_WAITING_FRESH_S = 5.0
# Every page asks before it is drawn: a collector that hangs must not hold them all, and one that is busy is not hanging.
_WAITING_TIMEOUT_S = 2.0
WINDOW, WANTED_WINDOW = "window", "wanted_window"
_FILES = {
    "": "runs",
    "run": "run",
    "agents": "agents",
    "compare": "compare",
    "costs": "costs",
    "drift": "drift",
}

_COUNTED = ("approvals", "alerts", "drift")

_waiting: TimedCache[Mapping[str, int]] = TimedCache(_WAITING_FRESH_S, 1)


class Link(NamedTuple):
    """A page of ours and its parameters, as they stand in the address."""

    page: str
    query: dict[str, str]

    @classmethod
    def clicked(cls, said: Any) -> Link | None:
        """What a component reports when one of its links was clicked; ``None`` when none was."""
        if not isinstance(said, dict) or said.get("page") not in _FILES:
            return None
        query = {str(name): str(value) for name, value in (said.get("query") or {}).items()}
        return cls(str(said["page"]), query)


def link(page: str, **query: str) -> dict[str, Any]:
    """A link as components draw it."""
    return {"page": page, "query": query}


def follow(clicked: Link | None) -> None:
    """Go where a link leads, if one was clicked."""
    if clicked is None:
        return
    query = dict(clicked.query)
    # A parameter that a widget of this page holds cannot be set here: the next page's widget takes it over.
    if WINDOW in query:
        st.session_state[WANTED_WINDOW] = query.pop(WINDOW)
    st.switch_page(f"app_pages/{_FILES[clicked.page]}.py", query_params=query)


def waiting() -> Mapping[str, int]:
    """How many approvals, alerts and alarms of drift wait for somebody, by page; none that cannot be known."""
    return _waiting.get("", _count_waiting)


def _count_waiting() -> dict[str, int]:
    try:
        return _count_at_once()
    except (control.ControlError, LookupError, TypeError, ValueError, OverflowError):
        # It is on every page: a collector that does not answer, or not as ours do, must not take them away.
        return {}


def _count_at_once() -> dict[str, int]:
    try:
        counts = control.call("GET", WAITING, timeout_s=_WAITING_TIMEOUT_S)
    except control.ControlError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return _count_one_by_one()
    return {page: int(counts[page]) for page in _COUNTED}


def _count_one_by_one() -> dict[str, int]:
    """The same of a collector of before, which has no answer for all."""
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "approvals": (APPROVALS, {"status": control.WAITING, "limit": 1}),
        "alerts": (f"{ALERTS}/firing", {}),
        "drift": (f"{DRIFT}/alarms", {"state": "open"}),
    }
    found = {
        page: control.call("GET", path, query=query, timeout_s=_WAITING_TIMEOUT_S)
        for page, (path, query) in asked.items()
    }
    return {
        "approvals": int(found["approvals"]["total"]),
        "alerts": len(found["alerts"]["firing"]),
        "drift": len(found["drift"]["alarms"]),
    }
