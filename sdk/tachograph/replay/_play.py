"""The engine that answers from a recording and stops at the first difference."""

from __future__ import annotations

import asyncio
import contextvars
import json
import re
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from tachograph._renamed import former
from tachograph.errors import Refused
from tachograph.replay import _kinds  # noqa: F401 - registers what values may be
from tachograph.replay._codec import CodecError, dumps, loads
from tachograph.replay._divergence import (
    Diverged,
    Divergence,
    DivergenceKind,
    same,
)
from tachograph.replay._engine import Given
from tachograph.replay._flight import Flight
from tachograph.replay._here import marks
from tachograph.replay._mirror import as_real
from tachograph.replay._mismatch import Asked, is_called, mismatch
from tachograph.replay._place import Node
from tachograph.replay._play_turns import TurnsPlayed
from tachograph.replay._pump import RecordedStream
from tachograph.replay._recording import Delivery, Outcome, RecordedCall, Recording
from tachograph.replay._schedule import Schedule
from tachograph.replay._tape import Redact
from tachograph.replay._types import Types
from tachograph.replay._where import program_line, waiting_at
from tachograph_schemas import names

_MASK_KIND = re.compile(r"\[redacted:[^:\]]+:")
_MASK = re.compile(r"\[redacted:[^:\]]+:[0-9a-f]+\]")


def _without_kinds(tree: Any) -> Any:
    """Masks by their marks alone: one secret may be a password in one place and a key in another."""
    return json.loads(_MASK_KIND.sub("[redacted:", json.dumps(tree)))


def _without_marks(tree: Any) -> Any:
    return json.loads(_MASK.sub("[redacted]", json.dumps(tree)))


def _places(recording: Recording) -> frozenset[str]:
    """Every place of which the recording has anything, and those on the way there."""
    texts = {call.path for call in recording.calls} | {place for place, _ in recording.reads}
    texts.update(place.partition("\t")[0] for place in recording.timers)
    parts = [text.split("/") for text in texts if text]
    return frozenset("/".join(each[:end]) for each in parts for end in range(1, len(each) + 1))


