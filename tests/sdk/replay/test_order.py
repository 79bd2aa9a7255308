"""Scenarios of concurrency: whatever the schedule was, replay has the same one. Names as in the list of scenarios."""

from __future__ import annotations

import asyncio
import random

import pytest
import uvloop
from taped import assert_identical

import tachograph as tacho
from tachograph.replay._run import replay

ROUNDS = 6
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


async def pause():
    await asyncio.sleep(random.random() * 0.003)


@tacho.model
async def model(*prompt):
    await pause()
    return f"answer {random.random()}"


@tacho.tool
async def tool(*args):
    await pause()
    return [list(args), random.random()]


@tacho.tool
async def failing(number):
    await pause()
    raise ValueError(number)


@tacho.model
async def stream(name):
    for number in range(5):
        await pause()
        yield f"{name}{number} {random.random()}"


@tacho.run
async def seq_basic():
    first = await model("plan")
    found = await tool(first)
    return await model(first, found)


@tacho.run
async def gather_distinct():
    done = []

    async def one(number):
        done.append(await tool(number))

    await asyncio.gather(*(one(number) for number in range(6)))
    return done, await model(list(done))


@tacho.run
async def gather_duplicates():
    return await asyncio.gather(*(model("the same") for _ in range(5)))


@tacho.run
async def nested_subagents():
    @tacho.agent
    async def sub(number):
        said = number
        for _ in range(5):
            said = await model(said)
        return said

    return await asyncio.gather(*(sub(number) for number in range(4)))


@tacho.run
async def as_completed_tasks():
    out = []
    for each in asyncio.as_completed([asyncio.create_task(tool(n)) for n in range(5)]):
        out.append(await each)
        await model(list(out))
    return out


@tacho.run
async def as_completed_coros():
    out = []
    for each in asyncio.as_completed([tool(n) for n in range(5)]):
        out.append(await each)
        await model(list(out))
    return out


@tacho.run
async def wait_first_completed():
    tasks = [asyncio.create_task(model(n)) for n in range(3)]
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    ends = await asyncio.gather(*rest, return_exceptions=True)
    return [task.result() for task in done], [repr(end) for end in ends]


@tacho.run
async def iterate_done_set():
    tasks = [asyncio.create_task(tool(n)) for n in range(8)]
    done, _ = await asyncio.wait(tasks)
    return [task.result() for task in done], await model([task.result() for task in done])


@tacho.run
async def taskgroup_error():
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(tool(number))
            group.create_task(failing(7))
    except* ValueError as errors:
        said = [str(error) for error in errors.exceptions]
    return await model(said)


@tacho.run
async def queue_workers():
    queue, out = asyncio.Queue(), []
    for number in range(5):
        queue.put_nowait(number)

    async def worker(name):
        while not queue.empty():
            number = queue.get_nowait()
            out.append([name, number, await tool(name, number)])
            if number < 3:
                queue.put_nowait(number + 10)

    await asyncio.gather(*(worker(name) for name in "abc"))
    return out


@tacho.run
async def bounded_queue():
    queue, out = asyncio.Queue(2), []

    async def produce(name):
        for number in range(4):
            await queue.put(await tool(name, number))

    async def consume():
        while len(out) < 8:
            out.append(await queue.get())

    await asyncio.gather(produce("a"), produce("b"), consume())
    return out


@tacho.run
async def lock_scratchpad():
    lock, pad = asyncio.Lock(), []

    async def work(name):
        for number in range(3):
            found = await tool(name, number, len(pad))
            async with lock:
                await asyncio.sleep(0)
                pad.append([name, found])

    await asyncio.gather(*(work(name) for name in "abc"))
    return pad


@tacho.run
async def yield_loops():
    seen = []

    async def work(name):
        for number in range(3):
            await tool(name, number)
            for _ in range(number + 2):
                seen.append(name)
                await asyncio.sleep(0)

    await asyncio.gather(*(work(name) for name in "ab"))
    return seen


@tacho.run
async def spin_poll():
    turns, task = 0, asyncio.create_task(tool("slow"))
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    return turns, task.result(), await model(turns)


@tacho.run
async def wait_for_timeout():
    out = []
    for number in range(5):
        try:
            out.append(await asyncio.wait_for(tool(number), 0.002))
        except TimeoutError:
            out.append("late")
    return out


@tacho.run
async def retry_jitter():
    delays = []
    for attempt in range(3):
        try:
            await failing(attempt)
        except ValueError:
            delays.append(random.random() * 0.002)
            await asyncio.sleep(delays[-1])
    return delays


@tacho.run
async def semaphore_limit():
    limit, order = asyncio.Semaphore(2), []

    async def one(number):
        async with limit:
            order.append(number)
            await tool(number)

    await asyncio.gather(*(one(number) for number in range(10)))
    return order


@tacho.run
async def two_streams():
    out = []

    async def read(name):
        async for chunk in stream(name):
            out.append(chunk)

    await asyncio.gather(*(read(name) for name in "abc"))
    return out


