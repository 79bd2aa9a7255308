"""The state of one rule and group, and what a new figure does to it. No I/O, no clock.

``level`` is what has held for long enough; ``told`` is what people were told last. They differ while notifications
are muted, and whoever was not told is told when that is over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from tachograph_collector.alerts.rules import RANK, Level, Rule

Kind = Literal["fires", "worsens", "changes", "eases", "recovers", "reminds", "closed"]
"""What an event is: ``changes`` is from critical to no data or back, ``closed`` is a rule that was changed or removed while it fired."""


@dataclass(frozen=True, slots=True)
class State:
    """How one rule stands for one group. Times are nanoseconds since 1970."""

    level: Level = "ok"
    since_ns: int = 0
    seq: int = 0
    """The number of the last event."""
    breach_ns: int | None = None
    """Since when the figure has been a warning at least."""
    critical_ns: int | None = None
    clear_ns: int | None = None
    """Since when it has been better than ``level``."""
    missing_ns: int | None = None
    """Since when there has been nothing to measure, where that alerts."""
    told: Level = "ok"
    told_ns: int = 0
    acked: int = 0
    """1 once somebody has acknowledged what ``level`` is now."""
    snoozed_until_ns: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """Something that belongs into the history."""

    kind: Kind
    from_level: Level
    to_level: Level
    tells: bool
    """Whether people are to be told; else it is muted."""


def step(
    rule: Rule, state: State, value: float | None, now_ns: int, muted: str
) -> tuple[State, Change | None]:
    """The state after a figure, and what is to be noted, once: the next step from there notes it no more."""
    target = rule.level(value, state.level)
    state = _timed(state, target, now_ns)
    level = _settled(rule, state, target, now_ns)
    if level != state.level:
        kind = _kind(state.level, level)
        # What nobody was told of need not be taken back.
        change = Change(kind, state.level, level, tells=not muted and level != state.told)
        state = replace(
            state, level=level, since_ns=now_ns, seq=state.seq + 1, clear_ns=None, acked=0
        )
        return _told(state, change, now_ns), change
    if muted:
        return state, None
    if state.told != level:
        # It changed while it was muted.
        change = Change(_kind(state.told, level), state.told, level, tells=True)
        return _told(replace(state, seq=state.seq + 1), change, now_ns), change
    due = rule.renotify_s and now_ns - state.told_ns >= rule.renotify_s * 10**9
    if level != "ok" and due and not state.acked:
        change = Change("reminds", level, level, tells=True)
        return _told(replace(state, seq=state.seq + 1), change, now_ns), change
    return state, None


def _told(state: State, change: Change, now_ns: int) -> State:
    return replace(state, told=change.to_level, told_ns=now_ns) if change.tells else state


def _timed(state: State, target: Level, now_ns: int) -> State:
    """Since when the figure has been what it is."""
    is_missing = target == "no_data"
    breaches = RANK[target] >= 1 and not is_missing
    return replace(
        state,
        breach_ns=(state.breach_ns or now_ns) if breaches else None,
        critical_ns=(state.critical_ns or now_ns) if target == "critical" else None,
        missing_ns=(state.missing_ns or now_ns) if is_missing else None,
        clear_ns=(state.clear_ns or now_ns) if RANK[target] < RANK[state.level] else None,
    )


def _settled(rule: Rule, state: State, target: Level, now_ns: int) -> Level:
    """The level that has held for long enough."""

    def held(since_ns: int | None, least_s: int) -> bool:
        return since_ns is not None and now_ns - since_ns >= least_s * 10**9

    if held(state.critical_ns, rule.for_s):
        return "critical"
    if held(state.missing_ns, rule.for_s):
        return "no_data"
    if rule.warning is not None and state.level == "ok" and held(state.breach_ns, rule.for_s):
        return "warning"
    if held(state.clear_ns, rule.recover_for_s):
        return target
    return state.level


def _kind(before: Level, after: Level) -> Kind:
    if after == "ok":
        return "recovers"
    if before == "ok":
        return "fires"
    if RANK[after] == RANK[before]:
        return "changes"
    return "worsens" if RANK[after] > RANK[before] else "eases"
