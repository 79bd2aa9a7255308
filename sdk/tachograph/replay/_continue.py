"""The engine that starts on a recording and goes on live: forks (what if, from this step on) and resumption.

Everything is written to a tape of its own, the beginning included, so a continued run is a complete recording. On the
recording it answers as a replay does. Going live, outcomes that the recording still has for effects under way are
delivered in their order, timers are set again for what is left of them, and the loop's clock goes on where it was.
"""

from __future__ import annotations

import contextvars
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from tachograph._costs import say_answered
from tachograph.errors import Refused
from tachograph.replay._divergence import Diverged
from tachograph.replay._edits import Edit
from tachograph.replay._engine import Given, StreamSource
from tachograph.replay._flight import Flight
from tachograph.replay._place import PLACE, Node, Place
from tachograph.replay._play import Player
from tachograph.replay._pump import RecordedStream
from tachograph.replay._reconcile import Happened, hook_for
from tachograph.replay._record import Recorder
from tachograph.replay._recording import Delivery, Recording
from tachograph.replay._schedule import Schedule
from tachograph.replay._swap import asks_a_model
from tachograph.replay._tape import Redact, Tape
from tachograph.replay._turns import GivenUp, Turn, TurnKind


@dataclass(frozen=True, slots=True)
class Plan:
    """How far to follow a recording, and what may happen then."""

    recording: Recording
    live_from_step: int | None = None
    """The first effect that happens again, from 1; None: whatever the recording does not answer (resumption)."""
    results: Mapping[int, Any] = field(default_factory=dict)
    """Other results for recorded steps, as values."""
    edits: Mapping[int, tuple[Edit, ...]] = field(default_factory=dict)
    """Other arguments for live effects, by step."""
    allow_writes: bool = False
    """Whether effects that change the world may happen."""
    model: str = ""
    """What live calls of models go to instead of what the program names."""
    tools_from_tape: bool = False
    """Whether tools go on being answered from the recording when models are live."""
    run_ids: list[str] | None = None
    """Gets the id of the run that follows it."""
    denied: list[str] | None = None
    """Gets the effects that would have changed the world."""
    unreached: list[str] | None = None
    """Gets the places of what was set and never came into it."""