@tacho.run
async def stream_early_stop():
    out = []
    async for chunk in stream("a"):
        out.append(chunk)
        if len(out) == 3:
            break
    return out, await model(out)


@tacho.run
async def to_thread():
    def work(number):
        return [number, look_up(number)]

    return await asyncio.gather(*(asyncio.to_thread(work, number) for number in range(4)))


@tacho.tool
def look_up(number):
    return random.random()


@tacho.run
def sync_with_loop():
    return asyncio.run(inner_loop()), look_up(1), asyncio.run(inner_loop())


async def inner_loop():
    return await asyncio.gather(*(tool(number) for number in range(3)))


SCENARIOS = [
    *(seq_basic, gather_distinct, gather_duplicates, nested_subagents, as_completed_tasks),
    *(as_completed_coros, wait_first_completed, iterate_done_set, taskgroup_error, queue_workers),
    *(bounded_queue, lock_scratchpad, yield_loops, spin_poll, wait_for_timeout, retry_jitter),
    *(semaphore_limit, two_streams, stream_early_stop, to_thread, sync_with_loop),
]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("agent", SCENARIOS, ids=lambda each: each.__name__)
def test_schedule(tapes, agent, loop):
    """Recorded on either loop, replayed identically, and no wake-up is taken for a leak."""
    for _ in range(ROUNDS):
        (outcome, _), recording = tapes.record(agent, new_loop=LOOPS[loop])
        assert outcome == "ok"
        assert not recording.leaks
        assert_identical(replay(recording, agent))


@tacho.run
async def stream_error_mid():
    @tacho.model
    async def broken():
        for number in range(4):
            await pause()
            yield number
        raise ConnectionError("reset by peer")

    out = []
    try:
        async for chunk in broken():
            out.append(chunk)
    except ConnectionError as error:
        out.append(str(error))
    return out


def test_stream_error_mid(tapes):
    (_, result), recording = tapes.record(stream_error_mid)
    assert result == [0, 1, 2, 3, "reset by peer"]
    assert_identical(replay(recording, stream_error_mid))


def test_concurrent_runs(tapes):
    """Fifty runs at once on one loop: each has a tape of its own, and each replays."""

    async def all_of_them():
        return await asyncio.gather(*(gather_distinct() for _ in range(50)))

    asyncio.run(all_of_them())
    tapes.newest()
    assert len(tapes.paths) == 50
    from tachograph.replay._recording import load

    for path in tapes.paths:
        assert_identical(replay(load(path), gather_distinct))


def test_running_loop(tapes):
    """What goes on beside the run on the same loop is neither counted nor recorded."""

    async def beside(stop):
        while not stop.is_set():  # noqa: ASYNC110 - timers of others are the point
            await asyncio.sleep(0.0005)

    async def server():
        stop = asyncio.Event()
        other = asyncio.create_task(beside(stop))
        result = await gather_distinct()
        stop.set()
        await other
        return result

    asyncio.run(server())
    recording = tapes.newest()
    assert not recording.leaks
    assert_identical(replay(recording, gather_distinct))


@tacho.run
async def woken_from_outside(loop_call):
    waiting = asyncio.get_running_loop().create_future()
    loop_call(waiting)
    await waiting
    return await model("after")


def test_leak_is_named_while_recording(tapes):
    """A wake-up that no effect explains is written down with the line that waited."""
    import threading

    def from_a_thread(waiting):
        loop = asyncio.get_running_loop()
        threading.Timer(0.01, lambda: loop.call_soon_threadsafe(waiting.set_result, 1)).start()

    _, recording = tapes.record(woken_from_outside, from_a_thread)
    assert len(recording.leaks) == 1
    assert "test_order.py" in recording.leaks[0]


@tacho.run
async def changed_at_the_end():
    out = []

    async def left():
        try:
            while True:
                await asyncio.sleep(0)
                out.append("turn")
        finally:
            out.append("cancelled")

    left_behind = asyncio.create_task(left())
    out.append(await model("one"))
    assert not left_behind.done()
    return out


def test_a_result_counts_as_it_was_given(tapes):
    """What tasks that are left behind make of it afterwards is no part of the run, then or now."""
    (_, value), recording = tapes.record(changed_at_the_end)
    assert value[-1] == "cancelled"
    result = replay(recording, changed_at_the_end)
    assert_identical(result)
    assert "cancelled" not in result.output


STUBBORN = []


@tacho.run
async def one_that_will_not_end():
    async def endless():
        while STUBBORN:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                STUBBORN.append("asked to end")

    left_behind = asyncio.create_task(endless())
    said = await model("now" if STUBBORN else "then")
    assert left_behind.done() is not bool(STUBBORN)
    return said


def test_a_task_that_will_not_end_does_not_hold_up_a_replay(tapes):
    """Whoever closes the loop would wait for it."""
    _, recording = tapes.record(one_that_will_not_end)
    STUBBORN.append("from now on")
    try:
        result = replay(recording, one_that_will_not_end)
    finally:
        asked = STUBBORN.count("asked to end")
        STUBBORN.clear()
    assert result.divergence.kind == "ARGS_CHANGED"
    assert asked
