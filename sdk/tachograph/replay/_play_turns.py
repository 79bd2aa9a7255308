"""The turns of threads, as a replay follows them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tachograph.replay._divergence import Diverged, Divergence, no_turn
from tachograph.replay._engine import Engine
from tachograph.replay._turns import GivenUp, Turn, TurnKind


class TurnsPlayed(Engine):
    """What a player does about turns."""

    def __init__(self, turns: Sequence[Turn | GivenUp]) -> None:
        super().__init__()
        self.takes_turns = bool(turns)
        self.divergence: Divergence | None = None
        self.effects = 0
        """How many effects were answered from the tape."""
        self.progress_s = time.monotonic()
        self.why_no_turns = ""
        """Why the recording has no turns from here on; empty: it has, or never had."""
        self._turns = turns
        self._turn = 0

    def next_turn(self) -> Turn | GivenUp | None:
        """The recorded turn that comes next."""
        return self._turns[self._turn] if self._turn < len(self._turns) else None

    def took_turn(self, turn: Turn) -> None:
        """It was taken."""
        self._turn += 1
        self.progress_s = time.monotonic()

    def gave_up_turns(self, why: str) -> None:
        """From here on the recording has no turns, and threads go as they like."""
        self.why_no_turns = why

    def out_of_turn(self, turn: Turn | None, waiting: list[tuple[str, TurnKind]]) -> None:
        """Say whose turn it was, and who waits."""
        self.note(no_turn(turn, waiting, self.effects))

    def stop_if_failed(self) -> None:
        """End this thread, as the replay has."""
        if self.failed or self.over:
            raise Diverged(self.divergence or Divergence("EXTRA_CALL", "the run has ended."))

    def note(self, divergence: Divergence) -> None:
        """Keep the first divergence, and end the agent."""
        raise NotImplementedError
