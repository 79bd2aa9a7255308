"""The watch over one agent: it learns a baseline from its runs, then takes one run after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import log1p
from typing import Any, Literal

from tachograph_schemas.drift.baseline import Baseline, freeze
from tachograph_schemas.drift.bets import BETS
from tachograph_schemas.drift.deploys import Deploy, Deploys
from tachograph_schemas.drift.learning import Learning
from tachograph_schemas.drift.ledger import Ledger, Row
from tachograph_schemas.drift.metrics import BY_KEY, METRICS, Metric
from tachograph_schemas.drift.points import RunPoint

DEFAULT_BUDGET_RUNS = 2_000
"""At most one false alarm per so many runs of an agent, all metrics together."""
RECENT_RUNS = 500
_YOUNG_FACTOR = 5
"""How much rarer false alarms must be while the baseline is small or does not know a whole week."""
_AT_ONCE = 256
"""Runs taken together: few enough that no bet, left alone for so long, outgrows a number."""

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
    learning: Learning = field(default_factory=Learning)
    """Runs of the next baseline; empty once it is full."""
    relearning: dict[str, Learning] = field(default_factory=dict)
    """The same for each metric, by key, that is learnt anew by itself."""
    recent: list[RunPoint] = field(default_factory=list)
    version: int = 0
    deploys: Deploys = field(default_factory=Deploys)
    """The versions that were seen, and comparisons of new ones."""
    _ledger: Ledger | None = None
    _limits: Row | None = None
    _weights: float = 0.0

    def feed(self, point: RunPoint) -> list[Signal]:
        """Take the next run; what has been found by it."""
        return list(self.feed_all([point]))

    def feed_all(self, points: Sequence[RunPoint]) -> Iterator[Signal]:
        """Take the next runs, in order; whenever a signal is given, ``recent`` ends with its run.

        However runs are cut into calls, the signals and the state behind them are the same. All signals must be taken.
        """
        at = 0
        while at < len(points):
            # Until a baseline is made: the runs behind it are compared with that one.
            count, whole, parts = self._learn(points[at : at + _AT_ONCE])
            part = points[at : at + count]
            if self._ledger is not None and self._ledger.accounts:
                yield from self._bet(self._ledger, part)
            else:
                self._see(part)
            if whole or parts:
                self._freeze(parts, whole=whole)
            at += count

    def bound(self, metric: Metric) -> float:
        """The promised mean number of runs to a false alarm of this metric alone."""
        if self.baseline is None:
            return float("inf")
        if not self._weights:
            self._weights = sum(each.weight for each in METRICS if self.baseline.has(each))
        factor = 1 if self.baseline.is_full_of(metric) else _YOUNG_FACTOR
        return factor * self.budget_runs * self._weights / metric.weight

    def evidence(self, metric: Metric) -> float:
        """How much speaks against "unchanged"; an alarm is raised at :meth:`bound`."""
        return self._ledger.evidence(metric) if self._ledger is not None else 0.0

    def held(self, metric: Metric) -> dict[str, list[float]]:
        """What the bets on a metric that the baseline has hold, by category."""
        assert self._ledger is not None
        return self._ledger.held(metric)

    def seen(self, metric: Metric) -> int:
        """Runs with the metric since its bets began."""
        return self._ledger.seen.get(metric.key, 0) if self._ledger is not None else 0

    def restart(self, metric: Metric) -> None:
        """Forget the evidence on a metric and go on with the same baseline."""
        if self._ledger is not None:
            self._ledger.restart(metric)

    def learn_again(self, since: Sequence[RunPoint] = ()) -> None:
        """Begin a new baseline, with the runs that are known to belong to it already."""
        self.baseline = None
        self.learning, self.relearning = Learning(), {}
        self._begin()
        for point in since:
            if self.learning.take(point):
                self._freeze([], whole=True)
                if self.baseline is not None and self.baseline.is_full:
                    # The rest would make another one, of fewer runs.
                    return

    def learn_metric_again(self, metric: Metric, since: Sequence[RunPoint] = ()) -> None:
        """The same for one metric; the others keep their baseline and the evidence against it."""
        if self.baseline is None:
            return
        self._put(self.baseline.without(metric, self._next_version()))
        self.relearning[metric.key] = Learning()
        for point in since:
            if metric.key in point.values and self.relearning[metric.key].take(point):
                self._freeze([metric.key], whole=False)
                if metric.key not in self.relearning:
                    return

    def _learn(self, points: Sequence[RunPoint]) -> tuple[int, bool, list[str]]:
        """Gather runs until one makes a baseline due: how many, whether the whole one, and of which metrics by themselves."""
        is_learning = self.baseline is None or not self.baseline.is_full
        if not (is_learning or self.relearning):
            return len(points), False, []
        for count, point in enumerate(points, 1):
            whole = is_learning and self.learning.take(point)
            parts = [
                key
                for key, learning in self.relearning.items()
                if key in point.values and learning.take(point)
            ]
            if whole or parts:
                return count, whole, parts
        return len(points), False, []

    def _bet(self, ledger: Ledger, points: Sequence[RunPoint]) -> Iterator[Signal]:
        course, done = ledger.prepare(points), 0
        if self._limits is None:
            self._limits = ledger.limits([self.bound(each.metric) for each in ledger.accounts])
        while done < len(points):
            behind, metrics = ledger.move(course, done, self._limits)
            self._see(points[done:behind])
            done = behind
            for metric in metrics:
                signal = self._signal(ledger, metric)
                ledger.restart(metric)
                yield signal

    def _see(self, points: Sequence[RunPoint]) -> None:
        self.runs += len(points)
        for point in points:
            self.recent.append(point)
            if len(self.recent) > RECENT_RUNS:
                del self.recent[0]
            self.deploys.feed(point, self.recent)

    def _signal(self, ledger: Ledger, metric: Metric) -> Signal:
        """Which bet won, and from which run on it won: where its product of gains is largest."""
        assert self.baseline is not None
        held = ledger.held(metric)
        category = max(held, key=lambda name: max(held[name]))
        winner = max(range(BETS), key=held[category].__getitem__)
        stake, edge = ledger.bets(metric, category)[winner]
        stake /= self.baseline.likeness[metric.key].block  # single values here, not blocks
        having = [i for i, point in enumerate(self.recent) if metric.key in point.values]
        best, total, since = 0.0, 0.0, len(self.recent) - 1
        for index in reversed(having[-self.seen(metric) :]):
            value = self.baseline.positions(metric, self.recent[index])[category]
            total += log1p(stake * (value - edge))
            if total > best:
                best, since = total, index
        direction: Direction = "more" if winner < BETS // 2 else "less"
        return Signal(metric, direction, category, since, self.bound(metric))

    def _freeze(self, parts: Sequence[str], *, whole: bool) -> None:
        """Make the baseline that is due: of all, or of some metrics by themselves."""
        if whole:
            known, learning = self.baseline, self.learning
            version = self._next_version()
            made = freeze(learning.points, version, learning.learnt, self._neighbours(learning))
            for key in self.relearning:
                made = made.without(BY_KEY[key], version)
            self.baseline = made.with_parts(known) if known is not None else made
            self._begin()
            if self.baseline.is_full:
                self.learning = Learning()
        for key in parts:
            assert self.baseline is not None
            learning = self.relearning[key]
            neighbours = self._neighbours(learning)
            version = self._next_version()
            self._put(
                self.baseline.relearnt(
                    BY_KEY[key], version, learning.points, learning.learnt, neighbours
                )
            )
            if self.baseline.is_full_of(BY_KEY[key]):
                del self.relearning[key]

    def _next_version(self) -> int:
        self.version += 1
        return self.version

    def _neighbours(self, learning: Learning) -> list[RunPoint]:
        """Runs of the baseline that followed each other."""
        return learning.points if learning.stride == 1 else self.recent

    def _begin(self) -> None:
        self._ledger = Ledger(self.baseline) if self.baseline is not None else None
        self._limits, self._weights = None, 0.0

    def _put(self, baseline: Baseline) -> None:
        """Go on with a baseline that differs in some metrics: what is held on the others stays."""
        held = self._ledger.as_json() if self._ledger is not None else None
        before, self.baseline = self.baseline, baseline
        self._begin()
        if held and before and self._ledger:
            same = [
                metric.key
                for metric in METRICS
                if before.version_of(metric) == baseline.version_of(metric)
            ]
            self._ledger.recall(held, same)

    def as_json(self) -> dict[str, Any]:
        """What :meth:`from_json` takes, without the baseline, which does not change, and the comparisons of versions."""
        empty: dict[str, Any] = {"money": {}, "seen": {}, "waiting": {}}
        kept = self._ledger.as_json() if self._ledger is not None else empty
        return {
            "budget_runs": self.budget_runs,
            "runs": self.runs,
            "relearning": {key: each.as_json() for key, each in self.relearning.items()},
            "recent": [point.as_json() for point in self.recent],
            "version": self.version,
            "versions": self.deploys.seen,
        } | (self.learning.as_json() | kept)

    @classmethod
    def from_json(
        cls, data: Mapping[str, Any], baseline: Baseline | None, deploys: Sequence[Deploy] = ()
    ) -> AgentWatch:
        """The watch that :meth:`as_json` gave; the comparisons of versions that are under way are kept beside it."""
        relearning = data.get("relearning", {})
        watch = cls(
            budget_runs=data["budget_runs"],
            baseline=baseline,
            runs=data["runs"],
            learning=Learning.from_json(data),
            relearning={key: Learning.from_json(each) for key, each in relearning.items()},
            recent=[RunPoint.from_json(each) for each in data["recent"]],
            version=data["version"],
            deploys=Deploys(data.get("versions", {}), list(deploys)),
        )
        watch._begin()
        if watch._ledger is not None:
            watch._ledger.recall(data)
        return watch
