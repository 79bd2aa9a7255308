"""Tasks that start eagerly, and loops of uvloop that plain code runs: recorded exactly, and as they are."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest
import uvloop
from taped import assert_identical, call

import tachograph as tacho
from tachograph.replay._recording import RecordingError
from tachograph.replay._run import replay

HAS_EAGER = hasattr(asyncio, "eager_task_factory")


@tacho.tool
async def tool(number):
    await asyncio.sleep(number % 3 / 1000)
    return number


@tacho.tool
async def at_once(number):
    return number


@tacho.tool
async def stream():
    yield 1
    await asyncio.sleep(0)
    yield 2


async def part(number, log):
    log.append(f"{number} begins")
    # In a replay it waits, and then the one that made this task goes on first.
    log.append(await at_once(number))
    await tool(number)
    async for item in stream():
        log.append(item)
    log.append(f"{number} ends")


async def whole():
    log = []
    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(part(number, log))
        log.append("created")
    left = {asyncio.create_task(part(number, log)) for number in (4, 5)}
    await asyncio.wait(left)
    return log


@tacho.run
async def agent():
    return await whole()


@tacho.run
def on_own_loop():
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(whole())
    finally:
        loop.close()


def test_run_until_complete_of_uvloop(tapes):
    """Recorded with its order, in plain code too."""
    call(on_own_loop)
    recording = tapes.newest()
    assert len(recording.deliveries) >= 6
    assert_identical(replay(recording, on_own_loop))


@pytest.mark.skipif(not HAS_EAGER, reason="Python 3.12 on")
def test_eager_tasks_are_recorded(tapes):
    """They make their first step where they are created, while recording and in a replay."""

    def new_loop():
        loop = asyncio.new_event_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        return loop

    outcome, recording = tapes.record(agent, new_loop=new_loop)
    assert outcome[1][:5] == [*(f"{number} begins" for number in range(4)), "created"]
    assert_identical(replay(recording, agent))


@pytest.mark.skipif(HAS_EAGER, reason="before Python 3.12")
def test_eager_tasks_need_a_later_python(tapes):
    """It is said, and not tried."""
    _, recording = tapes.record(agent)
    recording.run["tasks"] = "eager"
    with pytest.raises(RecordingError, match=r"3\.12"):
        replay(recording, agent)


@tacho.tool
def missing():
    with open("/nowhere/at-all") as file:  # noqa: PTH123 - what an agent does
        return file.read()


@tacho.run
def told():
    times = time.strftime("%H:%M:%S"), time.ctime(), time.localtime().tm_sec, tuple(time.gmtime())
    try:
        missing()
    except OSError as error:
        return str(error), error.filename, times
    sys.exit("the file is there")


def test_names_of_files_and_times_without_arguments(tapes):
    """An exception says which file it was about; the clock behind ``strftime`` is a recorded one."""
    outcome = call(told)
    recording = tapes.newest()
    assert outcome[1][:2] == (
        "[Errno 2] No such file or directory: '/nowhere/at-all'",
        "/nowhere/at-all",
    )
    began_s = time.time()
    while time.time() // 1 == began_s // 1:  # another second than the recorded one
        time.sleep(0.01)
    assert_identical(replay(recording, told))
