"""The frozen baseline of an agent: what its runs were like, by task or by hours, and the band around that."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from tachograph_schemas.drift.bets import Band
from tachograph_schemas.drift.likeness import LEAST_IN_STRATUM, Likeness, likeness
from tachograph_schemas.drift.metrics import METRICS, Metric
from tachograph_schemas.drift.points import RunPoint, Value

LEAST_RUNS = 400
"""Runs of a full baseline."""
YOUNG_RUNS = 100
"""Runs from which on large changes are looked for."""
WEEK_NS = 7 * 86_400 * 10**9
REST = "(anything else)"
"""The category of all that is rare in the baseline or not in it at all."""

_STANDARD_ERRORS = 1.8
_RANK_BAND = 0.02
_SHARE_BAND = 0.01
_RANK_DEVIATION = 12**-0.5
_SHARE_DEVIATION = 0.02  # at least: a rate of nearly 0 has nearly none
_MOST_CATEGORIES = 9
_SHRINK_RUNS = 50.0
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
class Part:
    """What one metric was learnt from when it was learnt anew by itself."""

    version: int
    """Of the baseline, when this was done."""
    runs: int
    since_ns: int
    until_ns: int


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
    parts: Mapping[str, Part] = field(default_factory=dict)
    """By metric: those that are, or will be, learnt from other runs than the rest."""
    whole_version: int = 0
    """In which the rest was learnt; 0: in this one."""

    @property
    def is_full(self) -> bool:
        """Enough runs over a whole week; before, only large changes are looked for."""
        return _is_full(self)

    def is_full_of(self, metric: Metric) -> bool:
        """The same of the runs that one metric was learnt from."""
        return _is_full(self.parts.get(metric.key, self))

    def version_of(self, metric: Metric) -> int:
        """The version in which a metric was learnt, or began to be learnt anew."""
        part = self.parts.get(metric.key)
        return part.version if part else self.version_of_rest

    @property
    def version_of_rest(self) -> int:
        """The version in which all that was not learnt by itself was learnt."""
        return self.whole_version or self.version

    def without(self, metric: Metric, version: int) -> Baseline:
        """The same, but this metric is to be learnt anew by itself."""
        key = metric.key
        return replace(
            self,
            version=version,
            numbers={name: each for name, each in self.numbers.items() if name != key},
            shares={name: each for name, each in self.shares.items() if name != key},
            likeness={name: each for name, each in self.likeness.items() if name != key},
            parts=dict(self.parts) | {key: Part(version, 0, 0, 0)},
            whole_version=self.version_of_rest,
        )

    def relearnt(
        self,
        metric: Metric,
        version: int,
        points: Sequence[RunPoint],
        runs: int,
        neighbours: Sequence[RunPoint],
    ) -> Baseline:
        """The same, this metric learnt from ``points``, which all have it; see :func:`freeze`."""
        key = metric.key
        within = _within(points, self.strata, self.stratum)
        numbers, shares = dict(self.numbers), dict(self.shares)
        if metric.kind == "number":
            numbers[key] = _numbers(key, within)
        else:
            shares[key] = _shares(key, within)
        times = [point.started_ns for point in points]
        part = Part(version, runs, min(times), max(times))
        made = replace(
            self,
            version=version,
            numbers=numbers,
            shares=shares,
            parts=dict(self.parts) | {key: part},
            whole_version=self.version_of_rest,
        )
        like = _likeness(made, metric, neighbours)
        return replace(made, likeness=dict(self.likeness) | {key: like})

    def with_parts(self, other: Baseline) -> Baseline:
        """The same, with the metrics that ``other`` has learnt by themselves in place of its own."""
        kept = {key for key in other.parts if key in other.likeness}
        return replace(
            self,
            numbers=dict(self.numbers)
            | {key: other.numbers[key] for key in kept & set(other.numbers)},
            shares=dict(self.shares) | {key: other.shares[key] for key in kept & set(other.shares)},
            likeness=dict(self.likeness) | {key: other.likeness[key] for key in kept},
            parts=dict(self.parts) | {key: other.parts[key] for key in kept},
        )

    def stratum(self, point: RunPoint) -> str:
        """What the run is compared within; empty for all runs."""
        found = _stratum(point, self.split)
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
            "parts": {key: Part(**each) for key, each in data.get("parts", {}).items()},
        }
        return cls(**(dict(data) | changed))


def freeze(
    points: Sequence[RunPoint], version: int, runs: int, neighbours: Sequence[RunPoint]
) -> Baseline:
    """The baseline of these runs, at least :data:`YOUNG_RUNS` of them.

    ``points`` may be a sample of ``runs``; ``neighbours`` followed each other without a gap.
    """
    split, strata = _split(points)
    within = _within(points, strata, lambda point: _stratum(point, split))
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


def _is_full(learnt: Baseline | Part) -> bool:
    return learnt.runs >= LEAST_RUNS and learnt.until_ns - learnt.since_ns >= WEEK_NS


def _stratum(point: RunPoint, split: Split) -> str:
    if split == "task":
        return point.label
    return point.hours if split == "hours" else ""


def _within(
    points: Sequence[RunPoint], strata: Sequence[str], stratum: Callable[[RunPoint], str]
) -> dict[str, list[RunPoint]]:
    """All the runs (""), and those of each stratum."""
    within: dict[str, list[RunPoint]] = {"": list(points), **{name: [] for name in strata}}
    for point in points:
        name = stratum(point)
        if name and name in within:
            within[name].append(point)
    return within


def _likeness(baseline: Baseline, metric: Metric, points: Sequence[RunPoint]) -> Likeness:
    return likeness(
        [baseline.positions(metric, point) for point in points if metric.key in point.values]
    )


def values_of(value: Value, known: Mapping[str, float] | None = None) -> dict[str, float]:
    """A rate or a mix as shares by category; with ``known``, what is not in it counts as :data:`REST`."""
    found = dict(value) if isinstance(value, Mapping) else {"yes": float(value)}
    if known is None or REST not in known:
        return found
    shares = dict.fromkeys(known, 0.0)
    for name, share in found.items():
        # One after the other: `sum` does not add the same way in every version of the language.
        shares[name if name in shares else REST] += share
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
    del totals[REST]
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
