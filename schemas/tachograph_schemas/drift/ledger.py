"""The bets on all metrics of an agent, held as one row of numbers, so that many runs are taken at once.

Runs are prepared together (their positions, and what each bet gains by them) and the bets are then moved from run to run,
all of them in one operation. Every operation is the same for one run as for a thousand: how runs are cut into calls changes
no bit of the result, so reading history gives exactly what watching gave.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tachograph_schemas.drift.baseline import REST, Baseline
from tachograph_schemas.drift.bets import BETS
from tachograph_schemas.drift.metrics import METRICS, Metric
from tachograph_schemas.drift.points import RunPoint

_FEW = 4
"""Runs for which arrays cost more than they save; the results are the same."""
Row = NDArray[np.float64]
Told = NDArray[np.bool_]
_NOTHING: Row = np.empty((0, 0))


@dataclass(frozen=True, slots=True)
class Account:
    """Where the bets on one metric stand in the row."""

    metric: Metric
    names: tuple[str, ...]
    """The categories; ``""`` of a number, ``"yes"`` of a rate."""
    lanes: slice
    columns: slice
    """Of its categories among all."""
    block: int
    """So many values in a row are averaged and count as one."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What some runs say about one metric."""

    runs: list[int]
    """Which of them have it."""
    values: Row
    """Where values are averaged in blocks: their positions, behind those that were waiting: a row each, a column a category."""
    waiting: int


@dataclass(frozen=True, slots=True)
class Course:
    """Some runs, prepared; :meth:`Ledger.move` takes them."""

    taken: tuple[Taken, ...]
    stakes: Row
    """What is put on each bet before each run: one unit when the run says something, else nothing."""
    gains: Row
    told: Told
    """Whether there is new evidence on each metric, by run."""


