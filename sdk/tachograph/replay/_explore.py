"""Other orders in which the recorded outcomes could have come: which of them change what the agent does.

Each order is a replay in which, whenever the agent is at rest, one of the outcomes that it waits for is drawn. Such an
order is legal: any of these effects might have come out first. Timers keep their order among themselves. What the agent
does otherwise then is a race of its own, found without asking a model once.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tachograph.replay._divergence import Divergence
from tachograph.replay._play import Player, Redact
from tachograph.replay._recording import Delivery, Recording, RecordingError
from tachograph.replay._schedule import Schedule


@dataclass(frozen=True, slots=True)
class Found:
    """An order in which the agent does something else."""

    seed: int
    order: list[int]
    """The steps whose outcomes came, in their order; 0 for a timer or a thread."""
    divergence: Divergence


@dataclass(slots=True)
class Explored:
    """What came of a number of orders."""

    orders: int = 0
    """How many different orders were tried."""
    found: list[Found] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "orders": self.orders,
            "found": [
                {"seed": f.seed, "order": f.order, "divergence": f.divergence.as_dict()}
                for f in self.found
            ],
        }


class Shuffler(Player):
    """Replays in an order that it draws."""

    def __init__(self, recording: Recording, redact: Redact, seed: int) -> None:
        super().__init__(recording, redact)
        self.order: list[int] = []
        self._chance = random.Random(seed)  # noqa: S311 - no secret
        self._chosen: Delivery | None = None
        self._outcomes: dict[int, deque[Delivery]] = defaultdict(deque)
        for delivery in self.recording.deliveries:
            self._outcomes[delivery.index].append(delivery)

    def choose(self, schedule: Schedule) -> None:
        """Draw one of the outcomes that are waited for."""
        ready = [
            index
            for index, flight in schedule.pending.items()
            if flight.ready and not flight.dead() and self._outcomes.get(index)
        ]
        timers = [index for index in ready if self.recording.find(index) is None]
        drawn_from = [index for index in ready if index not in timers[1:]]
        self._chosen = None
        if drawn_from:
            self._chosen = self._outcomes[self._chance.choice(drawn_from)][0]

    def following(self) -> Delivery | None:
        """What was drawn."""
        return self._chosen

    def take(self, delivery: Delivery) -> tuple[str, Any]:
        """Its outcome."""
        self._chosen = None
        self._outcomes[delivery.index].popleft()
        call = self.recording.find(delivery.index)
        self.order.append(call.step if call is not None else 0)
        return super().take(delivery)

    def asked_to_cancel(self, index: int, *, arrived: bool) -> bool:
        """In another order, others are given up."""
        self._outcomes.pop(index, None)
        return True

    def left_over(self) -> Divergence | None:
        """Calls that were not made; outcomes that nobody waited for are the order's business."""
        self.position = len(self.recording.deliveries)
        return super().left_over()


def explore(
    recording: Recording, entry: Callable[..., Any], *, orders: int = 20, seed: int = 0
) -> Explored:
    """Replay in other legal orders, in this process.

    Args:
        recording: What to answer from.
        entry: The run's function.
        orders: How many to draw.
        seed: Of the first; each order has the next one, and is the same again for it.

    Returns:
        The orders in which the agent does something else.

    Raises:
        RecordingError: the recording does not suffice, or its agent polls, which leaves nothing to draw.
    """
    from tachograph._redact import Redactor
    from tachograph.replay._run import replay
    from tachograph.replay._session import masking

    if any(delivery.spin is not None for delivery in recording.deliveries):
        raise RecordingError("its agent polls without coming to rest, so no other order is known")
    redact = masking(Redactor())
    explored, known = Explored(), set()
    for number in range(seed, seed + orders):
        player = Shuffler(recording, redact, number)
        result = replay(recording, entry, player=player)
        known.add(tuple(player.order))
        if result.divergence is not None:
            explored.found.append(Found(number, player.order, result.divergence))
    explored.orders = len(known)
    return explored
