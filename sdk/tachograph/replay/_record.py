"""The engine that writes a tape while the run happens."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from collections.abc import Callable
from typing import Any

from tachograph._capture import freeze_told
from tachograph._guard import contain, guarded, say_rarely
from tachograph.replay import _children, _kinds  # noqa: F401 - tells of forks; registers what values may be
from tachograph.replay._beside import task_and_step
from tachograph.replay._codec import dumps
from tachograph.replay._engine import Engine, Given, StreamSource
from tachograph.replay._flight import Flight
from tachograph.replay._place import Node
from tachograph.replay._pump import Pump
from tachograph.replay._tape import Tape
from tachograph.replay._turns import Turn
from tachograph_schemas import names

_LEAKS_LIMIT = 100
_VARIABLE = "os.environ["
_EMPTY = frozenset(("end", "cancel", "close"))
"""Outcomes without a value."""
_WITHHELD = '{"$":"opaque","t":"withheld"}'


class Recorder(Engine):
    """Writes what happens. A fault of its own costs the recording, never the run."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self.tape = tape
        self.why_light = ""
        """Why the tape does not take all that replay needs; empty when it does."""
        self.why_no_turns = ""
        """Why the turns of its threads are not recorded to the end; empty when they are, or nobody wants them."""
        self.why_forked = ""
        """Why a replay will stop at a process that the agent forked; empty when it forked none."""
        self.refused = False
        """Whether it is a resumption that stopped in front of a write; the recording before it stays the run's."""
        self.entry_file = ""
        """The file of the run's function."""
        self._indices = itertools.count()
        self._given: dict[int, Given] = {}
        """Of effects that are under way."""
        self._leaks: set[str] = set()
        self._forks: set[str] = set()
        self._ticked = -1

    def fall_back(self, why: str) -> None:
        """Keep digests from here on, and let effects happen where they are called."""
        if self.exact:
            self.exact, self.why_light = False, why
            if self.baton is not None:
                self.baton.give_up(why)
            self.tape.add({"t": "light", "why": why})
            self.tape.digest()

    def open(self, node: Node, name: str, kind: str, given: Given) -> int:
        """Write the intent of an effect."""
        index = next(self._indices)
        self._given[index] = given
        try:
            record: dict[str, Any] = {"t": "call", "i": index, "p": node.text, "n": name, "k": kind}
            payload: str | bytes | None = None
            if given.keeps_input:
                payload = given.frozen if given.frozen is not None else dumps(given.value)[0]
            else:
                record["w"] = 1
            if given.writes:
                record["e"] = "write"
            given.kind = kind
            self.tape.add(record, "a", payload, given.span_id, names.input_name(kind))
            if given.writes:
                self.tape.write_out()
        except BaseException as fault:
            if not contain("recording an effect", fault):
                raise
        return index

    def close(self, index: int, outcome: str, value: Any) -> None:
        """Write the outcome of an effect that answered on the spot."""
        try:
            self._done({"t": "done", "i": index, "o": outcome}, index, value)
        except BaseException as fault:
            if not contain("recording an outcome", fault):
                raise

    def deliver(self, flight: Flight, spin: int | None) -> None:
        """Write an outcome at the moment at which the agent gets it."""
        try:
            kind, value = flight.outcome or ("ok", None)
            record: dict[str, Any] = {
                "t": "done",
                "i": flight.index,
                "o": kind,
                "q": self.delivered,
            }
            if spin is not None:
                record["s"] = spin
            self._done(record, flight.index, value)
        except BaseException as fault:
            if not contain("recording an outcome", fault):
                raise

    def _done(self, record: dict[str, Any], index: int | None, value: Any) -> None:
        given, outcome = None, record["o"]
        if index is not None:
            open_ones = self._given
            given = open_ones.get(index) if outcome == "item" else open_ones.pop(index, None)
        payload: str | bytes | None = None
        if outcome in _EMPTY or (value is None and outcome == "ok"):
            pass
        elif given is not None and not given.keeps_output:
            payload = _WITHHELD
        elif given is not None and outcome == "ok" and given.limit_bytes:
            content, cut_bytes, is_exact = freeze_told(value, given.limit_bytes)
            given.result = content, cut_bytes
            payload = content if is_exact else dumps(value)[0]
        else:
            payload = dumps(value)[0]
        if given is None:
            self.tape.add(record, "v", payload)
        else:
            self.tape.add(record, "v", payload, given.span_id, names.output_name(given.kind))
        if given is not None and given.writes:
            self.tape.write_out()

    def asked_to_cancel(self, index: int, *, arrived: bool) -> bool:
        """Write that the agent gave an effect up, and whether it had come out meanwhile."""
        self.tape.add({"t": "cancel", "i": index, **({"lost": 1} if arrived else {})})
        return arrived

    def timer(self, node: Node) -> int:
        """Number a timer."""
        index = next(self._indices)
        self.tape.add({"t": "timer", "i": index, "p": f"{node.text}\ttimer"})
        return index

    def thread(self, node: Node) -> int:
        """Number a thread of the loop."""
        index = next(self._indices)
        self.tape.add({"t": "timer", "i": index, "p": f"{node.text}\tthread"})
        return index

    def read(self, node: Node, name: str, real: Callable[[], Any]) -> Any:
        """Write what was read."""
        value = real()
        with guarded("recording a reading"):
            payload = dumps(value)[0]
            if name.startswith(_VARIABLE):
                # Whether it is a secret is known by the name alone.
                payload = self.tape.masked(name[len(_VARIABLE) : -1], payload)
            self.tape.add({"t": "read", "p": node.text, "n": name}, "v", payload)
        return value

    def loop_time(self, real: Callable[[], float]) -> float:
        """Write the loop's time once an activation."""
        now_s = real()
        if self._ticked != self.delivered:
            self._ticked = self.delivered
            self.tape.add({"t": "tick", "q": self.delivered, "v": now_s})
        return now_s

    def took_turn(self, turn: Turn) -> None:
        """Write whose turn it was, and for what."""
        more = {"x": 1} if turn.timed_out else {}
        if turn.kind == "loop":
            more["q"] = turn.delivered
        self.tape.add({"t": "turn", "p": turn.name, "k": turn.kind, **more})

    def gave_up_turns(self, why: str) -> None:
        """Write that there are no turns any more."""
        self.why_no_turns = why
        self.tape.add({"t": "noturns", "why": why})

    def leaked(self, where: str) -> None:
        """Write where something unrecorded woke the agent, once a place."""
        if where not in self._leaks and len(self._leaks) < _LEAKS_LIMIT:
            self._leaks.add(where)
            self.tape.add({"t": "leak", "where": where})

    def forks(self, where: str) -> None:
        """Write where the agent forks, once a place: what its child does is not on this tape."""
        if (
            self.over
            or not self.tape.is_ours
            or where in self._forks
            or len(self._forks) >= _LEAKS_LIMIT
        ):
            return
        self._forks.add(where)
        self.why_forked = self.why_forked or (
            f"it forks at {where}, and what a child process does is not recorded: a replay stops there, unless that is"
            " below a function under @tacho.tool"
        )
        self.tape.add({"t": "fork", "where": where})
        say_rarely("fork", "tachograph: a run cannot be replayed to its end: %s", self.why_forked)

    def stream(
        self, index: int, make: Callable[[], Any], context: contextvars.Context
    ) -> StreamSource:
        """A stream that a task outside of the agent reads."""
        return Pump(self, index, make, context)

    async def launch(
        self, index: int, start: Callable[[], Any], context: contextvars.Context
    ) -> tuple[str, Any]:
        """Let an effect happen in a task of its own, outside of the agent; returns its outcome."""
        loop = asyncio.get_running_loop()
        schedule = self.schedule(loop)
        flight = Flight(index)
        has_begun = False

        async def happen() -> None:
            try:
                flight.outcome = "ok", await start()
            except asyncio.CancelledError:
                flight.outcome = "cancel", None
            except BaseException as error:
                flight.outcome = "err", error
                if flight.dead():
                    raise
            if has_begun and not (flight.dead() or loop.is_closed()):
                schedule.arrive_from_loop(flight)

        task, step = task_and_step(happen(), loop, context)
        # As without a recording, it begins where it is called.
        schedule.begin(step, context)
        has_begun = True
        if flight.outcome is not None:
            # As without a recording, what never waited needs no turn of the loop.
            if schedule.hands_over(flight):
                return flight.outcome
            schedule.arrive(flight)
        flight.cancel = task.cancel
        return await schedule.settle(flight)
