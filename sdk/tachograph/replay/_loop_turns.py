"""An event loop among the threads of its run: code of the agent runs on it in its turn, from one delivery to rest."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tachograph.replay._member import Member
    from tachograph.replay._schedule import Schedule

_LOOK_S = 0.005
"""How often a loop looks that is at rest, while a replay goes on in other threads."""


class LoopTurns:
    """The turns of one loop. The loop itself never waits for one: it is told."""

    __slots__ = ("_apart", "_schedule")

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._apart = contextvars.Context()

    def has_come(self) -> bool:
        """Whether no other thread of the run is at work; else it is looked again when it is this loop's turn."""
        baton = self._schedule.engine.baton
        return baton is None or baton.ask(self._come)

    def _come(self) -> None:
        self.on_loop(self._schedule.probe_soon)

    def on_loop(self, callback: Callable[[], object]) -> None:
        """Have the loop call it, from any thread and outside of the agent."""
        loop = self._schedule.loop
        with suppress(RuntimeError):  # the loop is closed
            type(loop).call_soon_threadsafe(loop, callback, context=self._apart)

    def use(self) -> None:
        """Something is delivered: at the next rest the others go on."""
        me = self._me()
        if me is not None:
            me.unused = False

    def rest(self) -> None:
        """At rest, the loop lets the threads of the run go on."""
        me = self._me()
        if me is not None and not me.unused and self._schedule.quiet():
            me.baton.put_down(me)

    def give_back(self) -> None:
        """What the turn was for, nobody waits for any more."""
        self.use()
        self.rest()

    def look_later(self) -> bool:
        """At rest on a recording: whether other threads go on on it, so that it is looked again soon."""
        baton = self._schedule.engine.baton
        if baton is None or not baton.others_go_on():
            return False
        loop = self._schedule.loop
        type(loop).call_later(loop, _LOOK_S, self._schedule.probe_soon, context=self._apart)
        return True

    def _me(self) -> Member | None:
        baton = self._schedule.engine.baton
        return None if baton is None else baton.me()
