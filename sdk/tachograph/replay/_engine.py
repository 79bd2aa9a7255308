"""What recording and replaying have in common: one engine answers for one run.

The agent's code meets the same calls in both. While recording, an effect happens and its outcome is written; while
replaying, the outcome is read and nothing happens. When outcomes reach the agent is decided by the same rule in both
(:mod:`._schedule`), which is why the order of everything in between is the same too.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from tachograph.replay._codec import dumps, tree_of
from tachograph.replay._flight import Flight
from tachograph.replay._place import Node
from tachograph.replay._schedule import Schedule

if TYPE_CHECKING:
    from tachograph.replay._baton import Baton
    from tachograph.replay._edits import Edit
    from tachograph.replay._recording import Delivery
    from tachograph.replay._turns import GivenUp, Turn, TurnKind


class Engine:
    """Answers for one run. ``over`` once the run has ended: what is still running is left alone."""

    replaying = False
    exact = True
    """Whether order and readings are recorded too. If not, effects happen where they are called."""
    failed = False
    """Whether a replay has diverged: nothing is delivered any more."""

    def __init__(self) -> None:
        self.over = False
        self.root = Node(())
        self.loop_offset_s = 0.0
        """By how much the loop's clock, as the agent sees it, is ahead of the real one, seconds."""
        self.result: str | None = None
        """What the run gave, as JSON. Replaying only."""
        self.delivered = 0
        """How many outcomes have been delivered."""
        self.loops: list[asyncio.AbstractEventLoop] = []
        """On which code of the run is driven now."""
        self._schedules: dict[int, Schedule] = {}
        self.numpy_left: tuple[bytes, int, int, float] | None = None
        """The state of numpy's shared generator after the run's last draw."""
        self.takes_turns = False
        """Whether its threads are to take turns, if it starts any."""
        self.baton: Baton | None = None
        """Made when the first thread is started."""

    def schedule(self, loop: asyncio.AbstractEventLoop) -> Schedule:
        """The schedule of this run on ``loop``; made when it is asked for first."""
        found = self._schedules.get(id(loop))
        # The address of a loop that was closed may be another's now.
        if found is None or found.loop is not loop:
            found = self._schedules[id(loop)] = Schedule(self, loop)
        return found

    def fall_back(self, why: str) -> None:
        """The order of the run cannot be recorded from here on; the agent goes on as it is. Recording only."""

    @property
    def model_instead(self) -> str:
        """The model that live calls are sent to, whatever the program names; empty: as it says."""
        return ""

    swaps = False
    """Whether what an effect is called with may be something else than what the agent gave; asked at every effect."""
    has_edits = False
    """Whether a fork puts anything into arguments; asked at every effect."""

    def edits_of(self, index: int) -> tuple[Edit, ...]:
        """What a fork puts into the arguments of an effect; forks only."""
        return ()

    def finish(self) -> None:
        """The run is over."""
        self.over = True
        for schedule in self._schedules.values():
            schedule.release()
        self.let_go()

    def let_go(self) -> None:
        """The run is over, and its threads take no turns any more."""
        self.over = True
        if self.baton is not None:
            self.baton.close()

    def meet(self, function: Callable[..., Any]) -> None:
        """A function of the run is called. What it names may come back from a recording."""

    def open(self, node: Node, name: str, kind: str, given: Given) -> int:
        """An effect is about to happen; returns its index.

        Raises:
            Divergence: while replaying, when the recording has no such call here.
        """
        raise NotImplementedError

    def close(self, index: int, outcome: str, value: Any) -> None:
        """An effect that answers on the spot came out so. Recording only."""

    def answers(self, index: int) -> bool:
        """Whether an effect is answered, and does not happen."""
        return self.replaying

    def answer(self, index: int) -> tuple[str, Any]:
        """The outcome of an effect that answers on the spot. Replaying only."""
        raise NotImplementedError

    def misread(self, index: int, said: str) -> None:
        """A stream is read otherwise than it was. Replaying only."""
        raise NotImplementedError

    def following(self) -> Delivery | None:
        """What the recording delivers next. Replaying only."""
        raise NotImplementedError

    def choose(self, schedule: Schedule) -> None:
        """The agent is at rest: decide what comes next, where that is not the recording's to say."""

    def take(self, delivery: Delivery) -> tuple[str, Any]:
        """The outcome of a delivery, whose turn it is. Replaying only."""
        raise NotImplementedError

    def stalled(self, schedule: Schedule, *, runaway: bool) -> None:
        """The agent waits for nothing that can come, or never comes to rest. Replaying only."""
        raise NotImplementedError

    def exhausted(self) -> None:
        """The recording has nothing left and the agent does not come to rest."""

    def thread(self, node: Node) -> int | None:
        """Agent code goes into a thread of the loop; its index, None when the recording has none here."""
        raise NotImplementedError

    # --- turns of threads (:mod:`._baton`); under the baton's mutex ---------------------------------

    def took_turn(self, turn: Turn) -> None:
        """A thread goes on."""
        raise NotImplementedError

    def gave_up_turns(self, why: str) -> None:
        """Threads take no turns from here on. Recording only."""

    def next_turn(self) -> Turn | GivenUp | None:
        """The recorded turn that comes next; None when there is none. Replaying only."""
        return None

    def out_of_turn(self, turn: Turn | None, waiting: list[tuple[str, TurnKind]]) -> None:
        """Nobody can take the next turn: ``waiting`` do for what they say. Replaying only."""

    def keep_result(self, value: Any) -> None:
        """The agent has given it: what it leaves behind may change it afterwards. Replaying only."""
        if self.result is None:
            self.result = dumps(value)[0]

    def stop_if_failed(self) -> None:
        """Raise in a thread whose replay has ended."""

    async def launch(
        self, index: int, start: Callable[[], Any], context: contextvars.Context
    ) -> tuple[str, Any]:
        """Let an effect happen in ``context``, outside of the agent, or not at all; returns its outcome."""
        raise NotImplementedError

    def stream(
        self, index: int, make: Callable[[], Any], context: contextvars.Context
    ) -> StreamSource:
        """An asynchronous stream of items, made by ``make`` or read from the recording."""
        raise NotImplementedError

    def timer(self, node: Node) -> int | None:
        """A timer was set; its index, None for one that the recording does not know."""
        raise NotImplementedError

    def asked_to_cancel(self, index: int, *, arrived: bool) -> bool:
        """The agent gives up an effect whose outcome it has not got.

        ``arrived``: the outcome is there and its turn has not come. Returns whether it never comes.
        """
        raise NotImplementedError

    def read(self, node: Node, name: str, real: Callable[[], Any]) -> Any:
        """What the agent gets for a reading of a clock, of chance, of the environment."""
        raise NotImplementedError

    def loop_time(self, real: Callable[[], float]) -> float:
        """The time of the loop in this activation, seconds."""
        raise NotImplementedError

    def deliver(self, flight: Flight, spin: int | None) -> None:
        """Write down that an outcome reaches the agent now. Recording only."""

    def leaked(self, where: str) -> None:
        """Something outside the recording woke the agent."""

    def forks(self, where: str) -> None:
        """The agent is about to fork its process, at that line. Recording only."""


