"""When runs are computed from their spans: in a moment, but a large run that keeps growing rests in between.

Planning the computation takes the engine a tenth of a second, so under load it is made for several batches at once.
Computing a run reads all its spans, about 8 microseconds each. A run of 20,000 spans that grows by ten a second would
cost that for every batch. So a large run rests after each time, for so long that computing it takes a few per
cent of one core; the batch that brings its end is not waited with.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tachograph_collector.store import EngineStore
from tachograph_schemas.ingest import RunKey

_REST_S_PER_SPAN = 250e-6
_RECOVERED_AT_ONCE = 10
_LONGEST_REST_S = 20.0  # well before a run that is silent counts as interrupted


class RollUps:
    """Used by the loader's thread alone.

    Raises (every method that computes): StoreError, OSError; the same call may be made again.
    """

    def __init__(
        self, engine: EngineStore, writer_id: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._writer_id = writer_id
        self._clock = clock
        self._batches: list[int] = []
        self._resting: dict[RunKey, float] = {}  # until when
        self._grown: dict[RunKey, int] = {}  # resting runs with new spans, and since which batch

    @property
    def oldest_waiting(self) -> int | None:
        """The first batch with spans that their run does not count yet."""
        return min((*self._batches, *self._grown.values()), default=None)

    def stored(self, batch: int) -> None:
        """There is another batch whose runs are to be computed."""
        self._batches.append(batch)

    def recover(self, batches: list[int]) -> None:
        """Compute the runs of many batches that an earlier process stored, a few batches at a time."""
        for first in range(0, len(batches), _RECOVERED_AT_ONCE):
            self._batches += batches[first : first + _RECOVERED_AT_ONCE]
            self.compute()

    def compute(self) -> None:
        """Compute the runs that the stored batches touched, and those whose rest is over."""
        if self._batches:
            self._compute_batches(self._batches)
            self._batches = []
        self._compute([run for run in self._grown if self._resting[run] <= self._clock()])

    def finish(self) -> None:
        """Compute all, rested or not."""
        self.compute()
        self._compute(list(self._grown))

    def _compute_batches(self, batches: list[int]) -> None:
        self._wake()
        if self._resting:
            for run, is_over in self._engine.growing_runs(
                self._writer_id, batches, self._resting
            ).items():
                if is_over:
                    del self._resting[run]
                else:
                    self._grown.setdefault(run, min(batches))
        large = self._engine.roll_up(self._writer_id, batches, self._resting)
        # A run that was computed because its end came is up to date, and rests again from now on.
        self._grown = {run: since for run, since in self._grown.items() if run in self._resting}
        self._rest(large)

    def give_up(self) -> None:
        """Forget what is to be computed: it was refused, and nothing else may wait for it."""
        self._batches, self._grown = [], {}

    def _compute(self, runs: list[RunKey]) -> None:
        if not runs:
            return
        large = self._engine.roll_up_runs(runs)
        for run in runs:
            del self._grown[run], self._resting[run]
        self._rest(large)

    def _rest(self, large: dict[RunKey, int]) -> None:
        now = self._clock()
        for run, spans in large.items():
            self._resting[run] = now + min(spans * _REST_S_PER_SPAN, _LONGEST_REST_S)

    def _wake(self) -> None:
        """Forget runs that have rested and did not grow meanwhile."""
        now = self._clock()
        self._resting = {
            run: until for run, until in self._resting.items() if until > now or run in self._grown
        }
