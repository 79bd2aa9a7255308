"""An alarm, whole: what changed, by how much, since when, where, and runs to look at."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from tachograph_schemas.drift.agent import AgentWatch, Signal
from tachograph_schemas.drift.baseline import Baseline
from tachograph_schemas.drift.effect import effect, moved
from tachograph_schemas.drift.metrics import BY_KEY, Metric
from tachograph_schemas.drift.points import RunPoint

EXAMPLES = 5
_SLICES = 24  # of the picture: points that a small chart can show
_LARGE, _MEDIUM = 0.2, 0.1  # of the mean rank or share


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm. Times are nanoseconds since 1970."""

    id: str
    metric: str
    title: str
    unit: str
    direction: str
    category: str
    severity: str
    """``large``, ``medium`` or ``small``: the size of the change, not how sure it is."""
    raised_ns: int
    since_ns: int
    since_run: str
    runs_since: int
    bound_runs: float
    """At most one false alarm of this metric in so many runs."""
    young: bool
    """The baseline was small, or did not know a whole week."""
    baseline_version: int
    effect: dict[str, Any]
    where: list[dict[str, Any]] = field(default_factory=list)
    """By task or hours: ``name``, ``runs``, ``effect``; the most moved first."""
    before: list[dict[str, Any]] = field(default_factory=list)
    after: list[dict[str, Any]] = field(default_factory=list)
    """Example runs: ``run_id``, ``started_ns`` and their ``value`` (None: they do not have the metric)."""
    checked: list[str] = field(default_factory=list)
    """What else was different, and what was looked at and was not, in sentences."""
    picture: dict[str, Any] = field(default_factory=dict)


def alarm(agent: str, watch: AgentWatch, signal: Signal) -> Alarm:
    """The alarm of a signal that ``watch`` has just given."""
    assert watch.baseline is not None
    metric = signal.metric
    before, after = watch.recent[: signal.since], watch.recent[signal.since :]
    category = moved(metric, signal.category, before, after)
    found = effect(watch.baseline, metric, signal.category, after)
    last, first = after[-1], after[0]
    name = f"{agent}\0{metric.key}\0{watch.version}\0{last.run_id}"
    return Alarm(
        id=hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12],
        metric=metric.key,
        title=metric.title,
        unit=metric.unit,
        direction=signal.direction,
        category=category,
        severity=_severity(watch, signal, after),
        raised_ns=last.started_ns,
        since_ns=first.started_ns,
        since_run=first.run_id,
        runs_since=len(after),
        bound_runs=signal.bound,
        young=not watch.baseline.is_full_of(metric),
        baseline_version=watch.baseline.version_of(metric),
        effect=found.as_json() if found else {},
        where=_where(watch, signal, after),
        before=[_example(watch, signal, point) for point in watch.baseline.examples],
        after=_examples(watch, signal, after),
        checked=_checked(watch, after),
        picture=picture(watch, metric.key, signal.category, signal.since),
    )


def _severity(watch: AgentWatch, signal: Signal, after: Sequence[RunPoint]) -> str:
    assert watch.baseline is not None
    usual = watch.baseline.bands(signal.metric)[signal.category]
    values = _positions(watch, signal, after)
    distance = abs(fmean(values) - (usual.low + usual.high) / 2)
    return "large" if distance >= _LARGE else "medium" if distance >= _MEDIUM else "small"


def _positions(watch: AgentWatch, signal: Signal, points: Sequence[RunPoint]) -> list[float]:
    assert watch.baseline is not None
    return [
        watch.baseline.positions(signal.metric, point)[signal.category]
        for point in points
        if signal.metric.key in point.values
    ]


def _where(watch: AgentWatch, signal: Signal, after: Sequence[RunPoint]) -> list[dict[str, Any]]:
    """The change within each task, or part of the week."""
    assert watch.baseline is not None
    parts: dict[str, list[RunPoint]] = {}
    for point in after:
        parts.setdefault(watch.baseline.stratum(point), []).append(point)
    rows = []
    for name, points in parts.items():
        found = effect(watch.baseline, signal.metric, signal.category, points)
        if name and found:
            rows.append((abs(found.size - (found.scale == "ratio")), name, len(points), found))
    rows.sort(key=lambda row: row[:2], reverse=True)
    return [{"name": name, "runs": n, "effect": found.as_json()} for _, name, n, found in rows]


