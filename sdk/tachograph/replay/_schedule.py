"""When an outcome reaches the agent: the activation rule, for one run on one event loop.

Outcomes of effects, timers and threads go to an inbox. Exactly one is delivered, and only when no callback of the
agent can run; so the agent's code between two deliveries depends on nothing but what it was given. Replay delivers in
the recorded order by the same rule. An agent that never comes to rest (it polls with ``sleep(0)``) gets an outcome
after 64 of its callbacks, the count is recorded, and replay delivers at the same count.

"Can run" is known because the loop's ``call_soon`` is shadowed (:mod:`._loop`): each callback whose context is the
agent's is counted in and out.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tachograph.replay._flight import Flight
from tachograph.replay._loop_turns import LoopTurns
from tachograph.replay._place import PLACE, Node, Place, here
from tachograph.replay._where import woken_at

if TYPE_CHECKING:
    from tachograph.replay._engine import Engine

SPIN_LIMIT = 64
IDLE_TURNS = 16
"""So many empty turns of the loop before a replay that waits for nothing is called stalled."""
RUNAWAY_CALLBACKS = 50_000
"""More between two deliveries, while replaying, is an endless loop unless it was recorded so."""


class Schedule:
    """Counts the agent's callbacks on one loop and delivers outcomes one by one."""

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self.engine = engine
        self.loop = loop
        self.call_soon = type(loop).call_soon.__get__(loop)
        self._out: dict[int, asyncio.Handle] = {}
        self._numbers = itertools.count()
        self._inbox: deque[Flight] = deque()
        self.pending: dict[int, Flight] = {}
        self.unmatched: list[Flight] = []
        """Threads that the recording does not know; delivered as they end, before anything else."""
        self.callbacks = 0
        """Of the agent, since the last delivery."""
        self.now_s: float | None = None
        # Whoever delivers is not the agent. A context can be entered once at a time, so each has its own.
        self._outside = contextvars.Context()
        self.turns = LoopTurns(self)
        self._probing = False
        self._delivering = False
        self._running = False
        """Whether a callback of the agent is at work."""
        self._starting = False
        """Whether the first step of an effect is, on top of it."""
        self.making = 0
        """So many tasks are being made, on top of it; eager ones are in their first step meanwhile."""
        self._idle = 0
        self.closed = False
        """The loop ends; nothing is delivered any more."""

    # --- the agent's callbacks ---------------------------------------------------------------------

    def soon(
        self, callback: Callable[..., Any], args: tuple[Any, ...], context: Any
    ) -> asyncio.Handle:
        """Schedule a callback of the agent, counted."""
        if (self._starting or not (self._delivering or self._out)) and self._is_leak():
            where = woken_at(callback)
            self.engine.leaked(where)
            if self.engine.baton is not None:
                self.engine.baton.give_up(f"something that is no effect wakes it at {where}")
        number = next(self._numbers)

        def run() -> None:
            self._running = True
            try:
                callback(*args)
            finally:
                self._running = False
                self._out.pop(number, None)
                self.callbacks += 1
                self.turns.rest()
                if self._inbox or self.engine.replaying:
                    self._after_callback()

        handle: asyncio.Handle = self.call_soon(run, context=context)
        self._out[number] = handle
        # What a delivery sets going looks by itself when it has ended.
        if (self._inbox or self.engine.replaying) and not self._delivering:
            self.probe_soon()
        return handle

    def begin(self, step: Callable[[], object], context: contextvars.Context) -> None:
        """Run the first step of an effect's task now, where the agent calls it."""
        before, self._starting = self._starting, True
        caller = asyncio.current_task(self.loop)
        if caller is not None:
            asyncio.tasks._leave_task(self.loop, caller)
        try:
            context.run(step)
        finally:
            if caller is not None:
                asyncio.tasks._enter_task(self.loop, caller)
            self._starting = before

    def _is_done(self) -> bool:
        return self.closed or self.engine.over or self.engine.failed

    def _is_leak(self) -> bool:
        place = here()
        return place is None or place.engine is not self.engine

    def _after_callback(self) -> None:
        if self._is_done():
            return
        if self.engine.replaying:
            following = self.engine.following()
            spin = following.spin if following is not None else None
            if self.callbacks > max(RUNAWAY_CALLBACKS, spin or 0):
                self.engine.stalled(self, runaway=True)
                return
            if spin == self.callbacks:
                self._deliver_recorded(spinning=True)
            elif following is None and self.callbacks > 2 * SPIN_LIMIT:
                self.engine.exhausted()
        elif self.callbacks >= SPIN_LIMIT:
            self._outside.run(self._deliver_arrived, self.callbacks)
        # Most often the agent has come to rest now, and a turn of the loop is saved.
        if not self.quiet() or not self._outside.run(self._deliver_next):
            self.probe_soon()

    def _deliver_next(self) -> bool:
        """At rest: deliver what is next; whether that has set the agent going, so that it is looked again."""
        if self._is_done():
            return True
        if self.engine.replaying:
            return self._deliver_recorded_next() and not self.quiet()
        while self._inbox and self.quiet():
            if not (self._inbox[0].dead() or self.turns.has_come()):
                return True
            self._deliver_arrived(None)
            self.turns.rest()
        return not self._inbox

    def quiet(self) -> bool:
        """Whether no callback of the agent can run."""
        out = self._out
        while out:
            number, handle = next(iter(out.items()))
            if not handle.cancelled():
                return False
            del out[number]
        return True

    # --- deliveries ----------------------------------------------------------------------------------

    def arrive(self, flight: Flight) -> None:
        """While recording: an outcome is there. Called on the loop's thread."""
        if self.engine.over or self.closed:
            # What a run leaves behind, or a loop of it, goes on without it, as if there were no recording.
            self._let_land(flight)
            return
        self._inbox.append(flight)
        self.probe_soon()

    def arrive_from_loop(self, flight: Flight) -> None:
        """:meth:`arrive`, when no code of the agent is running: the loop itself calls."""
        if self._inbox or self._is_done() or not self.quiet():
            self.arrive(flight)
        else:
            self._inbox.append(flight)
            if not self._outside.run(self._deliver_next):
                self.probe_soon()

    def hands_over(self, flight: Flight) -> bool:
        """While recording: whether an outcome that is there at once is the agent's at once.

        It is where the agent would come to rest if it waited: nothing else of it can run and nothing else has arrived.
        So a replay, in which the agent does wait, delivers it between the same steps.
        """
        engine = self.engine
        # The callback that asks is among those that are out, unless it is the first step of all.
        if self._inbox or self._delivering or len(self._out) > self._running or self._is_done():
            return False
        # In a replay an eager task waits, and whoever made it goes on before it.
        if self.making or engine.replaying or engine.baton is not None:
            return False
        task = asyncio.current_task(self.loop)
        # A cancellation that waits for the task to wait would meet it here in a replay.
        if task is None or getattr(task, "_must_cancel", True):
            return False
        engine.deliver(flight, None)
        self._delivered_one()
        flight.landed = True
        return True

    def real_time(self) -> float:
        """The loop's own time, seconds."""
        return float(type(self.loop).time(self.loop))

    def go_live(self, left: Mapping[int, deque[tuple[str, Any]]]) -> None:
        """The recording ends here: what it has ``left`` comes first, in its order; the rest is waited for."""
        self.now_s = None
        pending, self.pending = self.pending, {}
        for index in [*(index for index in left if index in pending), *pending]:
            flight = pending.pop(index, None)
            if flight is None:
                continue
            if not flight.ready:
                continue  # a thread at work; it arrives when it ends
            if left.get(index):
                outcome = left[index].popleft()
                flight.outcome = flight.outcome or outcome
                self.arrive(flight)
            else:
                flight.relaunch()
        self.probe_soon()

    def go_live_from_anywhere(self, left: Mapping[int, deque[tuple[str, Any]]]) -> None:
        """:meth:`go_live`; in another thread it is the loop that does so, soon."""
        if asyncio._get_running_loop() is self.loop:
            self.go_live(left)
        else:
            self.turns.on_loop(lambda: self.go_live(left))

    def close(self) -> None:
        """The loop has done the run's work: from here on nothing of it is recorded, or replayed."""
        self.closed = True
        self.release()

    def release(self) -> None:
        """The run is over, here: what has arrived goes to whoever still waits."""
        while self._inbox:
            self._let_land(self._inbox.popleft())

    def _let_land(self, flight: Flight) -> None:
        if flight.dead() or self.loop.is_closed():
            return
        before, self._delivering = self._delivering, True
        try:
            flight.land()
        finally:
            self._delivering = before

    def await_turn(self, flight: Flight) -> None:
        """While replaying: the agent waits for an outcome."""
        if flight.index is None:
            self.unmatched.append(flight)
        else:
            self.pending[flight.index] = flight
        self._idle = 0
        self.probe_soon()

    def probe(self) -> None:
        """Look whether something can be delivered, soon."""
        self._idle = 0
        self.probe_soon()

    def probe_soon(self) -> None:
        # A callback of the agent that is at work looks by itself when it has ended.
        if not self._probing and not self._running:
            self._probing = True
            self.call_soon(self._probe, context=self._outside)

    def _probe(self) -> None:
        self._probing = False
        if self._is_done():
            return
        if not self.quiet():
            self.probe_soon()
            return
        self.turns.rest()
        if self.engine.replaying:
            self._probe_recorded()
        elif not self._deliver_next():
            self.probe_soon()
        if not (self._inbox or self.engine.replaying):
            self.turns.give_back()

    def _deliver_arrived(self, spin: int | None) -> None:
        if not self._inbox:
            return
        flight = self._inbox.popleft()
        if flight.dead():
            return
        self.engine.deliver(flight, spin)
        self._land(flight)

    def _delivered_one(self) -> None:
        self.now_s = None
        self.callbacks = 0
        self._idle = 0
        self.turns.use()
        self.engine.delivered += 1

    def _land(self, flight: Flight) -> None:
        self._delivered_one()
        self._delivering = True
        try:
            flight.land()
        finally:
            self._delivering = False

    def _deliver_recorded_next(self) -> bool:
        self.engine.choose(self)
        if not self.unmatched:
            return self._deliver_recorded(spinning=False)
        # Whatever the agent does in a thread that was not recorded must end first.
        ended = next((each for each in self.unmatched if each.ready), None)
        if ended is None:
            return False
        self.unmatched.remove(ended)
        if not ended.dead():
            self._land(ended)
        return True

    def _probe_recorded(self) -> None:
        if self._deliver_recorded_next():
            self.probe_soon()
            return
        if self.unmatched:
            return  # the end of its thread probes again
        following = self.engine.following()
        flight = self.pending.get(following.index) if following is not None else None
        if flight is not None and not (flight.ready and self.turns.has_come()):
            return  # a thread of the agent is at work; its end probes again, or its turn's
        if following is None and self.turns.look_later():
            return  # nothing comes on this loop any more, but the recording has not ended yet
        self._idle += 1
        if self._idle > IDLE_TURNS:
            self.engine.stalled(self, runaway=False)
        else:
            self.probe_soon()

    def _deliver_recorded(self, *, spinning: bool) -> bool:
        following = self.engine.following()
        if following is None or (following.spin is not None and not spinning):
            return False
        flight = self.pending.get(following.index)
        if flight is None or not flight.ready or not self.turns.has_come():
            return False
        del self.pending[following.index]
        if not flight.live:
            flight.outcome = self.engine.take(following)
        else:
            self.engine.take(following)
        self._land(flight)
        return True

    # --- what the agent waits on -------------------------------------------------------------------

    async def settle(self, flight: Flight) -> tuple[str, Any]:
        """Wait for an outcome. A cancellation of the waiting task cancels what it waits for, as without us."""
        waiting = True
        asked: asyncio.CancelledError | None = None
        flight.dead = lambda: not waiting
        try:
            while not flight.landed:
                flight.future = self.loop.create_future()
                try:
                    await flight.future
                except asyncio.CancelledError as error:
                    if flight.landed or self._lost_by_cancelling(flight):
                        raise
                    asked = error
                    flight.cancel()
            if asked is not None and flight.outcome == ("cancel", None):
                # The one that was thrown in: whoever asked may know it by its message, as anyio does.
                return "cancel", asked
            return flight.outcome or ("ok", None)
        finally:
            waiting = False
            if flight.outcome is None:
                flight.cancel()

    def _lost_by_cancelling(self, flight: Flight) -> bool:
        """Whether the waiting task is cancelled at once, because no outcome comes to it any more."""
        if self._is_done() or flight.index is None:
            return True
        return self.engine.asked_to_cancel(flight.index, arrived=flight.outcome is not None)

    def child_context(
        self, label: str, base: contextvars.Context | None
    ) -> tuple[Any, Node] | None:
        """The context for a task that the agent spawns, with a place of its own; None outside of the agent."""
        place = here()
        if place is None or place.engine is not self.engine:
            return None
        context = base if base is not None else contextvars.copy_context()
        node = place.node.child(label)
        context.run(PLACE.set, Place(self.engine, node))
        return context, node
