"""Players that deliver recorded outcomes in another legal order than the recorded one."""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tachograph.replay._divergence import Divergence
from tachograph.replay._play import Player
from tachograph.replay._recording import Delivery, Recording
from tachograph.replay._schedule import Schedule
from tachograph.replay._tape import Redact


@dataclass(frozen=True, slots=True)
class Overtaking:
    """One outcome that comes before the one that came first when it was recorded."""

    position: int
    """How many outcomes came before it."""
    index: int
    """Of the effect, timer or thread."""
    step: int
    """Of the effect; 0 for a timer or a thread."""
    overtakes: int
    """The step whose outcome came then; 0 likewise."""

    def told(self, names: Mapping[int, str]) -> str:
        """In words."""
        one, other = (
            f"step {step} ({names[step]})" if step in names else "a timer or a thread"
            for step in (self.step, self.overtakes)
        )
        return f"{one} comes out before {other}"


class Reordered(Player):
    """Replays in an order of its own. Subclasses say which outcome comes next."""

    def __init__(self, recording: Recording, redact: Redact) -> None:
        super().__init__(recording, redact)
        self.order: list[int] = []
        self.overtakings: list[Overtaking] = []
        self._picked = 0
        self._overtaking: Overtaking | None = None
        self._chosen: Delivery | None = None
        self._outcomes: dict[int, deque[tuple[int, Delivery]]] = defaultdict(deque)
        for position, delivery in enumerate(self.recording.deliveries):
            self._outcomes[delivery.index].append((position, delivery))

    def pick(self, ready: list[int], recorded: int) -> int:
        """Which of the effects that are ready comes out; ``recorded`` is the one that came first."""
        raise NotImplementedError

    def choose(self, schedule: Schedule) -> None:
        """Take one of the outcomes that are waited for."""
        ready = [
            index
            for index, flight in schedule.pending.items()
            if flight.ready and not flight.dead() and self._outcomes.get(index)
        ]
        timers = [index for index in ready if self.recording.find(index) is None]
        among = [index for index in ready if index not in timers[1:]]
        self._chosen = None
        if not among:
            return
        first = min(among, key=lambda index: self._outcomes[index][0][0])
        picked = self.pick(among, first)
        if picked != first:
            steps = self._step(picked), self._step(first)
            self._overtaking = Overtaking(self._picked, picked, *steps)
        else:
            self._overtaking = None
        self._chosen = self._outcomes[picked][0][1]

    def _step(self, index: int) -> int:
        call = self.recording.find(index)
        return 0 if call is None else call.step

    def following(self) -> Delivery | None:
        """What was chosen."""
        return self._chosen

    def take(self, delivery: Delivery) -> tuple[str, Any]:
        """Its outcome."""
        self._chosen = None
        self._picked += 1
        if self._overtaking is not None:
            self.overtakings.append(self._overtaking)
        self._outcomes[delivery.index].popleft()
        self.order.append(self._step(delivery.index))
        return super().take(delivery)

    def asked_to_cancel(self, index: int, *, arrived: bool) -> bool:
        """In another order, others are given up."""
        self._outcomes.pop(index, None)
        return True

    def left_over(self) -> Divergence | None:
        """Calls that were not made; outcomes that nobody waited for are the order's business."""
        self.position = len(self.recording.deliveries)
        return super().left_over()


class Shuffler(Reordered):
    """Draws."""

    def __init__(self, recording: Recording, redact: Redact, seed: int) -> None:
        super().__init__(recording, redact)
        self._chance = random.Random(seed)  # noqa: S311 - no secret

    def pick(self, ready: list[int], recorded: int) -> int:
        """Any."""
        return self._chance.choice(ready)


class Steered(Reordered):
    """Keeps to the recorded order but for some overtakings; one that is not legal any more is passed over."""

    def __init__(
        self, recording: Recording, redact: Redact, overtakings: Iterable[tuple[int, int]]
    ) -> None:
        """``overtakings``: after how many outcomes, which effect's comes."""
        super().__init__(recording, redact)
        self._wanted = dict(overtakings)

    def pick(self, ready: list[int], recorded: int) -> int:
        """The one that is wanted here, else the recorded one."""
        wanted = self._wanted.get(self._picked, recorded)
        return wanted if wanted in ready else recorded