class Continuation(Recorder):
    """A :class:`Recorder` that consults a :class:`Player` first."""

    swaps = True

    def __init__(self, tape: Tape, plan: Plan, redact: Redact) -> None:
        super().__init__(tape)
        self.replaying = True
        self.guard = None
        self.player = Player(plan.recording, redact)
        self.root.relabel = self.player.root.relabel
        self.on_failure: list[Callable[[Diverged], None]] = self.player.on_failure
        self.on_failure.append(self._failed)
        self.from_tape = 0
        """Effects that were answered from the recording."""
        self._plan = plan
        self._opened = 0
        """Effects, from the tape and live: the steps of the new run."""
        self._edits: dict[int, tuple[Edit, ...]] = {}
        self.has_edits = bool(plan.edits)
        self._set: set[int] = set()
        """Steps that were answered otherwise."""
        self._recorded: dict[int, int] = {}
        self._own: dict[int, int] = {}
        self._left: dict[int, deque[tuple[str, Any]]] = defaultdict(deque)
        self._answered = {d.index: d.outcome.kind for d in plan.recording.deliveries}
        """The last outcome of each effect that came in its turn."""
        self._reconciled: dict[int, Any] = {}
        """What writes gave that had happened, as somebody has looked."""
        self._discarded: set[int] = set()
        """Streams that were cut by the end of the recording: they begin anew."""

    def _failed(self, _: Diverged) -> None:
        self.failed = True
        if self.baton is not None:
            self.baton.give_up("")

    def finish(self) -> None:
        """The run is over: say which of the things that were set it has not come to."""
        super().finish()
        if self._plan.unreached is not None:
            edited = {edit.place for edits in self._edits.values() for edit in edits}
            places = [edit.place for edits in self._plan.edits.values() for edit in edits]
            left = [f"{step}.result" for step in self._plan.results if step not in self._set]
            self._plan.unreached.extend([*left, *(each for each in places if each not in edited)])

    def meet(self, function: Callable[..., Any]) -> None:
        """What it names may come back from the recording."""
        self.player.meet(function)

    # --- calls -------------------------------------------------------------------------------------

    def open(self, node: Node, name: str, kind: str, given: Given) -> int:
        """Match the call with the recording, or let it happen.

        Raises:
            Refused: it changes the world, and nobody has allowed that.
            Diverged: the program does not follow its own recording.
        """
        step = self.player.effects + 1
        last = self._plan.live_from_step
        if self.replaying and last is not None and step >= last and step not in self._plan.results:
            self.go_live()
        recorded, under_way = None, False
        if self._discarded and not self.player.matches(node, name, given):
            # What a cut stream gives anew leads elsewhere.
            self.go_live()
        elif (self.replaying and last is not None) or (last is None and self.player.has_call(node)):
            recorded = self.player.open(node, name, kind, given)
        if recorded is None and self._wants_tape(kind, given):
            recorded = self.player.find_answer(node, name, given)
        if recorded is not None and not self._has_outcome(recorded):
            self._discarded.add(recorded)
            recorded, under_way = None, True
        happened = None
        if recorded is None and given.writes:
            happened = self._consent(node, name, given, under_way=under_way)
        index = super().open(node, name, kind, given)
        self._opened += 1
        if recorded is None and self._opened in self._plan.edits:
            self._edits[index] = self._plan.edits[self._opened]
        if happened is not None:
            self._reconciled[index] = happened.result
        if recorded is not None:
            self.from_tape += 1
            say_answered()
            self._map(index, recorded)
            if not self.replaying:
                self._keep_left(index, recorded)
        return index

    def _consent(self, node: Node, name: str, given: Given, *, under_way: bool) -> Happened | None:
        """Whether a write may happen now; what it gave when it has happened already."""
        if self._plan.live_from_step is None and not under_way:
            return None  # the run goes on, and had not come to this
        hook = hook_for(name) if under_way else None
        if hook is not None and given.keeps_input:
            token = PLACE.set(Place(self, node, inside=True))
            try:
                return hook(given.value)
            finally:
                PLACE.reset(token)
        if self._plan.allow_writes:
            return None
        if self._plan.denied is not None:
            self._plan.denied.append(name)
        forks = self._plan.live_from_step is not None
        self.refused = not forks
        reason = (
            f"{name} may or may not have happened when the run was killed: look, and resume with --allow-writes to"
            " do it, or give tachograph.replay.reconcile a function that looks"
            if under_way
            else f"{name} changes the world; it happens only with --allow-writes"
        )
        raise Refused("the fork" if forks else "the resumption", reason)

    def edits_of(self, index: int) -> tuple[Edit, ...]:
        """Those of its step, once."""
        return self._edits.get(index, ())

    @property
    def model_instead(self) -> str:
        """The model of live calls, once they are live."""
        return "" if self.replaying else self._plan.model

    def _wants_tape(self, kind: str, given: Given) -> bool:
        if self.replaying or not self._plan.tools_from_tape or kind == "model":
            return False
        body = given.value.get("body") if isinstance(given.value, dict) else None
        return not (kind == "http" and asks_a_model(body))

    def _has_outcome(self, recorded: int) -> bool:
        call = self.player.recording.call(recorded)
        # A stream that its consumer has left need not have said that it is closed.
        if call.step in self._plan.results or call.lost or (call.streams and call.cancelled):
            return True
        kind = call.outcomes[-1].kind if call.outcomes else self._answered.get(recorded, "item")
        return kind != "item"

    def _map(self, index: int, recorded: int | None) -> None:
        if recorded is not None:
            self._recorded[index], self._own[recorded] = recorded, index

    def answers(self, index: int) -> bool:
        """Whether the outcome is known: from the recording, or by having looked."""
        return index in self._recorded or index in self._reconciled

    def answer(self, index: int) -> tuple[str, Any]:
        """The recorded outcome, or the one that was set instead; it is written to the new tape."""
        if index in self._reconciled:
            outcome = "ok", self._reconciled.pop(index)
            self.close(index, *outcome)
            return outcome
        recorded = self._recorded[index]
        outcome = self._edited(recorded) or self.player.answer(recorded)
        self.close(index, *outcome)
        return outcome

    def _edited(self, recorded: int) -> tuple[str, Any] | None:
        call = self.player.recording.find(recorded)
        if call is None or call.step not in self._plan.results:
            return None
        self._set.add(call.step)
        return "ok", self._plan.results[call.step]

    # --- order -------------------------------------------------------------------------------------

    def following(self) -> Delivery | None:
        """What the recording delivers next, by our own index."""
        found = self.player.following()
        while found is not None and found.index in self._discarded:
            self.player.position += 1
            found = self.player.following()
        if found is None:
            return None
        return Delivery(self._own.get(found.index, -1), found.outcome, found.spin)

    def take(self, delivery: Delivery) -> tuple[str, Any]:
        """The outcome whose turn it is; written to the new tape."""
        recorded = self.player.following() or delivery
        outcome = self.player.take(recorded)
        outcome = self._edited(recorded.index) or outcome
        flight = Flight(delivery.index)
        flight.outcome = outcome
        self.deliver(flight, delivery.spin)
        return outcome

    def stalled(self, schedule: Schedule, *, runaway: bool) -> None:
        """At the end of the recording the run goes on; before it, the program has left the road."""
        if self.player.following() is None and not runaway:
            self.go_live()
        else:
            self.player.stalled(schedule, runaway=runaway)

    def exhausted(self) -> None:
        """The run goes on."""
        self.go_live()

    def go_live(self) -> None:
        """From here on effects happen."""
        with self.baton.mutex if self.baton is not None else nullcontext():
            if self.replaying:
                self._go_live()

    def _go_live(self) -> None:
        self.replaying = False
        for delivery in self.player.recording.deliveries[self.player.position :]:
            index = self._own.get(delivery.index)
            if index is not None:
                self._keep_left(index, delivery.index)
        for schedule in self._schedules.values():
            if schedule.loop.is_closed():
                continue
            self.loop_offset_s = self.player.loop_time(schedule.real_time) - schedule.real_time()
            schedule.go_live_from_anywhere(self._left)

    def _keep_left(self, index: int, recorded: int) -> None:
        if self._left.get(index):
            return
        edited = self._edited(recorded)
        self._left[index].extend([edited] if edited else self.player.outcomes_left(recorded))

    # --- turns of threads --------------------------------------------------------------------------

    def next_turn(self) -> Turn | GivenUp | None:
        """The recorded turn that comes next. Where a killed run's tape ends, it goes on live."""
        turn = self.player.next_turn()
        if turn is None and self._plan.live_from_step is None:
            self.go_live()
        return turn

    def took_turn(self, turn: Turn) -> None:
        """Write it, and go on on the recording."""
        super().took_turn(turn)
        if self.replaying:
            self.player.took_turn(turn)

    def out_of_turn(self, turn: Turn | None, waiting: list[tuple[str, TurnKind]]) -> None:
        """The program does not follow its own recording."""
        self.player.out_of_turn(turn, waiting)

    def stop_if_failed(self) -> None:
        """End this thread, if the program has left the road."""
        if self.failed:
            self.player.stop_if_failed()

    # --- the rest ----------------------------------------------------------------------------------

    def timer(self, node: Node) -> int:
        """Number a timer, and find its recorded one."""
        index = super().timer(node)
        if self.replaying:
            self._map(index, self.player.timer(node))
        return index

    def thread(self, node: Node) -> int:
        """Number a thread, and find its recorded one."""
        index = super().thread(node)
        if self.replaying:
            self._map(index, self.player.thread(node))
        return index

    def asked_to_cancel(self, index: int, *, arrived: bool) -> bool:
        """As in the recording while on it."""
        if self.replaying and index in self._recorded:
            arrived = self.player.asked_to_cancel(self._recorded[index], arrived=arrived)
        return super().asked_to_cancel(index, arrived=arrived)

    def read(self, node: Node, name: str, real: Callable[[], Any]) -> Any:
        """What was read then, as long as the recording has it."""
        if self.replaying and self.player.has_reading(node, name):
            value = self.player.read(node, name, real)
            return super().read(node, name, lambda: value)
        return super().read(node, name, real)

    def loop_time(self, real: Callable[[], float]) -> float:
        """The recorded time, and from there on as the clock goes."""
        if self.replaying:
            self.player.delivered = self.delivered
            return super().loop_time(lambda: self.player.loop_time(real))
        return super().loop_time(lambda: real() + self.loop_offset_s)

    def stream(
        self, index: int, make: Callable[[], Any], context: contextvars.Context
    ) -> StreamSource:
        """The recorded stream where there is one."""
        if index in self._reconciled:
            raise Refused("the resumption", "a stream that changes the world cannot be reconciled")
        if index in self._recorded:
            return RecordedStream(self, index)
        return super().stream(index, make, context)

    def leaves(self, index: int) -> bool:
        """The consumer leaves a recorded stream, which the new tape has too; whether it did so then."""
        super().asked_to_cancel(index, arrived=False)
        return self.player.leaves(self._recorded[index])

    def misread(self, index: int, said: str) -> None:
        """While on the recording, a difference; later the consumer is free."""
        if self.replaying:
            self.player.misread(self._recorded[index], said)

    async def launch(
        self, index: int, start: Callable[[], Any], context: contextvars.Context
    ) -> tuple[str, Any]:
        """The recorded outcome in its turn; else let it happen."""
        if index in self._reconciled:
            return await super().launch(index, self._known(self._reconciled.pop(index)), context)
        if index not in self._recorded:
            return await super().launch(index, start, context)
        return await self.recorded_outcome(index)

    def _known(self, result: Any) -> Callable[[], Any]:
        async def known() -> Any:
            return result

        return known

    async def recorded_outcome(self, index: int) -> tuple[str, Any]:
        """Wait for what the recording has for an effect, also after going live."""
        import asyncio

        schedule = self.schedule(asyncio.get_running_loop())
        flight = Flight(index)

        def closed() -> None:
            # All that a recording may lack of an outcome that it has: that a stream which was left is closed.
            flight.outcome = "close", None
            schedule.arrive(flight)

        flight.relaunch = closed
        if self.replaying:
            schedule.await_turn(flight)
        elif self._left[index]:
            flight.outcome = self._left[index].popleft()
            schedule.arrive(flight)
        else:
            return "end", None
        return await schedule.settle(flight)
