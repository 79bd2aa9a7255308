"""Alarms and effects in words, for the command line and the dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tachograph_schemas import words

GUARD_PROMISE = (
    "An unchanged version is called changed with 5 % chance at most, over all metrics and looks."
)


def amount(value: float, unit: str) -> str:
    """A value of a metric as people write it."""
    if unit == "usd":
        return words.usd(value)
    if unit == "seconds":
        return words.duration(value * 1e9)
    if unit == "share":
        return f"{100 * value:.1f} %"
    return f"{value:,.0f}"


def headline(alarm: Mapping[str, Any]) -> str:
    """What changed: ``Cost of a run: $0.021 → $0.032``."""
    found = alarm["effect"]
    name: str = alarm["title"]
    if alarm["category"] not in {"", "yes"}:
        name = f"{name}: {alarm['category']}"
    if not found:
        return name
    unit = alarm["unit"]
    return f"{name}: {amount(found['before'], unit)} → {amount(found['after'], unit)}"


def size(found: Mapping[str, Any], unit: str) -> str:
    """An effect with its interval: ``x1.52 (x1.41 to x1.66)``, ``+8.1 points (+4.0 to +12.3)``."""
    if not found:
        return "size unknown"
    low, mid, high = found["low"], found["size"], found["high"]
    if found["scale"] == "ratio":
        return f"x{mid:.2f} (x{low:.2f} to x{high:.2f})"
    if found["scale"] == "points":
        return f"{100 * mid:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"
    shown = [("-" if each < 0 else "+") + amount(abs(each), unit) for each in (mid, low, high)]
    return f"{shown[0]} ({shown[1]} to {shown[2]})"


def since(alarm: Mapping[str, Any]) -> str:
    """Since when: ``since 2026-10-12 09:14:03 UTC, 118 runs before the alarm``."""
    at = words.moment_ns(alarm["since_ns"])
    return f"since {at}, {words.count(alarm['runs_since'], 'run')} before the alarm"


def how_sure(alarm: Mapping[str, Any]) -> str:
    """How often such an alarm is wrong."""
    sentence = f"Without any change this metric raises an alarm at most once in {alarm['bound_runs']:,.0f} runs."
    if alarm["young"]:
        sentence += " The baseline does not know a whole week yet: the time of day may explain it."
    return sentence


def versions_apart(baseline: str, candidate: str) -> tuple[str, str]:
    """Two fingerprints by what differs between them: ``version=1.4.0``, ``version=1.5.0``."""
    known = [
        dict(part.partition("=")[::2] for part in each.split(" ")) for each in (baseline, candidate)
    ]
    differ = [name for name in {**known[0], **known[1]} if known[0].get(name) != known[1].get(name)]
    shown = [
        " ".join(f"{name}={each[name]}" for name in differ if name in each) or "(nothing of it)"
        for each in known
    ]
    return shown[0], shown[1]