class Player(TurnsPlayed):
    """Replays one recording, once."""

    replaying = True

    def __init__(self, recording: Recording, redact: Redact, *, lenient: bool = False) -> None:
        super().__init__(recording.turns)
        self.lenient = lenient
        self.drifts: list[Divergence] = []
        """Calls with other arguments that were answered all the same, being lenient."""
        # A copy, as answers are used up.
        recording = self.recording = Recording(recording.records, recording.blobs)
        self.on_failure: list[Callable[[Diverged], None]] = []
        self.guard: Callable[[asyncio.AbstractEventLoop], None] | None = None
        """Told each event loop that code of the agent is driven on."""
        self.stand_ins: dict[str, str] = {}
        """Folders as code is told them in the sandbox, and what they stand for."""
        self.types = Types()
        self._redact = redact
        self._has_our_marks = recording.code.get("marks") == marks()
        """Whether equal secrets are marked equally now and on the tape; on another machine they are not."""
        self.position = 0
        self._by_path: dict[str, deque[RecordedCall]] = defaultdict(deque)
        for call in recording.calls:
            self._by_path[call.path].append(call)
        self._places = _places(recording)
        self._modules: set[str] = set()
        """The program's, as far as functions of theirs were called."""
        self.root.relabel = self._label_here
        self._timers = {path: deque(indices) for path, indices in recording.timers.items()}
        self._reads = {place: deque(values) for place, values in recording.reads.items()}
        self._last_loop_s = 0.0

    def meet(self, function: Callable[..., Any]) -> None:
        """Values may be of classes that the function's code names."""
        module = getattr(function, "__module__", None) or ""
        if module.startswith("tachograph.demo.") or not module.startswith("tachograph."):
            self._modules.add(module)
        self.types.meet(function)

    # --- calls -------------------------------------------------------------------------------------

    def open(self, node: Node, name: str, kind: str, given: Given) -> int:
        """Find the recorded call: the same place, name and arguments; else it is a divergence."""
        self._stop_if_over()
        self.progress_s = time.monotonic()
        waiting = self._by_path[node.text]
        while waiting and waiting[0].used:
            waiting.popleft()
        expected = waiting[0] if waiting else None
        tree = given.tree()
        if expected is not None and is_called(name, expected.name) and self._same(expected, tree):
            return self._use(expected)
        left = [call for call in waiting if not call.used]
        elsewhere = (call for call in self.recording.calls if not call.used)
        asked = Asked(node, name, kind, tree, self._modules)
        shown, step = self.redacted(tree, names.input_name(kind)), self.effects + 1
        found = mismatch(asked, left, elsewhere, self._same, shown, step)
        if self.lenient and expected is not None and found.kind == "ARGS_CHANGED":
            found.where = program_line(2)
            self.drifts.append(found)
            return self._use(expected)
        self._fail(found)
        raise AssertionError("unreachable")

    def matches(self, node: Node, name: str, given: Given) -> bool:
        """Whether :meth:`open` would find the call."""
        waiting = [call for call in self._by_path[node.text] if not call.used]
        tree = json.loads(dumps(given.value)[0]) if given.keeps_input else None
        if not waiting or not is_called(name, waiting[0].name):
            return False
        return self._same(waiting[0], tree)

    def find_answer(self, node: Node, name: str, given: Given) -> int:
        """A recorded call of that name with these arguments: of this place, else of others that all gave the same. For forks alone.

        Raises:
            Refused: there is none, or which of several is meant cannot be known.
        """
        tree = json.loads(dumps(given.value)[0]) if given.keeps_input else None
        said = f"{name} was not recorded with these arguments"
        left = (each for each in self.recording.calls if not each.used)
        if fit := [each for each in left if is_called(name, each.name) and self._same(each, tree)]:
            here = [each for each in fit if each.path == node.text]
            came = self.recording.came_of(fit[0])
            if here or all(self.recording.came_of(each) == came for each in fit[1:]):
                return self._use((here or fit)[0])
            said = f"{name} gave different answers to these arguments, none of them here"
        raise Refused("the fork", f"{said}; without --tools tape it happens")

    def _use(self, call: RecordedCall) -> int:
        call.used = True
        self.effects += 1
        return call.index

    def _same(self, call: RecordedCall, tree: Any) -> bool:
        if call.withheld or same(call.args, tree):
            return True
        return self.same_masked(call.args, self.redacted(tree, names.input_name(call.kind)))

    def same_masked(self, then: Any, now: Any) -> bool:
        """Whether two trees are the same as far as masks can tell; whatever is masked is not told apart without its key."""
        if self._has_our_marks:
            return same(_without_kinds(then), _without_kinds(now))
        return same(_without_marks(then), _without_marks(now))

    def redacted(self, tree: Any, key: str) -> Any:
        """What a tree looks like on a tape; ``key``: the attribute that has it in a span."""
        return json.loads(self._redact(json.dumps(as_real(tree, self.stand_ins)), key))

    def _label_here(self, node: Node, label: str) -> str:
        """What the recording calls a place under ``node``: an earlier name, where it has that alone."""
        for each in (label, *former(label)):
            if node.next_text(each) in self._places:
                return each
        return label

    def answer(self, index: int) -> tuple[str, Any]:
        """The recorded outcome of a call that answered on the spot."""
        call = self.recording.call(index)
        if not call.outcomes:
            said = f"the recording ends before {call.name} came out."
            self._fail(self._about(call, "STALLED", said))
        outcome = call.outcomes.popleft()
        return outcome.kind, self._value(call, outcome)

    def _value(self, call: RecordedCall, outcome: Outcome) -> Any:
        try:
            return self._revived(outcome)
        except CodecError as error:
            said = f"what {call.name} gave cannot be read back: {error}."
            self._fail(self._about(call, "DECODE", said))
            raise AssertionError("unreachable") from error

    def _revived(self, outcome: Outcome) -> Any:
        value = loads(outcome.tree, self.types.find)
        if outcome.kind == "err" and not isinstance(value, BaseException):
            raise CodecError("it is said to be raised, and is no exception")
        return value

    # --- order -------------------------------------------------------------------------------------

    def following(self) -> Delivery | None:
        """What the recording delivers next."""
        deliveries = self.recording.deliveries
        return deliveries[self.position] if self.position < len(deliveries) else None

    def take(self, delivery: Delivery) -> tuple[str, Any]:
        """The outcome of the next delivery."""
        self.position += 1
        self.progress_s = time.monotonic()
        tree = delivery.outcome.tree
        kind, call = delivery.outcome.kind, self.recording.find(delivery.index)
        if call is None or (kind != "err" and (tree is None or type(tree) is str)):
            return kind, tree
        return kind, self._value(call, delivery.outcome)

    def timer(self, node: Node) -> int | None:
        """The recorded timer of this place; one that was not recorded never fires."""
        return self._numbered(f"{node.text}\ttimer")

    def thread(self, node: Node) -> int | None:
        """The recorded thread of this place."""
        return self._numbered(f"{node.text}\tthread")

    def _numbered(self, place: str) -> int | None:
        indices = self._timers.get(place)
        return indices.popleft() if indices else None

    def asked_to_cancel(self, index: int, *, arrived: bool) -> bool:
        """A cancellation must have been recorded too."""
        call = self.recording.call(index)
        if not call.cancelled and not self.over:
            said = f"{call.name} is given up here; recorded, it came out."
            self._fail(self._about(call, "ORDER_CHANGED", said))
        return call.lost

    def stalled(self, schedule: Schedule, *, runaway: bool) -> None:
        """Say what the agent should have done next."""
        following = self.following()
        if runaway:
            self.note(Divergence("BUDGET", "the agent runs on and on without any effect."))
        elif following is None and (read := self._read_further(schedule)) is not None:
            self.note(read)
        elif following is None:
            said = "the agent waits for something that never came in the recording."
            if self.recording.leaks:
                said += f" Something unrecorded woke it at {self.recording.leaks[0]}."
            elif not self.recording.complete:
                said = "the recording ends here: the run was not finished when it was made."
            where = waiting_at(schedule.loop)
            self.note(Divergence("STALLED", said, step=self.effects, where=where))
        else:
            found = self._missing_delivery(following)
            found.where = waiting_at(schedule.loop)
            self.note(found)

    def _read_further(self, schedule: Schedule) -> Divergence | None:
        for index in schedule.pending:
            call = self.recording.find(index)
            if call is not None and call.streams:
                said = f"{call.name} is read further than it was."
                return self._about(call, "STREAM_CONSUMPTION", said)
        return None

    def _missing_delivery(self, following: Delivery) -> Divergence:
        call = self.recording.find(following.index)
        if call is None:
            said = "the agent waits, and the timer or thread that came next in the recording was not started."
            return Divergence("STALLED", said, step=self.effects)
        if call.used and following.outcome.kind in {"item", "end", "close"}:
            return self._about(call, "STREAM_CONSUMPTION", f"{call.name} is not read any further.")
        if call.used:
            return self._about(call, "STALLED", f"nobody waits for the outcome of {call.name}.")
        found = self._about(
            call, "STALLED", f"the agent waits; the recorded call of {call.name} was not made."
        )
        found.expected = {"name": call.name, "arguments": call.args}
        return found

    # --- readings ----------------------------------------------------------------------------------

    def read(self, node: Node, name: str, real: Callable[[], Any]) -> Any:
        """What was read then."""
        self._stop_if_over()
        values = self._reads.get((node.text, name))
        if not values and name.startswith("~"):
            return real()
        if not values:
            said = f"{name} is read more often than recorded."
            self._fail(self._divergence("READ_COUNT", said, node, name, self.effects, None, None))
            raise AssertionError("unreachable")
        return loads(values.popleft(), self.types.find)

    def loop_time(self, real: Callable[[], float]) -> float:
        """The loop's time in this activation."""
        self._last_loop_s = self.recording.loop_times.get(self.delivered, self._last_loop_s)
        return self._last_loop_s

    # --- ends --------------------------------------------------------------------------------------

    def left_over(self) -> Divergence | None:
        """What was recorded and not done, once the agent has ended."""
        for call in self.recording.calls:
            if not call.used:
                said = f"the recorded call of {call.name} was not made."
                found = self._about(call, "MISSING_CALL", said)
                found.expected = {"name": call.name, "arguments": call.args}
                return found
        for delivery in self.recording.deliveries[self.position :]:
            issued = self.recording.find(delivery.index)
            if issued is None:
                continue  # a timer that nobody needed
            if issued.streams:
                said = f"{issued.name} is not read as far as it was."
                return self._about(issued, "STREAM_CONSUMPTION", said)
            said = f"the agent did not wait for {issued.name}."
            return self._about(issued, "ORDER_CHANGED", said)
        return None

    def note(self, divergence: Divergence) -> None:
        """Keep the first divergence, and end the agent."""
        is_first = self.divergence is None
        if is_first:
            self.divergence = divergence
            divergence.where = divergence.where or program_line(2)
        self.failed = True
        if self.baton is not None:
            self.baton.give_up("")
        for tell in self.on_failure if is_first else ():
            tell(Diverged(divergence))

    def _fail(self, divergence: Divergence) -> None:
        self.note(divergence)
        raise Diverged(self.divergence or divergence)

    def _stop_if_over(self) -> None:
        if self.failed:
            ended = Divergence("EXTRA_CALL", "the run has ended; this effect does not happen.")
            raise Diverged(self.divergence or ended)

    def _about(self, call: RecordedCall, kind: DivergenceKind, said: str) -> Divergence:
        return Divergence(kind, said, call.step, call.path, call.name)

    def _divergence(
        self,
        kind: DivergenceKind,
        said: str,
        node: Node,
        name: str,
        step: int,
        expected: Any,
        actual: Any,
    ) -> Divergence:
        return Divergence(kind, said, step, node.text, name, expected, actual)

    def stream(
        self, index: int, make: Callable[[], Any], context: contextvars.Context
    ) -> RecordedStream:
        """The recorded stream; nothing is made."""
        return RecordedStream(self, index)

    def leaves(self, index: int) -> bool:
        """The consumer leaves a stream; whether it did so when it was recorded."""
        return self.recording.call(index).cancelled

    def has_call(self, node: Node) -> bool:
        """Whether the recording has another call at this place."""
        return any(not call.used for call in self._by_path[node.text])

    def has_reading(self, node: Node, name: str) -> bool:
        """Whether the recording has another reading at this place."""
        return bool(self._reads.get((node.text, name)))

    def outcomes_left(self, index: int) -> list[tuple[str, Any]]:
        """What has not been delivered of an effect."""
        call = self.recording.call(index) if self.recording.find(index) else None
        if call is None:
            return [("ok", None)]
        left = [d.outcome for d in self.recording.deliveries[self.position :] if d.index == index]
        return [(outcome.kind, self._value(call, outcome)) for outcome in left]

    def misread(self, index: int, said: str) -> None:
        """A stream is read otherwise than it was."""
        call = self.recording.call(index)
        self._fail(self._about(call, "STREAM_CONSUMPTION", f"{call.name} {said}"))

    async def launch(
        self, index: int, start: Callable[[], Any], context: contextvars.Context
    ) -> tuple[str, Any]:
        """Wait for the recorded outcome; nothing happens."""
        return await self.recorded_outcome(index)

    async def recorded_outcome(self, index: int) -> tuple[str, Any]:
        """The outcome of an effect, or the next item of a stream, when its turn comes."""
        schedule = self.schedule(asyncio.get_running_loop())
        flight = Flight(index)
        schedule.await_turn(flight)
        return await schedule.settle(flight)
