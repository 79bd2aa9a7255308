"""How large a change is: an estimate with an interval, of the runs since it began against the baseline."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median
from typing import Any, Literal

from tachograph_schemas.drift.baseline import Baseline, values_of
from tachograph_schemas.drift.metrics import Metric
from tachograph_schemas.drift.points import RunPoint

USUAL_Z = 1.96
"""Width of a 95 % interval in standard errors."""
Scale = Literal["ratio", "points", "difference"]


@dataclass(frozen=True, slots=True)
class Effect:
    """A change of one metric."""

    scale: Scale
    """``ratio``: after / before; ``points``: difference of shares, 0.08 is 8 points; ``difference``: of medians."""
    before: float
    after: float
    size: float
    low: float
    high: float
    """The interval of ``size``, 95 %; it does not know that the beginning was chosen by the same runs."""

    def as_json(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


def effect(
    baseline: Baseline, metric: Metric, category: str, after: Sequence[RunPoint], z: float = USUAL_Z
) -> Effect | None:
    """The change from the baseline to ``after``; None when no run of it has the metric."""
    having = [point for point in after if metric.key in point.values]
    if not having or not baseline.has(metric):
        return None
    if metric.kind == "number":
        return _of_number(baseline, metric, having, z)
    shares = baseline.shares[metric.key]
    found = [shares.centred(point.values[metric.key], "")[category] for point in having]
    expected = fmean([shares.of(baseline.stratum(point))[category] for point in having])
    mean = fmean(found)
    # Agresti and Coull's two more of each keep an interval wide where nothing was seen.
    near = (sum(found) + 2) / (len(found) + 4)
    spread = min(near * (1 - near), 0.25) / (len(found) + 4)
    spread += shares.deviations[category] ** 2 / shares.runs
    size = mean - expected
    return Effect("points", expected, mean, size, size - z * spread**0.5, size + z * spread**0.5)


def _of_number(baseline: Baseline, metric: Metric, having: Sequence[RunPoint], z: float) -> Effect:
    numbers = baseline.numbers[metric.key]
    usual = {name: median(values) for name, values in numbers.values.items()}
    pairs = [
        (_number(point, metric), usual.get(baseline.stratum(point), usual[""])) for point in having
    ]
    everything = numbers.values[""]
    before = median(everything)
    # The baseline's median is uncertain as well: both spreads are added.
    wider = z * (1 + len(pairs) / len(everything)) ** 0.5
    if min(usual.values()) > 0 and all(value > 0 for value, _ in pairs):
        middle, low, high = _median([math.log(value / base) for value, base in pairs], wider)
        return Effect(
            "ratio",
            before,
            before * math.exp(middle),
            math.exp(middle),
            math.exp(low),
            math.exp(high),
        )
    middle, low, high = _median([value - base for value, base in pairs], wider)
    return Effect("difference", before, before + middle, middle, low, high)


def _number(point: RunPoint, metric: Metric) -> float:
    value = point.values[metric.key]
    assert not isinstance(value, Mapping)
    return value


def _median(values: Sequence[float], z: float) -> tuple[float, float, float]:
    """The median and its interval, from the order of the values alone."""
    ordered = sorted(values)
    half = z * len(ordered) ** 0.5 / 2
    low = max(0, math.floor(len(ordered) / 2 - half))
    high = min(len(ordered) - 1, math.ceil(len(ordered) / 2 + half))
    return median(ordered), ordered[low], ordered[high]


def moved(
    metric: Metric, category: str, before: Sequence[RunPoint], after: Sequence[RunPoint]
) -> str:
    """The category that moved most, by its real name when it is one of those that were rare before."""
    if metric.kind != "mix":
        return category
    was, now = _mean_shares(metric, before), _mean_shares(metric, after)
    if category in was or category in now:
        return category
    names = was.keys() | now.keys()
    return max(names, key=lambda name: abs(now.get(name, 0) - was.get(name, 0)), default=category)


def _mean_shares(metric: Metric, points: Sequence[RunPoint]) -> dict[str, float]:
    total: Counter[str] = Counter()
    having = [point.values[metric.key] for point in points if metric.key in point.values]
    for value in having:
        total.update(values_of(value))  # counters add fractions as well
    return {name: share / len(having) for name, share in total.items()}
