"""What a tape has of threads: whose turn it was, and for what."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Literal, NamedTuple, get_args

TurnKind = Literal["begin", "effect", "wait", "sleep", "join", "loop", "ended", "consumer"]
"""For what a thread takes a turn: its beginning; an effect that is done; a lock, a queue, a future or an event; time;
the end of a thread; an outcome on its event loop, and that loop's end; its consumer, who asks for more."""

KINDS = frozenset(get_args(TurnKind))


class Turn(NamedTuple):
    """One thread of the run goes on."""

    name: str
    """The thread's place in the run, as text; empty: where the run began."""
    kind: TurnKind
    timed_out: bool = False
    """What it waited for did not come in time."""
    delivered: int = 0
    """Of a loop: how many outcomes had been delivered before."""


class GivenUp(NamedTuple):
    """From here on there were no turns."""

    why: str


def that_were_used(
    turns: Sequence[Turn | GivenUp], deliveries: Container[int]
) -> list[Turn | GivenUp]:
    """Without the turns of event loops that came when there was nothing to deliver any more.

    Args:
        turns: As they were recorded.
        deliveries: The numbers of outcomes that were delivered.
    """
    used: list[Turn | GivenUp] = []
    later: set[tuple[str, int]] = set()
    for turn in reversed(turns):
        if isinstance(turn, Turn) and turn.kind == "loop":
            which = turn.name, turn.delivered
            if which in later or turn.delivered not in deliveries:
                continue
            later.add(which)
        used.append(turn)
    return used[::-1]
