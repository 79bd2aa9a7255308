"""Asynchronous streams: read by one task outside of the agent, or from the tape; each item is an outcome."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tachograph.replay._beside import task_within
from tachograph.replay._flight import Flight
from tachograph.replay._place import PLACE, Place

if TYPE_CHECKING:
    from tachograph.replay._continue import Continuation
    from tachograph.replay._engine import Engine
    from tachograph.replay._play import Player
    from tachograph.replay._record import Recorder


class Pump:
    """Drives an async generator in one task of its own, a step whenever the agent asks for one.

    One task, because what the generator's body holds open (cancel scopes, task groups) belongs to a task.
    """

    def __init__(
        self,
        engine: Recorder,
        index: int,
        make: Callable[[], Any],
        context: contextvars.Context,
    ) -> None:
        self._engine = engine
        self._index = index
        self._make = make
        self._context = context
        self._task: asyncio.Task[None] | None = None
        self._asked: asyncio.Queue[tuple[Any, BaseException | None, Flight]] = asyncio.Queue()

    async def step(self, sent: Any, thrown: BaseException | None) -> tuple[str, Any]:
        """Have the generator go on; returns what came of it."""
        loop = asyncio.get_running_loop()
        schedule = self._engine.schedule(loop)
        if thrown is not None:
            self._engine.asked_to_cancel(self._index, arrived=False)
        flight = Flight(self._index)
        self._asked.put_nowait((sent, thrown, flight))
        if self._task is None:
            work = self._work(schedule.arrive_from_loop)
            self._task = task_within(work, loop, self._context)

            def ended(_: object) -> None:
                # Cancelled from elsewhere, as at the end of a loop: whoever waits must hear of it.
                while not self._asked.empty():
                    left = self._asked.get_nowait()[2]
                    left.outcome = "cancel", None
                    schedule.arrive(left)

            self._task.add_done_callback(ended, context=self._context)
        if self._task.done():
            return ("err", thrown) if thrown is not None else ("end", None)
        flight.cancel = self._task.cancel
        return await schedule.settle(flight)

    async def _work(self, arrive: Callable[[Flight], None]) -> None:
        body = self._make()
        while True:
            sent, thrown, flight = await self._asked.get()
            try:
                going = body.asend(sent) if thrown is None else body.athrow(thrown)
                flight.outcome = "item", await going
            except StopAsyncIteration:
                flight.outcome = "end", None
            except GeneratorExit:
                flight.outcome = "close", None
            except asyncio.CancelledError:
                flight.outcome = "cancel", None
            except BaseException as error:
                flight.outcome = "err", error
            if not flight.dead():
                arrive(flight)
            if flight.outcome[0] != "item":
                return


class InPlace:
    """An async generator that goes on in the task that asks, where no order is recorded."""

    def __init__(self, engine: Engine, index: int, inside: Place, body: Any) -> None:
        self._engine = engine
        self._index = index
        self._inside = inside
        self._body = body

    async def step(self, sent: Any, thrown: BaseException | None) -> tuple[str, Any]:
        """Have the generator go on; returns what came of it."""
        token = PLACE.set(self._inside)
        outcome: tuple[str, Any]
        try:
            body = self._body
            outcome = "item", await (body.asend(sent) if thrown is None else body.athrow(thrown))
        except StopAsyncIteration:
            outcome = "end", None
        except GeneratorExit:
            outcome = "close", None
        except BaseException as error:
            cancelled = isinstance(error, asyncio.CancelledError)
            outcome = ("cancel" if cancelled else "err"), error
        finally:
            PLACE.reset(token)
        self._engine.close(self._index, *outcome)
        return outcome


class RecordedStream:
    """A stream as it was read then."""

    def __init__(self, engine: Player | Continuation, index: int) -> None:
        self._engine = engine
        self._index = index

    async def step(self, sent: Any, thrown: BaseException | None) -> tuple[str, Any]:
        """The next recorded item, when its turn comes."""
        engine = self._engine
        if thrown is not None:
            if engine.failed:
                raise thrown
            if not engine.leaves(self._index):
                engine.misread(self._index, "is left here; recorded, it was read further.")
        return await engine.recorded_outcome(self._index)
