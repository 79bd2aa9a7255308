"""The agents of the tapes beside this file. Never edited, only added to: later versions must still replay them.

A tape is made with ``python record.py NAME`` in this folder.
"""

# Agents use the shared generator of numpy, whatever is better.
# ruff: noqa: NPY002

from __future__ import annotations

import asyncio
import queue
import random
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import PurePosixPath

import numpy as np

import tachograph as tacho


@dataclass
class Order:
    number: str
    usd: Decimal


class OutOfStockError(Exception):
    pass


@tacho.tool
async def look_up(number):
    await asyncio.sleep(random.random() * 0.01)
    return {"number": number, "paid": random.randint(10, 99)}


@tacho.tool
def stock(number):
    if number == "gone":
        raise OutOfStockError(number, 404)
    return (number, {1, 2, 3}, b"\x00\xff", float("nan"), PurePosixPath("/shelf/7"))


@tacho.effect
def refund(order: Order) -> str:
    return f"receipt {order.number} {order.usd}"


@tacho.model
async def speak(words):
    for word in words:
        await asyncio.sleep(random.random() * 0.002)
        yield word


@tacho.model
def recite(lines):
    return "\n".join(f"{number}: all work and no play" for number in range(lines))


@tacho.run(agent="desk")
async def desk(numbers):
    """Parallel lookups, the first that comes, a timer, a write."""
    tasks = [asyncio.create_task(look_up(number)) for number in numbers]
    first = await next(asyncio.as_completed(tasks))
    found = await asyncio.gather(*tasks)
    await asyncio.sleep(0.01)
    receipt = refund(Order(first["number"], Decimal("1.10") * first["paid"]))
    return {"first": first, "found": found, "receipt": receipt}


@tacho.run(agent="clerk")
def clerk():
    """Values, an exception of the program's own, clocks, random numbers and ids."""
    seen = stock("here")
    try:
        stock("gone")
    except OutOfStockError as error:
        missing = [type(error).__name__, *error.args]
    return {
        "seen": repr(sorted(seen[1])),
        "missing": missing,
        "at": [time.time(), datetime.now(UTC).isoformat()],
        "id": str(uuid.uuid4()),
        "lucky": [random.random(), random.choice("abc"), random.Random().randint(1, 6)],
    }


@tacho.run(agent="choir")
async def choir():
    """Two streams that are interleaved, one of them left early, and a race with a timeout."""
    heard = []

    async def listen(words, most):
        voice = speak(words)
        async for word in voice:
            heard.append(word)
            if len(heard) >= most:
                break
        await voice.aclose()

    await asyncio.gather(listen(["a", "b", "c"], 100), listen(["x", "y", "z"], 4))
    try:
        async with asyncio.timeout(0.02):
            await asyncio.Event().wait()
    except TimeoutError:
        heard.append("late")
    return heard


@tacho.run(agent="scribe")
async def scribe():
    """A payload that is stored apart, threads, and a nested agent."""
    long = recite(2_000)

    @tacho.agent
    async def count():
        return await asyncio.to_thread(recite, 3)

    return [len(long), await count(), await count()]


@tacho.run(agent="weavers", threads="exact")
def weavers():
    """Threads that take turns at one cloth, one of them giving up waiting."""
    cloth, thread = [], queue.Queue(1)

    def weave(number):
        for _ in range(3):
            cloth.append((number, len(cloth), len(recite(number))))
            thread.put(number)

    def sew():
        taken = 0
        while taken < 6:
            try:
                cloth.append(thread.get(timeout=0.0001))
                taken += 1
            except queue.Empty:
                cloth.append("waited")

    works = [threading.Thread(target=work) for work in (lambda: weave(1), lambda: weave(2), sew)]
    for work in works:
        work.start()
    for work in works:
        work.join()
    return cloth


@tacho.run(agent="gambler")
def gambler():
    """The shared generator of numpy, before, below and after an effect, and a secret that marks tell apart."""
    drawn = [int(np.random.randint(1_000_000))]
    drawn += [len(recite(drawn[0] % 10)), float(np.random.normal())]
    np.random.shuffle(drawn)
    return drawn, recite_with_key(f"sk-ant-api03-{'b' * 90}")


@tacho.tool
def recite_with_key(key):
    return len(key)


RUNS = {
    "gambler": gambler,
    "weavers": weavers,
    "desk": lambda: asyncio.run(desk(["a", "b", "c", "d"])),
    "clerk": clerk,
    "choir": lambda: asyncio.run(choir()),
    "scribe": lambda: asyncio.run(scribe()),
}

if __name__ == "__main__":
    tacho.init()
    print(RUNS[sys.argv[1]]())
