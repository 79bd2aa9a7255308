"""Recording is on by default: it changes nothing that an agent does, and steps back where it cannot be exact."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import pickle
import random
import sys
import threading
import time
import uuid

import anyio
import pytest
from taped import assert_identical

import tachograph as tacho
from tachograph.replay import _tape
from tachograph.replay._codec import NODES_LIMIT, PLAIN_LIMIT, dumps
from tachograph.replay._recording import RecordingError
from tachograph.replay._run import replay

TASKS = []


@tacho.tool
async def tool(number):
    TASKS.append(asyncio.current_task())
    await asyncio.sleep(random.random() * 0.002)
    return [number, random.random()]


@tacho.tool
async def by_hand(number):
    return number + 1


@tacho.model
async def words():
    for word in "abc":
        yield word


@tacho.run
async def several():
    out = await asyncio.gather(*(tool(number) for number in range(3)))
    return [*out, [word async for word in words()], time.time()]


@tacho.run
async def without_a_loop():
    return [await by_hand(1), [word async for word in words()]]


def refuses(recording, why):
    with pytest.raises(RecordingError, match=why):
        recording.check_replayable()
    return True


def test_anyio_trio(tapes):
    """A run on something else than asyncio goes on as it is, and its recording says why it cannot be replayed."""
    running = without_a_loop()
    with pytest.raises(StopIteration) as ended:
        running.send(None)
    assert ended.value.value == [2, ["a", "b", "c"]]
    recording = tapes.newest()
    assert refuses(recording, "does not run on asyncio")
    assert [call.name for call in recording.calls] == ["by_hand", "words"]
    with pytest.raises(RecordingError, match="light mode"):
        replay(recording, without_a_loop)


class LoopOfOthers(asyncio.SelectorEventLoop):
    """Stands for the loops of frameworks, which may do anything."""


def eager_factory(loop, coro, **options):
    return asyncio.Task(coro, loop=loop, **options)


def eager_loop():
    loop = asyncio.new_event_loop()
    loop.set_task_factory(eager_factory)
    return loop


def changed_loop():
    loop = asyncio.new_event_loop()
    loop.call_soon = type(loop).call_soon.__get__(loop)
    return loop


@pytest.mark.parametrize(
    ("new_loop", "why"),
    [(LoopOfOthers, "LoopOfOthers"), (eager_loop, "eagerly"), (changed_loop, "something else")],
    ids=["of-others", "eager-tasks", "changed"],
)
def test_eager_tasks_and_other_loops(tapes, new_loop, why):
    """Effects happen in the tasks of the agent itself, and nothing of the loop is touched."""
    (outcome, result), recording = tapes.record(several, new_loop=new_loop)
    assert outcome == "ok"
    assert [each[0] for each in result[:3]] == [0, 1, 2]
    assert refuses(recording, why)
    assert not recording.reads
    assert not recording.deliveries


def test_light_mode_moves_nothing(tapes):
    """Digests only, no tasks of ours, no readings; the same calls as in exact mode."""
    (_, _), exact = tapes.record(several)
    tapes.session.light, tapes.session.redact = True, _tape.digest_of
    TASKS.clear()

    @tacho.run
    async def one():
        await tool(1)
        return asyncio.current_task() is TASKS[0]

    (_, same_task), _ = tapes.record(one)
    assert same_task
    (_, _), light = tapes.record(several)
    assert refuses(light, "light mode")
    assert not light.reads
    names = [sorted(call.name for call in each.calls) for each in (exact, light)]
    assert names[0] == names[1]


@tacho.run
def two_loops():
    barrier = threading.Barrier(2)

    async def inside():
        await asyncio.to_thread(barrier.wait, 30)
        return await tool(1)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        done = [pool.submit(asyncio.run, inside()) for _ in range(2)]
        return [each.result(30)[0] for each in done]


def test_several_loops_at_once(tapes):
    """sync-in-async-bridge: two loops in threads of one run are declared as not supported while recording."""
    (outcome, result), recording = tapes.record(two_loops)
    assert (outcome, result) == ("ok", [1, 1])
    assert refuses(recording, "several event loops")


def test_effects_on_a_loop_of_others(tapes):
    """sync-in-async-bridge: run_coroutine_threadsafe onto a loop that serves others."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    @tacho.run
    def bridged():
        return asyncio.run_coroutine_threadsafe(tool(5), loop).result(30)[0]

    try:
        (outcome, result), recording = tapes.record(bridged)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
    assert (outcome, result) == ("ok", 5)
    assert refuses(recording, "loop of others")