class Ledger:
    """Evidence against "unchanged" on every metric of one baseline."""

    def __init__(self, baseline: Baseline) -> None:
        self._baseline = baseline
        self.accounts: tuple[Account, ...] = ()
        stakes: list[float] = []
        edges: list[float] = []
        for metric in METRICS:
            if not baseline.has(metric):
                continue
            bands = baseline.bands(metric)
            first = len(stakes) // BETS
            columns = slice(first, first + len(bands))
            lanes = slice(BETS * columns.start, BETS * columns.stop)
            block = baseline.likeness[metric.key].block
            self.accounts += (Account(metric, tuple(bands), lanes, columns, block),)
            for band in bands.values():
                for stake, edge in band.bets():
                    stakes.append(stake)
                    edges.append(edge)
        self._stakes, self._edges = np.array(stakes), np.array(edges)
        self._row = np.zeros(len(stakes))
        self._column_of = np.repeat(np.arange(len(stakes) // BETS), BETS)
        widths = [len(account.names) * BETS for account in self.accounts]
        self._number_of = np.repeat(np.arange(len(self.accounts)), widths)
        self._starts = [account.lanes.start for account in self.accounts]
        self._of = {account.metric.key: account for account in self.accounts}
        self._ordered: dict[tuple[str, str], Row] = {}
        self.waiting: dict[str, list[list[float]]] = {}
        """Positions of a block that is not full yet, by metric: a list each run."""
        self.seen: dict[str, int] = {}
        """Runs with the metric since its bets began."""

    def held(self, metric: Metric) -> dict[str, list[float]]:
        """What the bets on a metric hold, by category."""
        account = self._of[metric.key]
        rows = self._row[account.lanes].reshape(-1, BETS).tolist()
        return dict(zip(account.names, rows, strict=True))

    def evidence(self, metric: Metric) -> float:
        """How much speaks against "unchanged": the mean over the bets."""
        account = self._of.get(metric.key)
        return float(self._row[account.lanes].mean()) if account else 0.0

    def bets(self, metric: Metric, category: str) -> list[tuple[float, float]]:
        """(stake, edge of the band) of each bet."""
        account = self._of[metric.key]
        first = account.lanes.start + BETS * account.names.index(category)
        lanes = slice(first, first + BETS)
        return list(zip(self._stakes[lanes].tolist(), self._edges[lanes].tolist(), strict=True))

    def restart(self, metric: Metric) -> None:
        """Forget the evidence on a metric."""
        self.seen.pop(metric.key, None)
        self.waiting.pop(metric.key, None)
        if metric.key in self._of:
            self._row[self._of[metric.key].lanes] = 0.0

    def prepare(self, points: Sequence[RunPoint]) -> Course:
        """What these runs mean for the bets, whatever those hold."""
        if len(points) <= _FEW:
            taken, values, told = self._take_few(points)
        else:
            taken, values, told = self._take_many(points)
        stakes = told[:, self._number_of]
        gains = 1.0 + self._stakes * (values[:, self._column_of] - self._edges)
        gains[~stakes] = 1.0
        return Course(taken, stakes.astype(np.float64), gains, told)

    def move(self, course: Course, first: int, limits: Row) -> tuple[int, list[Metric]]:
        """Take the runs of ``course`` from ``first`` on, until evidence reaches a limit or they end.

        Args:
            course: from :meth:`prepare`, with nothing taken since but its own runs.
            first: the first run to be taken.
            limits: the evidence for an alarm, by account.

        Returns:
            The number behind the last run that was taken, and the metrics that have reached their limit by it.
        """
        moved = np.empty((len(course.stakes) - first, len(self._row)))
        row = self._row
        for stake, gain, into in zip(
            list(course.stakes[first:]), list(course.gains[first:]), list(moved), strict=True
        ):
            np.add(row, stake, out=into)
            np.multiply(into, gain, out=into)
            row = into
        reached = self._totals(moved) >= limits
        reached &= course.told[first:]
        rows = reached.any(axis=1)
        last = int(rows.argmax()) if rows.any() else len(moved) - 1
        metrics = [self.accounts[at].metric for at in np.flatnonzero(reached[last])]
        self._row = moved[last].copy()
        self._count(course, first, first + last + 1)
        return first + last + 1, metrics

    def limits(self, bounds: Sequence[float]) -> Row:
        """The evidence for an alarm by account, from the promised runs to a false one: a bet's mean, a block's worth."""
        return np.array(
            [
                bound * BETS * len(account.names) / account.block
                for account, bound in zip(self.accounts, bounds, strict=True)
            ]
        )

    def as_json(self) -> dict[str, Any]:
        """What :meth:`recall` takes."""
        money = {
            account.metric.key: self.held(account.metric)
            for account in self.accounts
            if account.metric.key in self.seen
        }
        waiting = {
            key: [dict(zip(self._of[key].names, row, strict=True)) for row in rows]
            for key, rows in self.waiting.items()
        }
        return {"money": money, "seen": self.seen, "waiting": waiting}

    def recall(self, data: Mapping[str, Any], keys: Collection[str] | None = None) -> None:
        """Go on with the evidence that :meth:`as_json` gave, of these metrics or of all."""
        wanted = self._of.keys() if keys is None else self._of.keys() & set(keys)
        self.seen = {key: count for key, count in data["seen"].items() if key in wanted}
        for key in wanted & data["money"].keys():
            account, held = self._of[key], data["money"][key]
            self._row[account.lanes] = [each for name in account.names for each in held[name]]
        self.waiting = {
            key: [[row[name] for name in self._of[key].names] for row in data["waiting"][key]]
            for key in wanted & data["waiting"].keys()
        }

    def _totals(self, moved: Row) -> Row:
        totals: Row = np.add.reduceat(moved, self._starts, axis=1)
        return totals

    def _count(self, course: Course, first: int, behind: int) -> None:
        """Remember how many runs had each metric, and those of a block that is not full."""
        for account, taken in zip(self.accounts, course.taken, strict=True):
            key = account.metric.key
            before, now = bisect_left(taken.runs, first), bisect_left(taken.runs, behind)
            if now == before:
                continue
            self.seen[key] = self.seen.get(key, 0) + now - before
            if account.block > 1:
                upto = taken.waiting + now
                left = upto - upto % account.block
                self.waiting[key] = taken.values[left:upto].tolist()

    def _take_few(self, points: Sequence[RunPoint]) -> tuple[tuple[Taken, ...], Row, Told]:
        """:meth:`_take_many`, to the same bits, without an array a metric: a minute's runs are few, and that is all its cost."""
        values = [[0.0] * (len(self._row) // BETS) for _ in points]
        told = [[False] * len(self.accounts) for _ in points]
        taken = []
        for number, account in enumerate(self.accounts):
            metric, columns = account.metric, account.columns
            runs = [at for at, point in enumerate(points) if metric.key in point.values]
            rows = [self._baseline.positions(metric, points[at]) for at in runs]
            listed = [[row[name] for name in account.names] for row in rows]
            each = Taken(runs, _NOTHING, 0)
            if account.block > 1:
                each = self._behind_waiting(
                    account, runs, np.array(listed).reshape(len(runs), len(account.names))
                )
                means, runs = _blocks(each, account.block)
                listed = means.tolist()
            for at, row in zip(runs, listed, strict=True):
                values[at][columns] = row
                told[at][number] = True
            taken.append(each)
        return tuple(taken), np.array(values), np.array(told, dtype=np.bool_)

    def _take_many(self, points: Sequence[RunPoint]) -> tuple[tuple[Taken, ...], Row, Told]:
        """What the runs say about each metric; the positions that are bet on, and by which run on which metric."""
        strata = [self._baseline.stratum(point) for point in points]
        values = np.zeros((len(points), len(self._row) // BETS))
        told = np.zeros((len(points), len(self.accounts)), dtype=np.bool_)
        taken = []
        for number, account in enumerate(self.accounts):
            key = account.metric.key
            runs = [at for at, point in enumerate(points) if key in point.values]
            having, within = [points[at] for at in runs], [strata[at] for at in runs]
            each = self._behind_waiting(account, runs, self._positions(account, having, within))
            means, ends = _blocks(each, account.block)
            values[ends, account.columns] = means
            told[ends, number] = True
            taken.append(each)
        return tuple(taken), values, told

    def _behind_waiting(self, account: Account, runs: list[int], values: Row) -> Taken:
        waiting = self.waiting.get(account.metric.key, [])
        if waiting:
            values = np.concatenate((np.array(waiting), values))
        return Taken(runs, values, len(waiting))

    def _positions(
        self, account: Account, having: Sequence[RunPoint], within: Sequence[str]
    ) -> Row:
        """:meth:`Baseline.positions` of many runs, a row each."""
        strata = np.array(within, dtype=object)
        key = account.metric.key
        if account.metric.kind == "number":
            found = np.array([point.values[key] for point in having], dtype=np.float64)
            return self._ranks(key, found, strata)[:, None]
        values = _shares([point.values[key] for point in having], account.names)
        shares = self._baseline.shares[key]
        overall = np.array([shares.means[""][name] for name in account.names])
        for stratum in set(strata):
            usual = np.array([shares.of(stratum)[name] for name in account.names])
            mine = strata == stratum
            values[mine] = values[mine] + overall - usual
        return values

    def _ranks(self, key: str, values: Row, strata: NDArray[np.object_]) -> Row:
        ranks = np.empty(len(values))
        for stratum in set(strata):
            ordered = self._ordered.get((key, stratum))
            if ordered is None:
                ordered = np.array(self._baseline.numbers[key].of(stratum), dtype=np.float64)
                self._ordered[key, stratum] = ordered
            mine = strata == stratum
            below = np.searchsorted(ordered, values[mine], side="left")
            upto = np.searchsorted(ordered, values[mine], side="right")
            ranks[mine] = (below + upto) / (2 * len(ordered))
        return ranks


def _shares(values: Sequence[Any], names: Sequence[str]) -> Row:
    """A row of shares for each rate or mix; what has no column of its own goes to the rest."""
    if names == ("yes",):
        return np.array(values, dtype=np.float64).reshape(-1, 1)
    column = {name: at for at, name in enumerate(names)}
    rest, width = column[REST], len(names)
    places = [
        at * width + column.get(name, rest) for at, value in enumerate(values) for name in value
    ]
    weights = [share for value in values for share in value.values()]
    total = np.bincount(
        np.array(places, dtype=np.intp), np.array(weights, dtype=np.float64), len(values) * width
    )
    return total.astype(np.float64, copy=False).reshape(len(values), width)


def _blocks(taken: Taken, block: int) -> tuple[Row, list[int]]:
    """The means of full blocks, and by which run each got full."""
    if block == 1:
        return taken.values, taken.runs
    full = len(taken.values) // block
    rows = taken.values[: full * block].reshape(full, block, taken.values.shape[1])
    total = rows[:, 0].copy()
    # One after the other: a sum over the axis adds in an order that depends on the number of rows.
    for at in range(1, block):
        total += rows[:, at]
    return total / block, taken.runs[block - 1 - taken.waiting :: block]
