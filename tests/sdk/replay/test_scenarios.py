"""More of the list of scenarios, by their names: identical, or told apart by the message that is promised."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
import uuid

import httpx
import numpy as np
import pytest
from taped import assert_identical

import tachograph as tacho
from tachograph.replay._run import replay

KNOBS = {}
HAPPENED = []


@pytest.fixture(autouse=True)
def fresh():
    KNOBS.clear()
    HAPPENED.clear()


@tacho.tool
async def tool(*args):
    await asyncio.sleep(random.random() * 0.002)
    HAPPENED.append(args)
    return [list(args), random.random()]


@tacho.tool
def sync_tool(*args):
    HAPPENED.append(args)
    return [list(args), random.random()]


@tacho.run
async def timeout_exact_race():
    """The result and the deadline come in the same tick."""

    @tacho.tool
    async def just_so():
        await asyncio.sleep(0.002)
        return "in time"

    out = []
    for _ in range(8):
        try:
            async with asyncio.timeout(0.002):
                out.append(await just_so())
        except TimeoutError:
            out.append("late")
    return out


@tacho.run
async def stream_tool_deltas():
    @tacho.model
    async def fragments():
        text = json.dumps({"city": "Bern", "days": random.randint(1, 9)})
        while text:
            size = random.randint(1, 5)
            await asyncio.sleep(0)
            yield {"tool_call": {"arguments": text[:size]}}
            text = text[size:]

    whole = ""
    async for delta in fragments():
        whole += delta["tool_call"]["arguments"]
    return await tool(json.loads(whole))


@tacho.run
async def uuid_ids():
    drawn = int(np.random.default_rng().integers(1 << 60))
    return [drawn, str(uuid.uuid4()), str(uuid.uuid1()), await tool(str(uuid.uuid4()))]


@tacho.run
def threads_map():
    """Threads that share nothing: each has its own answers."""

    def work(number):
        return [sync_tool(number), sync_tool(number)]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return list(pool.map(work, range(8)))


@tacho.run
def plain_threads():
    out = {}

    def work(name):
        out[name] = sync_tool(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [out[name] for name in "abc"]


@tacho.run
async def cleanup():
    """context-manager-cleanup: tools in ``finally`` blocks and in generators that are left open."""

    @contextlib.asynccontextmanager
    async def session(name):
        try:
            yield await tool("open", name)
        finally:
            await tool("close", name)

    async def numbers():
        try:
            for number in range(9):
                yield await tool(number)
        finally:
            await tool("left")

    async def one(name):
        async with session(name):
            await tool(name)
            if name == "b":
                raise ValueError(name)

    done = await asyncio.gather(*(one(name) for name in "abc"), return_exceptions=True)
    async with contextlib.aclosing(numbers()) as source:
        async for _ in source:
            break
    return [repr(each) for each in done]


@tacho.run
async def deep_agents():
    """recursion-depth: sub-agents within sub-agents."""

    @tacho.agent
    async def sub(depth):
        found = await tool(depth)
        return [found, await sub(depth - 1)] if depth else found

    await sub(200)
    return len(HAPPENED) > 0


@tacho.run
async def nested_boundary():
    """Only the outer tool is on the tape; what it does below is its own business."""

    @tacho.tool
    async def outer(number):
        inner = await tool(number)
        transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"n": number}))
        async with httpx.AsyncClient(transport=transport) as client:
            return [inner, (await client.get("http://local/x")).json()]

    return await asyncio.gather(*(outer(number) for number in range(3)))


@tacho.run
async def subprocess_tool():
    @tacho.tool
    async def version(word):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", f"print({word!r})"), stdout=subprocess.PIPE
        )
        HAPPENED.append("started")
        return (await process.communicate())[0].decode().strip()

    return await asyncio.gather(version("one"), version("two"))


@tacho.run
def database_and_file():
    @tacho.tool
    def query(text):
        with contextlib.closing(sqlite3.connect(":memory:")) as database:
            HAPPENED.append(text)
            return database.execute(text).fetchall()

    @tacho.effect
    def write(name, text):
        with open(KNOBS["folder"] / name, "a") as file:  # noqa: PTH123 - as tools do
            file.write(text)
        return os.stat(KNOBS["folder"] / name).st_size  # noqa: PTH116 - as above

    return query("select 1, 'two', 3.5"), write("note", "hello"), write("note", "again")


@tacho.run
async def human_approval():
    """The answer of a person is on the tape: nobody is asked again."""

    async def person(request, payload):
        HAPPENED.append("asked")
        return True

    decision = await tacho.approve_async("refund", params={"usd": 200}, approver=person)
    return bool(decision), await tool("refund")


IDENTICAL = [
    *(timeout_exact_race, stream_tool_deltas, uuid_ids, threads_map, plain_threads, cleanup),
    *(deep_agents, nested_boundary, subprocess_tool, database_and_file, human_approval),
]


@pytest.mark.parametrize("agent", IDENTICAL, ids=lambda each: each.__name__)
def test_identical(tapes, agent, tmp_path):
    """And nothing happens in the replay: no tool, no process, no file."""
    KNOBS["folder"] = tmp_path
    for _ in range(3):
        (outcome, value), recording = tapes.record(agent)
        assert outcome == "ok", value
        assert not recording.limits
        HAPPENED.append("last")
        before = list(HAPPENED)
        size = sum(path.stat().st_size for path in tmp_path.iterdir() if path.is_file())
        result = replay(recording, agent)
        assert_identical(result)
        assert before == HAPPENED
        assert size == sum(path.stat().st_size for path in tmp_path.iterdir() if path.is_file())


def test_nested_boundary_records_the_outer_one(tapes):
    _, recording = tapes.record(nested_boundary)
    assert [call.name for call in recording.calls] == ["nested_boundary.outer"] * 3


@tacho.run
def many_calls():
    for number in range(2_000):
        sync_tool(number)
    return len(HAPPENED) > 0


def test_recursion_depth(tapes):
    """Two thousand calls in one run."""
    _, recording = tapes.record(many_calls)
    HAPPENED.append("not empty")
    result = replay(recording, many_calls)
    assert_identical(result)
    assert result.effects == 2_000


@tacho.run
async def siblings():
    async def sub(name):
        return [name, await tool("same"), await tool("same")]

    return await asyncio.gather(*(sub(name) for name in KNOBS.get("names", "ab")))


def test_siblings_swapped(tapes):
    """Under one label the answers go by position; that names have changed places is seen in the result."""
    _, recording = tapes.record(siblings)
    KNOBS["names"] = "ba"
    found = replay(recording, siblings).divergence
    assert found.kind == "RESULT_CHANGED"
    assert '"a" -> "b"' in found.text()


def test_rename_function(tapes):
    """A tool that goes by another name now is called so, with its place."""

    @tacho.tool
    def fetch(number):
        return number

    @tacho.tool
    def renamed(number):
        return number

    KNOBS["tool"] = fetch

    @tacho.run
    def agent():
        return KNOBS["tool"](1)

    _, recording = tapes.record(agent)
    KNOBS["tool"] = renamed
    found = replay(recording, agent).divergence
    assert found.kind == "NAME_CHANGED"
    assert "fetch is called" in found.message
    assert "renamed now" in found.message


CACHE = {}


@tacho.run
def warm_cache():
    if "tools" not in CACHE:
        CACHE["tools"] = sync_tool("list tools")
    return sync_tool("use")


def test_warm_cache(tapes):
    """What was warm when it was recorded is cold in a replay: an extra call, not a swapped answer."""
    CACHE["tools"] = []
    _, recording = tapes.record(warm_cache)
    CACHE.clear()
    found = replay(recording, warm_cache).divergence
    assert found.kind == "ARGS_CHANGED"
    assert "sync_tool" in found.message
    assert found.step == 1


@tacho.run
async def to_thread_undeclared():
    """to-thread: work in threads that wakes the agent by itself."""
    loop, waiting = asyncio.get_running_loop(), asyncio.Event()
    threading.Thread(target=lambda: loop.call_soon_threadsafe(waiting.set)).start()
    await waiting.wait()
    return await tool("after")


def test_to_thread_leak(tapes):
    _, recording = tapes.record(to_thread_undeclared)
    (leak,) = recording.leaks
    assert "test_scenarios.py" in leak


@tacho.run
async def shared_counter():
    """threads-map with a lost update: the order of threads between effects is nobody's."""
    shared = {"n": 0}

    def work():
        for _ in range(3):
            before = shared["n"]
            sync_tool("between", before)
            shared["n"] = before + 1

    await asyncio.gather(*(asyncio.to_thread(work) for _ in range(2)))
    return shared["n"]


def test_threads_map_with_a_race_is_never_silent(tapes):
    """Identical, or a difference that names the call: the counter is an argument of each."""
    for _ in range(5):
        (_, result), recording = tapes.record(shared_counter)
        replayed = replay(recording, shared_counter)
        if replayed.identical:
            assert replayed.output == result
        else:
            assert replayed.divergence.kind in {"ARGS_CHANGED", "RESULT_CHANGED"}


@tacho.run
async def hash_order():
    return [await tool(name) for name in ("red", "green", "blue", "cyan")]


def test_sampled_telemetry(tapes):
    """The tape does not depend on spans: here none is exported at all."""
    _, recording = tapes.record(hash_order)
    assert len(recording.calls) == 4
    assert recording.run["env"]["hash_seed"] == os.environ.get("PYTHONHASHSEED", "random")
    assert_identical(replay(recording, hash_order))
