"""How ``tacho alert`` prints what the collector tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tachograph.cli.terminal import fit, width
from tachograph_schemas import words

DEFINITION = (
    "name", "metric", "group_by", "only", "window_s", "direction", "warning", "critical", "recovery", "for_s",
    "recover_for_s", "renotify_s", "no_data", "min_samples", "targets", "note", "enabled",
)  # fmt: skip
"""The parts of a rule that are written; what else the collector tells of it is beside it."""
_Rows = Sequence[Mapping[str, Any]]


def rules(found: _Rows) -> list[str]:
    """One line a rule."""
    if not found:
        return ["There are no rules. `tacho alert set NAME --metric ...` makes one."]
    lines = []
    for each in found:
        firing = each["firing"]
        state = "critical" if "critical" in firing else firing[0] if firing else "ok"
        state = state.replace("_", " ") if each["enabled"] else "off"
        facts = [fit(state, 8), fit(words.plain(each["name"]), 28)]
        lines.append("  ".join([*facts, words.excerpt(each["summary"], max(30, width() - 40))]))
    return lines


def firing(found: _Rows) -> list[str]:
    """One line a group that is not well."""
    if not found:
        return ["Nothing fires."]
    return [
        "  ".join(
            [
                fit(each["level"].replace("_", " "), 8),
                words.moment_ns(each["since_ns"]),
                fit(words.plain(each["rule_name"]), 24),
                words.excerpt(each["sentence"], max(30, width() - 62)),
                f"[{words.plain(each['acked_by'])}]" if each["acked_by"] else "",
            ]
        ).rstrip()
        for each in found
    ]


def metrics(found: _Rows) -> list[str]:
    """One line a metric."""
    return [
        "  ".join(
            [
                fit(each["name"], 24),
                fit(each["unit"], 8),
                fit(each["title"], 34),
                ", ".join(group for group in each["groups"] if group),
            ]
        )
        for each in found
    ]


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


def preview(groups: _Rows) -> list[str]:
    """What a rule would find."""
    if not groups:
        return ["There is nothing to measure at this moment."]
    return [
        f"{fit(each['level'].replace('_', ' '), 8)}  {words.plain(each['sentence'])}"
        for each in groups
    ]


def events(found: _Rows) -> list[str]:
    """One line an event."""
    if not found:
        return ["Nothing has fired."]
    lines = []
    for each in found:
        beside = f"[{each['muted']}]" if each["muted"] else ""
        beside += f"[{each['acked_by']}]" if each["acked_by"] else ""
        facts = [
            words.moment_ns(each["at_ns"]),
            fit(each["kind"], 8),
            fit(each["to_level"].replace("_", " "), 8),
            fit(words.plain(each["rule_name"]), 20),
        ]
        sentence = words.excerpt(each["sentence"], max(30, width() - 68))
        lines.append("  ".join([*facts, sentence, words.plain(beside)]).rstrip())
    return lines


def deliveries(found: _Rows) -> list[str]:
    """One line a message and target."""
    if not found:
        return ["Nothing was sent."]
    return [
        "  ".join(
            [
                words.moment_ns(each["created_ns"]),
                fit(each["status"], 8),
                fit(words.plain(each["target"]), 16),
                fit(words.plain(each["title"]), 36),
                words.excerpt(each["said"], max(20, width() - 92)),
            ]
        ).rstrip()
        for each in found
    ]
