"""The deploy guard: has a version changed how an agent behaves? The time of the change is known, so nothing is restarted.

One bet is held from the first run of the candidate on. Whoever looks after every run is wrong with ``alpha`` at most, over
all metrics and all looks together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal

from tachograph_schemas.drift.baseline import Baseline, freeze
from tachograph_schemas.drift.bets import GUARD_SHIFTS, Bets, kept
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


@dataclass(slots=True)
class Guarding:
    """A comparison under way: runs of the candidate are fed one by one, and the verdict may be asked for at any time.

    :meth:`as_json` survives a restart.
    """

    baseline: Baseline
    runs_before: int
    alpha: float = ALPHA
    after: list[RunPoint] = field(default_factory=list)
    held: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """What the bets hold, by metric and category."""
    waiting: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    """Values of a block that is not full yet, by metric."""
    changed: dict[str, list[Any]] = field(default_factory=dict)
    """By metric: the category that changed, and after how many runs."""
    _bets: dict[str, dict[str, Bets]] = field(default_factory=dict)

    @classmethod
    def against(cls, before: Sequence[RunPoint], alpha: float = ALPHA) -> Guarding:
        """A comparison with these runs, oldest first; at least :data:`LEAST_BEFORE` of them."""
        return cls(freeze(before, 1, len(before), before), len(before), alpha)

    def feed(self, point: RunPoint) -> None:
        """Take the next run of the candidate."""
        self.after.append(point)
        watched = self._watched()
        weights = sum(metric.weight for metric in watched)
        for metric in watched:
            if metric.key in point.values and metric.key not in self.changed:
                self._take(metric, point, weights / (self.alpha * metric.weight))

    def result(self) -> Guarded:
        """What is known by now."""
        if len(self.after) < LEAST_AFTER:
            return _too_few(self.runs_before, len(self.after))
        findings = [
            _finding(self.baseline, metric, self.after, *self.changed.get(metric.key, ("", 0)))
            for metric in self._watched()
        ]
        return Guarded(
            *_verdict(findings, len(self.after)), self.runs_before, len(self.after), findings
        )

    def as_json(self) -> dict[str, Any]:
        """What :meth:`from_json` takes."""
        return {
            "baseline": self.baseline.as_json(),
            "runs_before": self.runs_before,
            "alpha": self.alpha,
            "after": [point.as_json() for point in self.after],
            "held": self.held,
            "waiting": self.waiting,
            "changed": self.changed,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Guarding:
        """The comparison that :meth:`as_json` gave."""
        points = [RunPoint.from_json(each) for each in data["after"]]
        baseline = Baseline.from_json(data["baseline"])
        return cls(**(dict(data) | {"baseline": baseline, "after": points}))

    def _watched(self) -> list[Metric]:
        return [metric for metric in METRICS if self.baseline.has(metric)]

    def _take(self, metric: Metric, point: RunPoint, bound: float) -> None:
        bets = self._bets_on(metric)
        held = self.held.setdefault(
            metric.key, {name: [1.0] * len(each) for name, each in bets.items()}
        )
        row = self.waiting.setdefault(metric.key, [])
        row.append(self.baseline.positions(metric, point))
        if len(row) < self.baseline.likeness[metric.key].block:
            return
        for name, money in held.items():
            held[name] = kept(money, fmean([each[name] for each in row]), bets[name])
        row.clear()
        if sum(map(sum, held.values())) >= bound * sum(map(len, held.values())):
            category = max(held, key=lambda name: max(held[name]))
            self.changed[metric.key] = [category, len(self.after)]

    def _bets_on(self, metric: Metric) -> dict[str, Bets]:
        if metric.key not in self._bets:
            bands = self.baseline.bands(metric)
            self._bets[metric.key] = {name: band.bets(GUARD_SHIFTS) for name, band in bands.items()}
        return self._bets[metric.key]


def guard(before: Sequence[RunPoint], after: Sequence[RunPoint], alpha: float = ALPHA) -> Guarded:
    """Compare the runs of a version, oldest first, with those of the one before it."""
    before = before[-MOST_BEFORE:]
    if len(before) < LEAST_BEFORE or len(after) < LEAST_AFTER:
        return _too_few(len(before), len(after))
    guarding = Guarding.against(before, alpha)
    for point in after:
        guarding.feed(point)
    return guarding.result()


def _too_few(before: int, after: int) -> Guarded:
    says = (
        f"{before} runs of the baseline and {after} of the candidate: at least {LEAST_BEFORE} and "
        f"{LEAST_AFTER} are needed."
    )
    return Guarded("not enough runs", says, before, after, [])


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
    baseline: Baseline, metric: Metric, after: Sequence[RunPoint], category: str, at_run: int
) -> Finding:
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
