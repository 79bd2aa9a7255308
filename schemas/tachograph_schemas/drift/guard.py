"""The deploy guard: has a version changed how an agent behaves? The time of the change is known, so nothing is restarted.

One bet is held from the first run of the candidate on. Whoever looks after every run is wrong with ``alpha`` at most, over
all metrics and all looks together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from tachograph_schemas.drift.baseline import Baseline, freeze
from tachograph_schemas.drift.bets import GUARD_SHIFTS, kept
from tachograph_schemas.drift.effect import effect
from tachograph_schemas.drift.metrics import BY_KEY, METRICS, Metric
from tachograph_schemas.drift.points import RunPoint

ALPHA = 0.05
"""The promised chance of "changed" when nothing has; measured far below (see docs/drift.md)."""
LEAST_BEFORE, LEAST_AFTER = 50, 20
MOST_BEFORE = 2_000
_TUNED_FOR_RUNS = 200.0
_LEAST_COMMIT_CHARS = 7
_TOLD_WEIGHT = 0.05  # the sentence names the main metrics, the data has all

Verdict = Literal["changed", "no change seen", "not enough runs"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of one metric."""

    metric: str
    title: str
    unit: str
    changed: bool
    at_run: int
    """How many runs of the candidate it took; 0: not changed."""
    category: str
    effect: dict[str, Any]
    """With an interval that holds at every look."""
    excluded: str
    """The smallest change that can be excluded, in words; empty when nothing can."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """The verdict on a version."""

    verdict: Verdict
    says: str
    runs_before: int
    runs_after: int
    findings: list[Finding]


def guard(before: Sequence[RunPoint], after: Sequence[RunPoint], alpha: float = ALPHA) -> Guarded:
    """Compare the runs of a version, oldest first, with those of the one before it."""
    before = before[-MOST_BEFORE:]
    if len(before) < LEAST_BEFORE or len(after) < LEAST_AFTER:
        says = (
            f"{len(before)} runs of the baseline and {len(after)} of the candidate: at least "
            f"{LEAST_BEFORE} and {LEAST_AFTER} are needed."
        )
        return Guarded("not enough runs", says, len(before), len(after), [])
    baseline = freeze(before, 1, len(before), before)
    watched = [metric for metric in METRICS if baseline.has(metric)]
    weights = sum(metric.weight for metric in watched)
    findings = [
        _finding(baseline, metric, after, weights / (alpha * metric.weight)) for metric in watched
    ]
    return Guarded(*_verdict(findings, len(after)), len(before), len(after), findings)


def _verdict(findings: Sequence[Finding], runs: int) -> tuple[Verdict, str]:
    changed = sorted((each for each in findings if each.changed), key=lambda each: each.at_run)
    if changed:
        titles = ", ".join(each.title[0].lower() + each.title[1:] for each in changed)
        return "changed", f"Changed: {titles}. Seen after {changed[0].at_run} runs."
    excluded = [
        f"{each.title[0].lower()}{each.title[1:]} {each.excluded}"
        for each in findings
        if each.excluded and BY_KEY[each.metric].weight >= _TOLD_WEIGHT
    ]
    tail = f" What can be excluded: {'; '.join(excluded)}." if excluded else ""
    return "no change seen", f"No change seen after {runs} runs.{tail}"


def _finding(
    baseline: Baseline, metric: Metric, after: Sequence[RunPoint], bound: float
) -> Finding:
    category, at_run = _changed(baseline, metric, after, bound)
    found = {
        name: effect(baseline, metric, name, after, _any_look_z(metric, after))
        for name in ([category] if at_run else baseline.bands(metric))
    }
    known = {name: each for name, each in found.items() if each is not None}
    if not known:
        return Finding(metric.key, metric.title, metric.unit, False, 0, "", {}, "")
    category = max(known, key=lambda name: abs(known[name].size))
    shown = known[category]
    excluded = ""
    # A median among equal values has no width, and says nothing about small changes.
    if not at_run and shown.scale == "ratio" and shown.low < shown.high:
        excluded = f"over x{max(shown.high, 1 / shown.low):.2f}"
    elif not at_run and shown.scale == "points":
        most = max(max(abs(each.low), abs(each.high)) for each in known.values())
        excluded = f"over {100 * most:.0f} points" if most < 1 else ""
    return Finding(
        metric.key,
        metric.title,
        metric.unit,
        at_run > 0,
        at_run,
        category,
        shown.as_json(),
        excluded,
    )


def _changed(
    baseline: Baseline, metric: Metric, after: Sequence[RunPoint], bound: float
) -> tuple[str, int]:
    """The category that changed, and after how many runs; 0 when none did."""
    bets = {name: band.bets(GUARD_SHIFTS) for name, band in baseline.bands(metric).items()}
    held = {name: [1.0] * len(each) for name, each in bets.items()}
    block = baseline.likeness[metric.key].block
    waiting: list[Mapping[str, float]] = []
    for number, point in enumerate(after, 1):
        if metric.key not in point.values:
            continue
        waiting.append(baseline.positions(metric, point))
        if len(waiting) < block:
            continue
        for name, money in held.items():
            value = fmean([each[name] for each in waiting])
            held[name] = kept(money, value, bets[name])
        waiting.clear()
        if sum(map(sum, held.values())) >= bound * sum(map(len, held.values())):
            return max(held, key=lambda name: max(held[name])), number
    return "", 0


def _any_look_z(metric: Metric, after: Sequence[RunPoint]) -> float:
    """How many standard errors wide a 95 % interval is that may be looked at after every run.

    The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (arXiv 2103.06476), narrowest
    at about 200 runs.
    """
    runs = max(1, sum(metric.key in point.values for point in after))
    ratio = runs / _TUNED_FOR_RUNS
    return math.sqrt((1 + 1 / ratio) * math.log((1 + ratio) / ALPHA**2))


def of_version(points: Sequence[RunPoint], version: str) -> list[RunPoint]:
    """The runs of a version: a whole fingerprint, or one of its parts (``2.1``, ``model=...``, the start of a commit)."""
    return [point for point in points if is_version(point.fingerprint, version)]


def is_version(fingerprint: str, version: str) -> bool:
    """Whether ``version`` names this fingerprint."""
    if version == fingerprint:
        return True
    for part in fingerprint.split(" "):
        name, _, value = part.partition("=")
        if version in {part, value}:
            return True
        is_commit = name == "code" and len(version) >= _LEAST_COMMIT_CHARS
        if is_commit and (version.startswith(value) or value.startswith(version)):
            return True
    return False


def versions(points: Sequence[RunPoint]) -> list[str]:
    """The fingerprints in the order of their first runs."""
    return list(
        dict.fromkeys(point.fingerprint for point in sorted(points, key=lambda p: p.started_ns))
    )
