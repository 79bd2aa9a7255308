"""Agents whose threads share state and wait for each other in every way that the standard library has."""

from __future__ import annotations

import asyncio
import concurrent.futures as cf
import contextvars
import os
import queue
import random
import threading
import time

import tachograph as tacho

MODULE_LOCK = threading.Lock()
"""Made before any run."""


@tacho.tool
def tool(*args):
    time.sleep(random.uniform(0, 0.002))
    return random.randrange(1_000_000)


@tacho.tool
def broken(*args):
    time.sleep(random.uniform(0, 0.001))
    raise ValueError(f"no {args}")


@tacho.tool
def letters(word):
    for letter in word:
        time.sleep(random.uniform(0, 0.0005))
        yield letter


def compute(rounds):
    """Long enough to be interrupted in between."""
    total = 0
    for _ in range(rounds):
        total += 1
    return total


def started(*works):
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    return threads


def joined(*works):
    for thread in started(*works):
        thread.join()


@tacho.run(threads="exact")
def threads_map():
    """threads-map: a shared list and a lost update between effects."""
    pad, total = [], {"n": 0}

    def work(number):
        for step in range(4):
            pad.append([number, step, tool(number, step, len(pad))])
            before = total["n"]
            compute(40 + number * 37 + step * 11)
            total["n"] = before + 1
            pad.append(["n", before])

    with cf.ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    return [pad, total["n"], tool(len(pad), total["n"])]


@tacho.run(threads="exact")
def threads_as_completed():
    """threads-as-completed: the order in which futures of a pool are done."""
    with cf.ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(lambda k: (k, tool(k), tool(k, "b")), k) for k in range(8)]
        first, rest = cf.wait(futures, timeout=30, return_when=cf.FIRST_COMPLETED)
        order = [future.result() for future in cf.as_completed(futures, timeout=30)]
        return [len(first), len(rest), order]


@tacho.run(threads="exact")
def queues_and_conditions():
    """A bounded queue whose consumers give up now and then, a lock that is held across an effect, a condition."""
    items, out, got, enough = queue.Queue(2), [], [], threading.Condition()

    def producer(number):
        for step in range(4):
            items.put((number, step, tool(number, step)))

    def consumer():
        while True:
            try:
                item = items.get(timeout=0.001)
            except queue.Empty:
                out.append("empty")
                item = items.get()
            if item is None:
                return
            with MODULE_LOCK:
                out.append((item, tool("under a lock", len(out))))
            with enough:
                got.append(item)
                enough.notify()

    makers = started(*(lambda k=k: producer(k) for k in range(3)))
    takers = started(consumer, consumer)
    with enough:
        enough.wait_for(lambda: len(got) == 12, timeout=30)
    for thread in makers:
        thread.join()
    for _ in takers:
        items.put(None)
    for thread in takers:
        thread.join(timeout=30)
    return out


@tacho.run(threads="exact")
def primitives():
    """Events, semaphores, barriers, re-entrant locks, timers, simple queues, sleeping."""
    out, gate, two = [], threading.Event(), threading.Semaphore(2)
    meet, again, ring = threading.Barrier(3), threading.RLock(), queue.SimpleQueue()
    inside = threading.Condition(again)

    def work(number):
        out.append(("waited", gate.wait(0.0005), number))
        gate.wait()
        with two:
            out.append((number, tool(number, len(out))))
        with again, again:
            out.append((number, "twice", tool(number)))
            with inside:
                inside.wait(timeout=0.001)
            out.append((number, "after"))
        out.append((number, meet.wait(timeout=30) in range(3)))
        time.sleep(random.random() / 1000)
        ring.put((number, len(out)))

    threads = started(*(lambda k=k: work(k) for k in range(3)))
    timer = threading.Timer(0.002, gate.set)
    timer.start()
    out.extend(ring.get() for _ in threads)
    try:
        ring.get(timeout=0.001)
    except queue.Empty:
        out.append("no more")
    for thread in [*threads, timer]:
        thread.join()
    return out


@tacho.run(threads="exact")
def nested_pools():
    """Pools in threads of pools, and work that was wrapped into a context of its own."""
    out = []

    def leaf(*path):
        out.append((path, tool(*path, len(out))))
        return len(out)

    def branch(number):
        with cf.ThreadPoolExecutor(2) as inner:
            futures = [
                inner.submit(contextvars.copy_context().run, leaf, number, step)
                for step in range(3)
            ]
            return [future.result(timeout=30) for future in futures]

    with cf.ThreadPoolExecutor(2) as outer:
        return [list(outer.map(branch, range(3))), out]