@tacho.run
async def cancel_scopes():
    out = []
    with anyio.move_on_after(0.005) as scope:
        await slow()
    out.append(scope.cancelled_caught)
    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(keep, out, number)
    with anyio.move_on_after(30) as scope:
        await tool(7)
    return [*out, scope.cancelled_caught]


async def keep(out, number):
    out.append(await tool(number))


@tacho.tool
async def slow():
    await asyncio.sleep(30)


def test_anyio_scopes(tapes):
    """anyio-trio: cancel scopes know their own cancellation, task groups replay."""
    for _ in range(3):
        (outcome, result), recording = tapes.record(cancel_scopes)
        assert outcome == "ok", result
        assert result[0] is True
        assert result[-1] is False
        assert_identical(replay(recording, cancel_scopes))


@tacho.run
async def long_one():
    for number in range(200):
        await by_hand("x" * 100 + str(number)) if number < 0 else await by_hand(number)
    return "x" * 1_000


def test_a_tape_that_is_full(tapes, monkeypatch):
    """The agent goes on; what is missing is counted on the tape, and the replay refuses."""
    monkeypatch.setattr(_tape, "TAPE_LIMIT_BYTES", 12_000)
    monkeypatch.setattr(_tape, "_QUEUE_LIMIT_BYTES", 500)
    (outcome, _), recording = tapes.record(long_one)
    assert outcome == "ok"
    assert refuses(recording, r"\d+ records are missing on its tape: it is too large")


def test_all_tapes_of_a_process_have_a_bound(tapes, monkeypatch):
    monkeypatch.setattr(_tape, "_QUEUE_LIMIT_BYTES", 500)
    tapes.session.room = _tape.Room(12_000)
    (outcome, _), recording = tapes.record(long_one)
    assert outcome == "ok"
    assert refuses(recording, "are missing")
    assert tapes.session.room.take(12_000)  # all of it is free again


def test_a_disk_that_cannot_be_written(tapes, tmp_path):
    """No tape then, and nothing else."""
    (tmp_path / "file").write_text("")
    tapes.session.directory = tmp_path / "file"
    assert asyncio.run(long_one()) == "x" * 1_000
    assert tapes.session.drain.wait(30)


def test_large_values_do_not_hold_the_agent_up():
    """They are opaque, whatever they are made of."""
    assert dumps([0] * (PLAIN_LIMIT + 1))[1]
    assert dumps([(0,)] * (NODES_LIMIT + 1))[1]
    assert dumps([[0] * 10] * 1_000) == (f"[{','.join(['[0,0,0,0,0,0,0,0,0,0]'] * 1_000)}]", [])


@pytest.mark.parametrize("function", [time.time, time.sleep, os.urandom, uuid.uuid1])
def test_what_is_replaced_can_be_pickled(tapes, function):
    now = getattr(sys.modules[function.__module__], function.__name__)
    assert pickle.loads(pickle.dumps(now)) == now


def test_looking_at_a_dataclass_runs_none_of_its_code(tapes):
    """An attribute that fetches something when it is looked at is not looked at."""
    import dataclasses

    fetched = []

    class Lazy:
        def __get__(self, instance, owner):
            if instance is None:
                return 0
            fetched.append(instance)
            return 1

        def __set__(self, instance, value):
            pass

    @dataclasses.dataclass
    class Row:
        name: str
        lazy: int = Lazy()

    assert dumps(Row("a"))[1]
    assert not fetched
