"""A rule as a form. What was chosen comes back as the definition that the control API takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from tachograph_schemas import words

Row = Mapping[str, Any]
_WINDOWS = {
    60: "1 min",
    300: "5 min",
    900: "15 min",
    3_600: "1 h",
    21_600: "6 h",
    86_400: "1 day",
    604_800: "7 days",
}
_TIMES = {0: "at once", 60: "1 min", 300: "5 min", 900: "15 min", 3_600: "1 h"}
_AGAIN = {0: "never", 900: "15 min", 3_600: "1 h", 14_400: "4 h", 86_400: "1 day"}
_NO_DATA = {"ok": "is no alert", "keep": "changes nothing", "alert": "is an alert"}
_UNITS = {"usd": "$", "seconds": "s", "rate": "%", "tokens": "tokens", "count": ""}
_KEPT = ("recovery", "min_samples", "recover_for_s")
_SCALE = {"rate": 100.0}


def fields(known: Row | None, metrics: Sequence[Row], targets: Sequence[str]) -> dict[str, Any]:
    """Draw the form; the definition as it stands."""
    rule: Row = known or {}
    by_name = {metric["name"]: metric for metric in metrics}
    # What this form has no field for stays as it is.
    definition = {name: rule[name] for name in _KEPT if name in rule}
    name, enabled = st.columns([0.8, 0.2], vertical_alignment="bottom")
    definition["name"] = name.text_input(
        "Name", rule.get("name", ""), max_chars=100, key="rule_name", disabled=known is not None
    )
    definition["enabled"] = enabled.toggle("On", rule.get("enabled", True), key="rule_enabled")
    definition |= _watched(rule, by_name)
    metric = by_name[definition["metric"]]
    definition |= _thresholds(rule, metric) | _timing(rule)
    definition["targets"] = st.multiselect(
        "Tell",
        list(dict.fromkeys([*targets, *rule.get("targets", [])])),
        default=rule.get("targets", []),
        key="rule_targets",
        format_func=words.plain,
        placeholder="Nobody: it is seen on this page alone",
    )
    definition["note"] = st.text_area(
        "Note",
        rule.get("note", ""),
        key="rule_note",
        max_chars=4_000,
        height=80,
        placeholder="What whoever gets the alert should know or do",
    )
    return definition


def problem(definition: Row) -> str:
    """What is missing, in the words of the form; empty when nothing is."""
    if not definition["name"].strip():
        return "Give it a name first."
    figures = (definition["warning"], definition["critical"])
    if figures == (None, None) and definition["no_data"] != "alert":
        return "Say when it is an alert: give a figure for a warning or for critical, or both."
    return ""


def _watched(rule: Row, by_name: Mapping[str, Row]) -> dict[str, Any]:
    what, split, over = st.columns([0.5, 0.25, 0.25])
    names = list(by_name)
    metric = what.selectbox(
        "Watch",
        names,
        index=names.index(rule.get("metric", "cost_usd")),
        format_func=lambda name: str(by_name[name]["title"]),
        key="rule_metric",
    )
    groups = by_name[metric]["groups"]
    group_by = rule.get("group_by", "agent")
    chosen = split.selectbox(
        "For each",
        groups,
        index=groups.index(group_by) if group_by in groups else 0,
        format_func=lambda group: group or "everything together",
        key=f"rule_group_{metric}",
    )
    window_s = over.selectbox(
        "Over",
        *_choice(_WINDOWS, rule.get("window_s", 3_600)),
        format_func=_name(_WINDOWS),
        key="rule_window",
    )
    only: dict[str, list[str]] = {}
    columns = [group for group in groups if group]
    with st.expander("Only some", expanded=bool(rule.get("only"))):
        for column, place in zip(columns, st.columns(len(columns)), strict=True):
            given = list(rule.get("only", {}).get(column, []))
            picked = place.multiselect(
                column.capitalize(),
                given,
                default=given,
                accept_new_options=True,
                key=f"rule_only_{column}",
                placeholder=f"Any {column}",
            )
            if picked:
                only[column] = list(picked)
    return {"metric": metric, "group_by": chosen, "window_s": window_s, "only": only}


def _thresholds(rule: Row, metric: Row) -> dict[str, Any]:
    unit, scale = _UNITS[metric["unit"]], _SCALE.get(metric["unit"], 1.0)
    side, low, high = st.columns(3)
    direction = side.selectbox(
        "Alert when it is",
        ["above", "below"],
        index=["above", "below"].index(rule.get("direction", "above")),
        format_func=lambda word: "this or more" if word == "above" else "this or less",
        key="rule_direction",
    )
    found: dict[str, Any] = {"direction": direction}
    for name, place in (("warning", low), ("critical", high)):
        known = rule.get(name) if rule.get("metric") == metric["name"] else None
        value = place.number_input(
            f"{name.capitalize()}, {unit}" if unit else name.capitalize(),
            value=None if known is None else float(known) * scale,
            key=f"rule_{name}_{metric['name']}",
            placeholder="none",
            format="%g",
        )
        found[name] = None if value is None else value / scale
    return found


def _timing(rule: Row) -> dict[str, Any]:
    hold, again, absent = st.columns(3)
    return {
        "for_s": hold.selectbox(
            "Tell when it has held",
            *_choice(_TIMES, rule.get("for_s", 0)),
            format_func=_name(_TIMES),
            key="rule_for",
        ),
        "renotify_s": again.selectbox(
            "Tell again every",
            *_choice(_AGAIN, rule.get("renotify_s", 0)),
            format_func=_name(_AGAIN),
            key="rule_again",
        ),
        "no_data": absent.selectbox(
            "Nothing to measure",
            list(_NO_DATA),
            index=list(_NO_DATA).index(rule.get("no_data", "ok")),
            format_func=_NO_DATA.__getitem__,
            key="rule_absent",
        ),
    }


def _choice(named: Mapping[int, str], value: int) -> tuple[list[int], int]:
    """The options, the present one among them, and its place."""
    options = sorted({*named, value})
    return options, options.index(value)


def _name(named: Mapping[int, str]) -> Any:
    return lambda value: named.get(value, f"{value:,} s")