def _example(watch: AgentWatch, signal: Signal, point: RunPoint) -> dict[str, Any]:
    key = signal.metric.key
    value = _shown(point, key, signal.category, watch) if key in point.values else None
    return {"run_id": point.run_id, "started_ns": point.started_ns, "value": value}


def _examples(watch: AgentWatch, signal: Signal, after: Sequence[RunPoint]) -> list[dict[str, Any]]:
    """The runs since the change that show it most clearly."""
    assert watch.baseline is not None
    sign = 1 if signal.direction == "more" else -1
    having = [point for point in after if signal.metric.key in point.values]
    values = _positions(watch, signal, having)
    order = sorted(range(len(having)), key=lambda at: (-sign * values[at], at))
    return [_example(watch, signal, having[at]) for at in order[:EXAMPLES]]


def _checked(watch: AgentWatch, after: Sequence[RunPoint]) -> list[str]:
    """What may explain the change and is no change of the agent."""
    assert watch.baseline is not None
    said = []
    new = Counter(point.fingerprint for point in after)
    unknown = [name for name in new if name and name not in watch.baseline.fingerprints]
    if unknown:
        share = sum(new[name] for name in unknown) / len(after)
        said.append(
            f"{share * 100:.0f} % of these runs are of a version that the baseline does not know"
            f" ({', '.join(sorted(unknown)[:3])}): model, prompt, tools or code are not the same."
        )
    else:
        said.append("Model, prompt, tools and code are those of the baseline.")
    asked = effect(watch.baseline, BY_KEY["input_tokens"], "", after)
    if asked and asked.scale == "ratio":
        differs = asked.low > 1.05 or asked.high < 0.95
        said.append(
            f"The input is x{asked.size:.2f} as long."
            if differs
            else "The input is as long as before."
        )
    return said


def picture(watch: AgentWatch, key: str, category: str, since: int | None) -> dict[str, Any]:
    """The recent runs in slices, for a small chart: means by slice, the band of the baseline, where the change began."""
    metric = BY_KEY[key]
    if watch.baseline is None or not watch.baseline.has(metric):
        return {}
    having = [(at, point) for at, point in enumerate(watch.recent) if key in point.values]
    size = max(1, -(-len(having) // _SLICES))
    slices = []
    for first in range(0, len(having), size):
        part = [point for _, point in having[first : first + size]]
        values = [_shown(point, key, category, watch) for point in part]
        slices.append([part[0].started_ns, _middle(values, metric.kind), len(part)])
    began = next(
        (i / size for i, (at, _) in enumerate(having) if since is not None and at >= since), None
    )
    low, usual, high = _usual(watch.baseline, metric, category, size)
    return {
        "category": category,
        "slices": slices,
        "began": began,
        "low": low,
        "usual": usual,
        "high": high,
    }


def _usual(
    baseline: Baseline, metric: Metric, category: str, size: int
) -> tuple[float, float, float]:
    """Where 19 of 20 slices of ``size`` runs lie without a change, and their middle."""
    if metric.kind == "number":
        ordered = baseline.numbers[metric.key].values[""]
        most, half = len(ordered) - 1, min(0.5, size**-0.5)
        low, middle, high = (ordered[round(q * most)] for q in (0.5 - half, 0.5, 0.5 + half))
        return low, middle, high
    shares = baseline.shares[metric.key]
    mean, reach = shares.means[""][category], 2 * shares.deviations[category] / size**0.5
    return max(0.0, mean - reach), mean, min(1.0, mean + reach)


def _shown(point: RunPoint, key: str, category: str, watch: AgentWatch) -> float:
    value = point.values[key]
    if not category:
        assert not isinstance(value, dict)
        return float(value)  # type: ignore[arg-type]
    assert watch.baseline is not None
    return watch.baseline.shares[key].centred(value, "")[category]


def _middle(values: Sequence[float], kind: str) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if kind == "number" else fmean(ordered)
