"""How ``tacho alert`` prints what the collector tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tachograph.cli.table import Cell, Column, listed
from tachograph.cli.terminal import fit
from tachograph_schemas import words

DEFINITION = (
    "name", "metric", "group_by", "only", "window_s", "direction", "warning", "critical", "recovery", "for_s",
    "recover_for_s", "renotify_s", "no_data", "min_samples", "targets", "note", "enabled",
)  # fmt: skip
"""The parts of a rule that are written; what else the collector tells of it is beside it."""
_Rows = Sequence[Mapping[str, Any]]


_TONES = {"critical": "bad", "warning": "warn", "no_data": "warn", "failed": "bad"}
_RULES = (Column("STATE", 8), Column("RULE", 28), Column("WATCHES"))
_FIRING = (
    Column("LEVEL", 8),
    Column("SINCE", 23, spared=2),
    Column("RULE", 24, spared=1),
    Column("SAYS"),
    Column("TAKEN CARE OF BY", 20, spared=3, optional=True),
)
_METRICS = (
    Column("METRIC", 24),
    Column("UNIT", 8, spared=2),
    Column("WHAT", 34, spared=1),
    Column("BY"),
)
_EVENTS = (
    Column("WHEN", 23, spared=2),
    Column("WHAT", 8),
    Column("LEVEL", 8),
    Column("RULE", 20, spared=1),
    Column("SAYS"),
    Column("NOTE", 24, spared=3, optional=True),
)
_DELIVERIES = (
    Column("WHEN", 23, spared=2),
    Column("STATUS", 8),
    Column("TARGET", 16, spared=1),
    Column("TITLE"),
    Column("ANSWER", 20, spared=3, optional=True),
)


def rules(found: _Rows) -> list[str]:
    """One line a rule."""
    if not found:
        return ["There are no rules. `tacho alert set NAME --metric ...` makes one."]
    return listed(_RULES, [(_state(each), each["name"], each["summary"]) for each in found])


def _state(rule: Mapping[str, Any]) -> Cell:
    firing = rule["firing"]
    if not rule["enabled"]:
        return "off"
    return _level("critical" if "critical" in firing else firing[0]) if firing else "ok"


def _level(level: str) -> Cell:
    return level.replace("_", " "), _TONES.get(level, "")


def firing(found: _Rows) -> list[str]:
    """One line a group that is not well."""
    if not found:
        return ["Nothing fires."]
    rows = [
        (
            _level(each["level"]),
            words.moment_ns(each["since_ns"]),
            each["rule_name"],
            each["sentence"],
            each["acked_by"] or "",
        )
        for each in found
    ]
    return listed(_FIRING, rows)


def metrics(found: _Rows) -> list[str]:
    """One line a metric."""
    rows = [
        (each["name"], each["unit"], each["title"], ", ".join(filter(None, each["groups"])))
        for each in found
    ]
    return listed(_METRICS, rows)


def rule(found: Mapping[str, Any]) -> list[str]:
    """A rule, whole, and its groups."""
    rows = [
        ("Rule", found["name"]),
        ("Id", found["id"]),
        ("Says", found["summary"]),
        ("Tells", ", ".join(found["targets"]) or "nobody"),
        ("Again", words.duration(found["renotify_s"] * 1e9) if found["renotify_s"] else ""),
        ("Note", found["note"]),
        ("Changed", f"{words.moment_ns(found['updated_ns'])} by {found['updated_by']}"),
        ("State", "" if found["enabled"] else "off"),
    ]
    lines = [f"{label:<10} {words.plain(str(text))}" for label, text in rows if text]
    for state in found["states"]:
        level = "waits" if state["pending_since_ns"] else state["level"].replace("_", " ")
        name = words.plain(state["group"]) or "(all)"
        lines.append("  ".join([" " * 8, fit(level, 8), fit(name, 28), state["shown"]]))
    return lines


_GRAVITY = {"critical": 3, "warning": 2, "no_data": 1}


def preview(groups: _Rows) -> list[str]:
    """What a rule would find."""
    if not groups:
        return ["There is nothing to measure at this moment."]
    worst_first = sorted(
        groups, key=lambda each: (-_GRAVITY.get(each["level"], 0), each["sentence"])
    )
    return [
        f"{fit(each['level'].replace('_', ' '), 8)}  {words.plain(each['sentence'])}"
        for each in worst_first
    ]


def events(found: _Rows) -> list[str]:
    """One line an event."""
    if not found:
        return ["Nothing has fired."]
    rows = [
        (
            words.moment_ns(each["at_ns"]),
            each["kind"],
            _level(each["to_level"]),
            each["rule_name"],
            each["sentence"],
            ", ".join(filter(None, (each["muted"], each["acked_by"]))),
        )
        for each in found
    ]
    return listed(_EVENTS, rows)


def deliveries(found: _Rows) -> list[str]:
    """One line a message and target."""
    if not found:
        return ["Nothing was sent."]
    rows = [
        (
            words.moment_ns(each["created_ns"]),
            (each["status"], _TONES.get(each["status"], "")),
            each["target"],
            each["title"],
            each["said"] or "",
        )
        for each in found
    ]
    return listed(_DELIVERIES, rows)