class StreamSource(Protocol):
    """One asynchronous stream, item by item."""

    async def step(self, sent: Any, thrown: BaseException | None) -> tuple[str, Any]:
        """Go on to the next item: ``item``, ``end``, ``close``, ``cancel`` or ``err``, and its value."""
        ...


class Given:
    """The arguments of a call, as a value or withheld."""

    __slots__ = (
        "frozen",
        "keeps_input",
        "keeps_output",
        "kind",
        "limit_bytes",
        "result",
        "span_id",
        "value",
        "writes",
    )

    def __init__(
        self,
        value: Any,
        keeps_input: bool = True,
        keeps_output: bool = True,
        writes: bool = False,
        frozen: bytes | None = None,
        limit_bytes: int = 0,
        span_id: int = 0,
    ) -> None:
        self.value = value
        self.keeps_input = keeps_input
        self.keeps_output = keeps_output
        self.writes = writes
        """Whether the effect changes the world."""
        self.frozen = frozen
        """The value as JSON in UTF-8, where its span has it already."""
        self.limit_bytes = limit_bytes
        """Of the result in a span; 0 when no span takes it in this form."""
        self.span_id = span_id
        """Of that span."""
        self.kind = ""
        """Of the effect: its layer, or ``http``."""
        self.result: tuple[bytes, int] | None = None
        """The result as the tape took it: JSON in UTF-8, and how many bytes of it were cut off."""

    def tree(self) -> Any:
        """What a tape has for the value; None when it is withheld."""
        if not self.keeps_input:
            return None
        return tree_of(self.value) if self.frozen is None else orjson.loads(self.frozen)