@tacho.run(threads="exact")
def failing():
    """Exceptions in threads, futures that are cancelled, a result that is late."""
    out = []

    def work(number):
        try:
            return broken(number)
        finally:
            out.append(("finally", number, tool(number)))

    def slow():
        return [tool("slow", step) for step in range(20)][-1]

    with cf.ThreadPoolExecutor(2) as pool:
        for future in cf.as_completed([pool.submit(work, number) for number in range(4)]):
            out.append(repr(future.exception()))
        late = pool.submit(slow)
        try:
            out.append(late.result(timeout=0.002))
        except TimeoutError:
            out.append("late")
        queued = [pool.submit(work, number) for number in range(4, 8)]
        out.append([future.cancel() for future in queued])
        out.append(late.result())
    return out


@tacho.run(threads="exact")
def daemons():
    """A thread that is left behind, in the middle of its work."""
    seen, stop = [], threading.Event()

    def background():
        while not stop.wait(0.0005):
            seen.append(tool("tick", len(seen)))

    threading.Thread(target=background, daemon=True, name="left behind").start()
    try:
        return [tool("main", len(seen)) for _ in range(6)], list(seen)
    finally:
        stop.set()


@tacho.run(threads="exact")
def readings():
    """Streams, clocks and chance in threads."""
    out = []

    def work(number):
        for letter in letters("abc"):
            out.append((number, letter, random.random(), time.time(), os.environ.get("HOME")))

    joined(*(lambda k=k: work(k) for k in range(3)))
    return out


@tacho.run(threads="exact")
def hundred():
    """A hundred threads at one counter."""
    total, lock, done = {"n": 0}, threading.Lock(), []

    def work(number):
        before = total["n"]
        tool(number, before)
        with lock:
            total["n"] = before + 1
            done.append(number)

    joined(*(lambda k=k: work(k) for k in range(100)))
    return total["n"], done


@tacho.tool
async def atool(*args):
    await asyncio.sleep(random.uniform(0, 0.002))
    return random.randrange(1_000_000)


@tacho.run(threads="exact")
async def to_threads():
    """to-thread: threads of an event loop, and its own tasks, at one list."""
    out = []

    def work(number):
        for step in range(3):
            before = len(out)
            out.append((number, step, tool(number, before)))
        return len(out)

    async def task(number):
        for step in range(3):
            out.append((number, step, await atool(number, len(out))))
            await asyncio.sleep(0.0005)
        return len(out)

    mine = [task(number) for number in range(2)]
    return await asyncio.gather(*mine, *(asyncio.to_thread(work, k) for k in range(4))), out


@tacho.run(threads="exact")
async def pools_beside_tasks():
    """Threads that a coroutine starts and waits for by itself, beside tasks that go on."""
    out, ring = [], queue.SimpleQueue()

    def work(number):
        out.append((number, tool(number, len(out))))
        ring.put(number)

    async def task():
        while len(out) < 6:
            out.append(await atool(len(out)))

    going = asyncio.create_task(task())
    threads = started(*(lambda k=k: work(k) for k in range(3)))
    out.append(await atool("between"))
    out.extend(ring.get(timeout=30) for _ in range(2))
    with cf.ThreadPoolExecutor(2) as pool:
        loop = asyncio.get_running_loop()
        out.append(await loop.run_in_executor(pool, work, 9))
        out.append(list(pool.map(tool, range(3))))
    for thread in threads:
        thread.join()
    await going
    return out


@tacho.run(threads="exact")
def loop_beside_threads():
    """A program without a loop that runs one for a while, threads going on."""
    out = []

    def work(number):
        for _ in range(4):
            out.append((number, tool(number, len(out))))

    async def inside():
        await asyncio.gather(*(atool(number, len(out)) for number in range(3)))
        out.append(await atool(len(out)))

    threads = started(*(lambda k=k: work(k) for k in range(3)))
    asyncio.run(inside())
    out.append("after the loop")
    for thread in threads:
        thread.join()
    return out


@tacho.run(threads="exact")
def consumed():
    """A generator, whose threads go on while its consumer has the word."""
    out = []

    def work(number):
        for _ in range(3):
            out.append((number, tool(number, len(out))))

    threads = started(*(lambda k=k: work(k) for k in range(2)))
    for _ in range(3):
        yield len(out)
        out.append(tool("main", len(out)))
    for thread in threads:
        thread.join()
    tool("end", out)


EXACT = [
    *(threads_map, threads_as_completed, queues_and_conditions, primitives, nested_pools),
    *(failing, daemons, readings, hundred, to_threads, pools_beside_tasks, loop_beside_threads),
]
