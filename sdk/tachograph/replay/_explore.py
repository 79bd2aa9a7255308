"""Other orders in which the recorded outcomes could have come: which of them change what the agent does.

Each order is a replay in which, whenever the agent is at rest, one of the outcomes that it waits for is drawn. Such an
order is legal: any of these effects might have come out first. Timers keep their order among themselves. What the agent
does otherwise then is a race of its own, found without asking a model once.

The first order that is found is shrunk: outcomes go back to their recorded places as long as the agent still does something
else. What is left over, often one outcome that overtakes another, can be saved with the recording, which then replays so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tachograph.replay._divergence import Divergence
from tachograph.replay._recording import Recording, RecordingError
from tachograph.replay._reordered import Overtaking, Shuffler, Steered
from tachograph.replay._tape import Redact

_SHRINKING = 100
"""Replays that making an order smaller may take."""


@dataclass(frozen=True, slots=True)
class Found:
    """An order in which the agent does something else."""

    seed: int
    order: list[int]
    """The steps whose outcomes came, in their order; 0 for a timer or a thread."""
    divergence: Divergence
    overtakings: list[Overtaking] = field(default_factory=list)
    """Which outcomes came out of the recorded order."""


@dataclass(slots=True)
class Explored:
    """What came of a number of orders."""

    orders: int = 0
    """How many different orders were tried."""
    found: list[Found] = field(default_factory=list)
    names: Mapping[int, str] = field(default_factory=dict)
    """What each step calls."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "orders": self.orders,
            "found": [
                {
                    "seed": f.seed,
                    "order": f.order,
                    "divergence": f.divergence.as_dict(),
                    "overtakings": [[each.position, each.index] for each in f.overtakings],
                    "because": [each.told(self.names) for each in f.overtakings],
                }
                for f in self.found
            ],
        }


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
        The orders in which the agent does something else; the first is shrunk.

    Raises:
        RecordingError: the recording does not suffice, or its agent polls, which leaves nothing to draw.
    """
    from tachograph import _masks
    from tachograph.replay._run import replay
    from tachograph.replay._session import masking

    if any(delivery.spin is not None for delivery in recording.deliveries):
        raise RecordingError("its agent polls without coming to rest, so no other order is known")
    if recording.turns:
        raise RecordingError("its threads take turns, and no other order of them is tried")
    redact = masking(_masks.redactor())
    explored = Explored(names={call.step: call.name for call in recording.calls})
    known = set()
    for number in range(seed, seed + orders):
        player = Shuffler(recording, redact, number)
        divergence = replay(recording, entry, player=player).divergence
        known.add(tuple(player.order))
        if divergence is not None:
            explored.found.append(Found(number, player.order, divergence, player.overtakings))
    explored.orders = len(known)
    if explored.found:
        explored.found[0] = _shrunk(recording, entry, redact, explored.found[0])
    return explored


def _shrunk(recording: Recording, entry: Callable[..., Any], redact: Redact, found: Found) -> Found:
    """The same with as few outcomes out of order as it takes: without one half, without the other, then one by one."""
    from tachograph.replay._run import replay

    left, size = _SHRINKING, max(len(found.overtakings) // 2, 1)
    while left and found.overtakings:
        smaller = None
        for overtakings in _with_less(found.overtakings, size):
            player = Steered(recording, redact, overtakings)
            divergence = replay(recording, entry, player=player).divergence
            left -= 1
            if divergence is not None and len(player.overtakings) < len(found.overtakings):
                smaller = Found(found.seed, player.order, divergence, player.overtakings)
            if smaller is not None or not left:
                break
        if smaller is None and size == 1:
            break
        found = smaller or found
        size = max(min(size, len(found.overtakings) // 2), 1) if smaller else size // 2
    return found


def _with_less(overtakings: list[Overtaking], size: int) -> Iterator[list[tuple[int, int]]]:
    """The overtakings without ``size`` of them; what came after those as late as it was, or that much earlier."""
    for start in range(0, len(overtakings), size):
        before = [(each.position, each.index) for each in overtakings[:start]]
        after = overtakings[start + size :]
        gone = min(size, len(overtakings) - start)
        yield before + [(each.position, each.index) for each in after]
        if after:
            yield before + [(each.position - gone, each.index) for each in after]
