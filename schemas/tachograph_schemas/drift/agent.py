"""The watch over one agent: it learns a baseline from its runs, then takes one run after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log1p
from statistics import fmean
from typing import Any, Literal

from tachograph_schemas.drift.baseline import (
    LEAST_RUNS,
    WEEK_NS,
    YOUNG_RUNS,
    Baseline,
    freeze,
)
from tachograph_schemas.drift.bets import BETS, Bets, restarted
from tachograph_schemas.drift.deploys import Deploy, Deploys
from tachograph_schemas.drift.metrics import METRICS, Metric
from tachograph_schemas.drift.points import RunPoint

DEFAULT_BUDGET_RUNS = 2_000
"""At most one false alarm per so many runs of an agent, all metrics together."""
RECENT_RUNS = 500
_YOUNG_FACTOR = 5
"""How much rarer false alarms must be while the baseline is small or does not know a whole week."""
_MOST_LEARNT = 2_000
"""Runs kept for a baseline; of a busier agent every second, every fourth ... is."""

Direction = Literal["more", "less"]


@dataclass(slots=True)
class Signal:
    """The evidence on one metric has reached its limit."""

    metric: Metric
    direction: Direction
    category: str
    """Of a mix: the one that moved most; empty for a number, "yes" for a rate."""
    since: int
    """From which of the recent runs on, estimated: an index into :attr:`AgentWatch.recent`."""
    bound: float
    """The promised mean number of runs to a false alarm of this metric."""


@dataclass(slots=True)
class AgentWatch:
    """Everything that is known of one agent. Fed by one thread; :meth:`as_json` survives a restart."""

    budget_runs: int = DEFAULT_BUDGET_RUNS
    baseline: Baseline | None = None
    runs: int = 0
    """Runs fed since the beginning."""
    learning: list[RunPoint] = field(default_factory=list)
    """Runs of the next baseline; empty once it is full."""
    learnt: int = 0
    """Runs that ``learning`` is a sample of."""
    stride: int = 1
    """Every how many runs one is kept in ``learning``."""
    money: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """What the bets hold, by metric and category."""
    seen: dict[str, int] = field(default_factory=dict)
    """Runs with the metric since its bets began."""
    waiting: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    """Values of a block that is not full yet, by metric."""
    recent: list[RunPoint] = field(default_factory=list)
    version: int = 0
    deploys: Deploys = field(default_factory=Deploys)
    """The versions that were seen, and comparisons of new ones."""
    _prepared: dict[str, Mapping[str, Bets]] = field(default_factory=dict)
    _weights: float = 0.0

    def feed(self, point: RunPoint) -> list[Signal]:
        """Take the next run; what has been found by it."""
        self.runs += 1
        found: list[Signal] = []
        self.recent.append(point)
        del self.recent[:-RECENT_RUNS]
        self.deploys.feed(point, self.recent)
        if self.baseline is not None:
            for metric in METRICS:
                if metric.key in point.values and self.baseline.has(metric):
                    found += self._take(metric, point)
        if self.baseline is None or not self.baseline.is_full:
            self._learn(point)
        return found

    def bound(self, metric: Metric) -> float:
        """The promised mean number of runs to a false alarm of this metric alone."""
        if self.baseline is None:
            return float("inf")
        if not self._weights:
            self._weights = sum(each.weight for each in METRICS if self.baseline.has(each))
        factor = 1 if self.baseline.is_full else _YOUNG_FACTOR
        return factor * self.budget_runs * self._weights / metric.weight

    def evidence(self, metric: Metric) -> float:
        """How much speaks against "unchanged"; an alarm is raised at :meth:`bound`."""
        held = self.money.get(metric.key)
        return sum(map(sum, held.values())) / (BETS * len(held)) if held else 0.0

    def restart(self, metric: Metric) -> None:
        """Forget the evidence on a metric and go on with the same baseline."""
        self.money.pop(metric.key, None)
        self.seen.pop(metric.key, None)
        self.waiting.pop(metric.key, None)

    def learn_again(self, since: Sequence[RunPoint] = ()) -> None:
        """Begin a new baseline, with the runs that are known to belong to it already."""
        self.baseline = None
        self.learning, self.learnt, self.stride = [], 0, 1
        self._begin()
        for point in since:
            self._learn(point)

    def _take(self, metric: Metric, point: RunPoint) -> list[Signal]:
        assert self.baseline is not None
        self.seen[metric.key] = self.seen.get(metric.key, 0) + 1
        values = self.baseline.positions(metric, point)
        block = self.baseline.likeness[metric.key].block
        if block > 1:
            row = self.waiting.setdefault(metric.key, [])
            row.append(values)
            if len(row) < block:
                return []
            values = {name: fmean([each[name] for each in row]) for name in values}
            row.clear()
        bets = self._bets(metric)
        held = self.money.get(metric.key)
        if held is None:
            held = self.money[metric.key] = {name: [0.0] * BETS for name in bets}
        total = 0.0
        for name, value in values.items():
            money = held[name] = restarted(held[name], value, bets[name])
            total += sum(money)
        # The promise is in runs, the evidence comes in blocks of them.
        bound = self.bound(metric)
        if total * block < bound * BETS * len(held):
            return []
        signal = self._signal(metric, held, bound)
        self.restart(metric)
        return [signal]

    def _bets(self, metric: Metric) -> Mapping[str, Bets]:
        found = self._prepared.get(metric.key)
        if found is None:
            assert self.baseline is not None
            bands = self.baseline.bands(metric)
            found = {name: band.bets() for name, band in bands.items()}
            self._prepared[metric.key] = found
        return found

    def _signal(self, metric: Metric, held: Mapping[str, list[float]], bound: float) -> Signal:
        """Which bet won, and from which run on it won: where its product of gains is largest."""
        assert self.baseline is not None
        category = max(held, key=lambda name: max(held[name]))
        winner = max(range(BETS), key=held[category].__getitem__)
        stake, edge = self._bets(metric)[category][winner]
        stake /= self.baseline.likeness[metric.key].block  # single values here, not blocks
        having = [i for i, point in enumerate(self.recent) if metric.key in point.values]
        best, total, since = 0.0, 0.0, len(self.recent) - 1
        for index in reversed(having[-self.seen[metric.key] :]):
            value = self.baseline.positions(metric, self.recent[index])[category]
            total += log1p(stake * (value - edge))
            if total > best:
                best, since = total, index
        direction: Direction = "more" if winner < BETS // 2 else "less"
        return Signal(metric, direction, category, since, bound)

    def _learn(self, point: RunPoint) -> None:
        if self.learnt % self.stride == 0:
            self.learning.append(point)
        self.learnt += 1
        if len(self.learning) > _MOST_LEARNT:
            del self.learning[1::2]
            self.stride *= 2
        if self._is_due():
            self.version += 1
            self.baseline = freeze(self.learning, self.version, self.learnt, self._neighbours())
            self._begin()
            if self.baseline.is_full:
                self.learning, self.learnt, self.stride = [], 0, 1

    def _is_due(self) -> bool:
        """Whether what is learnt by now makes a better baseline than the one there is."""
        if self.learnt in {YOUNG_RUNS, LEAST_RUNS}:
            return True
        if self.learnt < LEAST_RUNS:
            return False
        return self.learning[-1].started_ns - self.learning[0].started_ns >= WEEK_NS

    def _neighbours(self) -> list[RunPoint]:
        """Runs of the baseline that followed each other."""
        return self.learning if self.stride == 1 else self.recent

    def _begin(self) -> None:
        self.money, self.seen, self.waiting = {}, {}, {}
        self._prepared, self._weights = {}, 0.0

    def as_json(self) -> dict[str, Any]:
        """What :meth:`from_json` takes, without the baseline, which does not change, and the comparisons of versions."""
        return {
            "budget_runs": self.budget_runs,
            "runs": self.runs,
            "learning": [point.as_json() for point in self.learning],
            "learnt": self.learnt,
            "stride": self.stride,
            "money": self.money,
            "seen": self.seen,
            "waiting": self.waiting,
            "recent": [point.as_json() for point in self.recent],
            "version": self.version,
            "versions": self.deploys.seen,
        }

    @classmethod
    def from_json(
        cls, data: Mapping[str, Any], baseline: Baseline | None, deploys: Sequence[Deploy] = ()
    ) -> AgentWatch:
        """The watch that :meth:`as_json` gave; the comparisons of versions that are under way are kept beside it."""
        points = {
            name: [RunPoint.from_json(each) for each in data[name]]
            for name in ("learning", "recent")
        }
        known = {name: value for name, value in data.items() if name != "versions"}
        seen = Deploys(data.get("versions", {}), list(deploys))
        return cls(**(known | points), baseline=baseline, deploys=seen)
