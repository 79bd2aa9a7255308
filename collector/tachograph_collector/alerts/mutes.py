"""Times in which nobody is told: maintenance windows, once or every day or week."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, select

from tachograph_collector.alerts.named import NamedRows
from tachograph_collector.alerts.rules import Rule
from tachograph_collector.control import limits
from tachograph_collector.control.database import now_ns
from tachograph_collector.control.tables_alerts import WINDOWS

_REPEATS_NS = {"day": 86_400 * 10**9, "week": 7 * 86_400 * 10**9}


@dataclass(frozen=True, slots=True)
class Window:
    """A maintenance window. Times are nanoseconds since 1970."""

    id: str
    project: str
    name: str
    starts_ns: int
    ends_ns: int
    every: Literal["", "day", "week"]
    agents: Sequence[str]
    """Only rules about these agents are muted; empty: all rules."""
    created_by: str

    def is_open(self, at_ns: int) -> bool:
        """Whether it is on."""
        repeat_ns = _REPEATS_NS.get(self.every)
        if repeat_ns is None or at_ns < self.starts_ns:
            return self.starts_ns <= at_ns < self.ends_ns
        return (at_ns - self.starts_ns) % repeat_ns < self.ends_ns - self.starts_ns

    def next_ns(self, at_ns: int) -> tuple[int, int] | None:
        """When it is on, from then or that moment on: its beginning and end; ``None`` when it is over for good."""
        length_ns = self.ends_ns - self.starts_ns
        repeat_ns = _REPEATS_NS.get(self.every)
        if at_ns < self.ends_ns or repeat_ns is None:
            return (self.starts_ns, self.ends_ns) if at_ns < self.ends_ns else None
        passed = (at_ns - self.starts_ns - length_ns) // repeat_ns + 1
        starts_ns = self.starts_ns + passed * repeat_ns
        return starts_ns, starts_ns + length_ns

    def mutes(self, rule: Rule, key: str) -> bool:
        """Whether a rule's group is about its agents alone."""
        if not self.agents:
            return True
        about = {key} if rule.group_by == "agent" else set(rule.only.get("agent", ()))
        return bool(about) and about <= set(self.agents)


class Windows(NamedRows):
    """The maintenance windows of every project."""

    table = WINDOWS
    most = limits.MOST_WINDOWS
    lists = "agents"
    action = "alert.window"
    order = "starts_ns"

    def put(self, project: str, values: dict[str, Any], actor: str) -> dict[str, Any]:
        """Make one, in place of the one of that name."""
        return self.replace(project, values, {"created_by": actor[:200]}, actor)

    def _shown(self, row: Any) -> dict[str, Any]:
        at_ns = now_ns()
        window = _window(row)
        starts_ns, ends_ns = window.next_ns(at_ns) or (None, None)
        found = {
            "is_open": window.is_open(at_ns),
            "next_starts_ns": starts_ns,
            "next_ends_ns": ends_ns,
        }
        return super()._shown(row) | found


def _window(row: Any) -> Window:
    return Window(**{**row._mapping, "agents": json.loads(row.agents)})


def open_windows(connection: Connection, at_ns: int) -> dict[str, list[Window]]:
    """Those that are on, by project."""
    found: dict[str, list[Window]] = {}
    for row in connection.execute(select(WINDOWS).where(WINDOWS.c.starts_ns <= at_ns)):
        window = _window(row)
        if window.is_open(at_ns):
            found.setdefault(window.project, []).append(window)
    return found
