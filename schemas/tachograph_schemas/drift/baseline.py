"""The frozen baseline of an agent: what its runs were like, by task or by hours, and the band around that."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from statistics import fmean, pvariance
from typing import Any, Literal

from tachograph_schemas.drift.bets import Band
from tachograph_schemas.drift.metrics import METRICS, Metric
from tachograph_schemas.drift.points import RunPoint, Value

LEAST_RUNS = 400
"""Runs of a full baseline."""
YOUNG_RUNS = 100
"""Runs from which on large changes are looked for."""
WEEK_NS = 7 * 86_400 * 10**9
LEAST_IN_STRATUM = 30
REST = "(anything else)"
"""The category of all that is rare in the baseline or not in it at all."""

_STANDARD_ERRORS = 1.8
_RANK_BAND = 0.02
_SHARE_BAND = 0.01
_RANK_DEVIATION = 12**-0.5
_SHARE_DEVIATION = 0.02  # at least: a rate of nearly 0 has nearly none
_MOST_CATEGORIES = 9
_SHRINK_RUNS = 50.0
_BLOCKS = (1, 2, 4, 8, 16)
_LEAST_BLOCKS = 20
_INDEPENDENT = 0.15  # three times what chance makes of 400 values
Split = Literal["task", "hours", "none"]


@dataclass(frozen=True, slots=True)
class Numbers:
    """The sorted values of a quantity, of all runs ("") and of each stratum."""

    values: Mapping[str, list[float]]

    def of(self, stratum: str) -> list[float]:
        """The values to compare with."""
        return self.values.get(stratum) or self.values[""]


@dataclass(frozen=True, slots=True)
class Shares:
    """The mean share of each category, over all runs ("") and in each stratum. A rate has the one category "yes"."""

    runs: int
    means: Mapping[str, Mapping[str, float]]
    deviations: Mapping[str, float]

    def of(self, stratum: str) -> Mapping[str, float]:
        """The shares to compare with."""
        return self.means.get(stratum) or self.means[""]

    def centred(self, value: Value, stratum: str) -> dict[str, float]:
        """The shares of a run as if its stratum had the means of all."""
        overall, usual = self.means[""], self.of(stratum)
        found = values_of(value, overall)
        return {name: share + overall[name] - usual[name] for name, share in found.items()}


@dataclass(frozen=True, slots=True)
class Likeness:
    """Neighbours that resemble each other (a slow hour, one session) are no independent witnesses."""

    block: int = 1
    """So many values in a row are averaged and count as one."""
    excess: float = 1.0
    """How much larger the variance of a mean is than that of independent values."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Frozen: it is replaced by another version, never changed."""

    version: int
    runs: int
    since_ns: int
    until_ns: int
    split: Split
    strata: tuple[str, ...]
    numbers: Mapping[str, Numbers]
    shares: Mapping[str, Shares]
    fingerprints: tuple[str, ...]
    examples: tuple[RunPoint, ...]
    """Runs spread over its time."""
    likeness: Mapping[str, Likeness]
    """By metric: how much neighbouring runs resemble each other."""

    @property
    def is_full(self) -> bool:
        """Enough runs over a whole week; before, only large changes are looked for."""
        return self.runs >= LEAST_RUNS and self.until_ns - self.since_ns >= WEEK_NS

    def stratum(self, point: RunPoint) -> str:
        """What the run is compared within; empty for all runs."""
        found = {"task": point.label, "hours": point.hours, "none": ""}[self.split]
        return found if found in self.strata else ""

    def positions(self, metric: Metric, point: RunPoint) -> dict[str, float]:
        """Where a run lies, between 0 and 1 or nearly: its rank under ``""``, or its shares by category."""
        value, stratum = point.values[metric.key], self.stratum(point)
        if isinstance(value, Mapping) or metric.kind != "number":
            return self.shares[metric.key].centred(value, stratum)
        return {"": rank(value, self.numbers[metric.key].of(stratum))}

    def bands(self, metric: Metric) -> dict[str, Band]:
        """The band around the mean of :meth:`positions`, by category."""
        like = self.likeness[metric.key]
        if metric.kind == "number":
            return {"": _number_band(self.numbers[metric.key], like)}
        shares = self.shares[metric.key]
        return {name: _share_band(shares, name, like) for name in shares.means[""]}

    def has(self, metric: Metric) -> bool:
        """Whether enough of its runs had the metric."""
        kept: Mapping[str, Any] = self.numbers if metric.kind == "number" else self.shares
        return metric.key in kept

    def as_json(self) -> dict[str, Any]:
        """What :meth:`from_json` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Baseline:
        """The baseline that :meth:`as_json` gave."""
        changed = {
            "strata": tuple(data["strata"]),
            "fingerprints": tuple(data["fingerprints"]),
            "examples": tuple(RunPoint(**each) for each in data["examples"]),
            "numbers": {key: Numbers(**each) for key, each in data["numbers"].items()},
            "shares": {key: Shares(**each) for key, each in data["shares"].items()},
            "likeness": {key: Likeness(**each) for key, each in data["likeness"].items()},
        }
        return cls(**(dict(data) | changed))


def freeze(
    points: Sequence[RunPoint], version: int, runs: int, neighbours: Sequence[RunPoint]
) -> Baseline:
    """The baseline of these runs, at least :data:`YOUNG_RUNS` of them.

    ``points`` may be a sample of ``runs``; ``neighbours`` followed each other without a gap.
    """
    split, strata = _split(points)
    within: dict[str, list[RunPoint]] = {"": list(points), **{name: [] for name in strata}}
    for point in points:
        name = {"task": point.label, "hours": point.hours, "none": ""}[split]
        if name and name in within:
            within[name].append(point)
    numbers: dict[str, Numbers] = {}
    shares: dict[str, Shares] = {}
    for metric in METRICS:
        having = sum(metric.key in point.values for point in points)
        if having < LEAST_IN_STRATUM:
            continue
        if metric.kind == "number":
            numbers[metric.key] = _numbers(metric.key, within)
        else:
            shares[metric.key] = _shares(metric.key, within)
    times = [point.started_ns for point in points]
    step = max(1, len(points) // 5)
    kept = Baseline(
        version=version,
        runs=runs,
        since_ns=min(times),
        until_ns=max(times),
        split=split,
        strata=strata,
        numbers=numbers,
        shares=shares,
        fingerprints=tuple(sorted({point.fingerprint for point in points})),
        examples=tuple(points[step // 2 :: step][:5]),
        likeness={},
    )
    found = {
        metric.key: _likeness(kept, metric, neighbours) for metric in METRICS if kept.has(metric)
    }
    return replace(kept, likeness=found)


def _likeness(baseline: Baseline, metric: Metric, points: Sequence[RunPoint]) -> Likeness:
    """The shortest block whose means hardly resemble each other any more."""
    rows = [baseline.positions(metric, point) for point in points if metric.key in point.values]
    if len(rows) < LEAST_IN_STRATUM:
        return Likeness()
    name = max(rows[0], key=lambda each: pvariance([row[each] for row in rows]))
    values = [row[name] for row in rows]
    variance = pvariance(values)
    for block in _BLOCKS:
        means = [fmean(values[at : at + block]) for at in range(0, len(values) - block + 1, block)]
        if len(means) < _LEAST_BLOCKS or not variance:
            return Likeness()
        if block == _BLOCKS[-1] or _resemblance(means) < _INDEPENDENT:
            break
    if block == 1:
        return Likeness()
    return Likeness(block, max(1.0, block * pvariance(means) / variance))


def _resemblance(values: Sequence[float]) -> float:
    """The correlation of each value with the next."""
    mean = fmean(values)
    around = [value - mean for value in values]
    squares = sum(value * value for value in around)
    return sum(a * b for a, b in pairwise(around)) / squares if squares else 0.0


def values_of(value: Value, known: Mapping[str, float] | None = None) -> dict[str, float]:
    """A rate or a mix as shares by category; with ``known``, what is not in it counts as :data:`REST`."""
    found = dict(value) if isinstance(value, Mapping) else {"yes": float(value)}
    if known is None or REST not in known:
        return found
    shares = {name: found.get(name, 0.0) for name in known if name != REST}
    shares[REST] = max(0.0, sum(found.values()) - sum(shares.values()))
    return shares


def _number_band(numbers: Numbers, like: Likeness) -> Band:
    error = _RANK_DEVIATION * (like.excess / len(numbers.values[""])) ** 0.5
    width = max(_RANK_BAND, _STANDARD_ERRORS * error)
    spread = _RANK_DEVIATION * (like.excess / like.block) ** 0.5
    return Band(0.5 - width, 0.5 + width, spread)


def _share_band(shares: Shares, category: str, like: Likeness) -> Band:
    mean = shares.means[""][category]
    deviation = max(shares.deviations[category], _SHARE_DEVIATION)
    error = deviation * (like.excess / shares.runs) ** 0.5
    width = max(_SHARE_BAND, _STANDARD_ERRORS * error, 3 / shares.runs)
    shifts = [mean - usual[category] for usual in shares.means.values()]
    # Also below 0 and over 1: with the edge at what never changes, a bet neither wins nor loses, and what is put on it
    # run by run adds up to an alarm.
    return Band(
        low=mean - width,
        high=mean + width,
        deviation=deviation * (like.excess / like.block) ** 0.5,
        least=min(shifts),
        most=1.0 + max(shifts),
    )


def rank(value: float, ordered: Sequence[float]) -> float:
    """The share of ``ordered`` below ``value``, equal ones counted half."""
    return (bisect_left(ordered, value) + bisect_right(ordered, value)) / (2 * len(ordered))


def _split(points: Sequence[RunPoint]) -> tuple[Split, tuple[str, ...]]:
    """By task when there are several; else by hours, when whole weeks are known."""
    tasks = Counter(point.label for point in points)
    often = tuple(sorted(name for name, n in tasks.items() if name and n >= LEAST_IN_STRATUM))
    if len(often) > 1:
        return "task", often
    times = [point.started_ns for point in points]
    hours = Counter(point.hours for point in points)
    if max(times) - min(times) >= WEEK_NS and min(hours.values()) >= LEAST_IN_STRATUM:
        return "hours", tuple(sorted(hours))
    return "none", ()


def _numbers(key: str, within: Mapping[str, Sequence[RunPoint]]) -> Numbers:
    found = {}
    for name, points in within.items():
        values = sorted(float(p.values[key]) for p in points if key in p.values)  # type: ignore[arg-type]
        if not name or len(values) >= LEAST_IN_STRATUM:
            found[name] = values
    return Numbers(found)


def _shares(key: str, within: Mapping[str, Sequence[RunPoint]]) -> Shares:
    values = [point.values[key] for point in within[""] if key in point.values]
    totals: Counter[str] = Counter()
    for value in values:
        totals.update(values_of(value))  # counters add fractions as well
    is_rate = not isinstance(values[0], Mapping)
    names = [name for name, _ in totals.most_common(_MOST_CATEGORIES)]
    names = ["yes"] if is_rate else [*sorted(names), REST]
    known = dict.fromkeys(names, 0.0)
    rows = {
        name: [values_of(point.values[key], known) for point in points if key in point.values]
        for name, points in within.items()
    }
    every = rows[""]
    overall = {name: sum(row[name] for row in every) / len(every) for name in names}
    squares = {name: sum((row[name] - overall[name]) ** 2 for row in every) for name in names}
    return Shares(
        len(every),
        {"": overall} | {name: _shrunk(part, overall) for name, part in rows.items() if name},
        {name: (total / len(every)) ** 0.5 for name, total in squares.items()},
    )


def _shrunk(rows: Sequence[Mapping[str, float]], overall: Mapping[str, float]) -> dict[str, float]:
    """The means of a stratum, drawn towards those of all runs: few runs say little."""
    weight = len(rows) + _SHRINK_RUNS
    return {
        name: (sum(row[name] for row in rows) + _SHRINK_RUNS * mean) / weight
        for name, mean in overall.items()
    }
