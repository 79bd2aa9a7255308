"""Tasks that are cancelled, and a clock that is put back: the agent behaves as without us."""

from __future__ import annotations

import asyncio
import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tachograph as tacho
from tachograph import _hot, _lean
from tachograph_schemas import names

DECORATORS = [tacho.step, tacho.tool, tacho.run(agent="a"), tacho.model(provider="p", model="m")]


class Work:
    """Nested coroutines and an async generator, each with something to tidy up; writes what it did."""

    def __init__(self, decorate, depth, *, stubborn, translated):
        self.log: list[object] = []
        self.depth, self.stubborn, self.translated = depth, stubborn, translated
        self.down = decorate(self.down)
        self.items = decorate(self.items)

    async def down(self, level):
        try:
            if level < self.depth:
                return await self.down(level + 1)
            async for item in self.items():
                self.log.append(item)
        except asyncio.CancelledError as error:
            self.log.append((level, "cancelled", error.args))
            if self.stubborn == level:
                return "went on"
            if self.translated == level:
                raise TimeoutError("gave up") from error
            raise
        finally:
            await asyncio.sleep(0)
            self.log.append((level, "tidied up"))

    async def items(self):
        try:
            for number in range(5):
                await asyncio.sleep(0)
                yield number
        finally:
            self.log.append("items closed")


def outcome(work, turns):
    """What cancelling the task after some turns of the loop comes to."""

    async def main():
        task = asyncio.get_running_loop().create_task(work.down(0))
        for _ in range(turns):
            await asyncio.sleep(0)
        asked = task.cancel("enough")
        try:
            return asked, task.cancelled(), await task, work.log
        except BaseException as error:
            cause = repr(error.__cause__)
            return asked, task.cancelled(), (type(error), error.args, cause), work.log

    return asyncio.run(main())


@given(
    st.sampled_from(DECORATORS),
    st.integers(0, 3),
    st.integers(0, 9),
    st.none() | st.integers(0, 3),
    st.none() | st.integers(0, 3),
)
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_cancelled_task_ends_as_without_us(spans, decorator, depth, turns, stubborn, translated):
    told = {"stubborn": stubborn, "translated": translated}
    expected = outcome(Work(lambda made: made, depth, **told), turns)
    assert outcome(Work(decorator, depth, **told), turns) == expected


def test_a_cancelled_call_is_recorded_as_such(spans):
    @tacho.tool
    async def forever():
        await asyncio.Event().wait()

    async def main():
        task = asyncio.get_running_loop().create_task(forever())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())
    assert "CancelledError" in spans.one(layer="tool").attributes[names.ERROR_TYPE]


def test_nothing_ends_before_it_began_when_the_clock_is_put_back(spans, monkeypatch):
    """Calls under way then are recorded as taking no time; later ones as they are."""
    put_back_ns = 0
    for module in (_hot, _lean):
        monkeypatch.setattr(module, "time_ns", lambda: time.time_ns() - put_back_ns)

    @tacho.tool
    def work():
        nonlocal put_back_ns
        put_back_ns += 3_600_000_000_000
        return "done"

    @tacho.run(agent="a")
    def handle():
        with tacho.step(name="look"):
            return work()

    assert handle() == "done"
    assert len(spans) == 3
    assert all(span.end_time_ns >= span.start_time_ns > 0 for span in spans)
