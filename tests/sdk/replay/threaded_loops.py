"""Agents whose event loops and pools wait for each other."""

from __future__ import annotations

import asyncio
import concurrent.futures as cf
import threading

from threaded import atool, started, tool

import tachograph as tacho


def opened(gate):
    return gate.wait()


@tacho.run(threads="exact")
async def futures_awaited():
    """Futures of a pool that coroutines wait for, one of which is given up."""
    out, gate = [], threading.Event()

    def work(number):
        out.append((number, tool(number, len(out))))
        return number

    async def wait_for(future):
        out.append(("done", await asyncio.wrap_future(future)))

    with cf.ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(work, number) for number in range(5)]
        await asyncio.gather(*map(wait_for, futures))
        out.append(await atool(len(out)))
        blockers = [pool.submit(opened, gate) for _ in range(2)]
        queued = asyncio.wrap_future(pool.submit(work, "never"))
        await asyncio.sleep(0.001)
        queued.cancel()
        await asyncio.gather(queued, return_exceptions=True)
        gate.set()
        out.extend(await asyncio.gather(*map(asyncio.wrap_future, blockers)))
    return out


def served(loop):
    """What a thread of a library does that runs an event loop for whoever needs it."""
    asyncio.set_event_loop(loop)
    loop.run_forever()


@tacho.run(threads="exact")
def loops_that_close():
    """Loops whose own threads are at work when they close, beside one that serves, in a thread of its own."""
    out, serving = [], asyncio.new_event_loop()
    server = threading.Thread(target=served, args=(serving,))
    server.start()

    def work(number):
        for _ in range(2):
            out.append((number, tool(number, len(out))))

    async def inside():
        asyncio.get_running_loop().run_in_executor(None, work, "left")
        await asyncio.to_thread(work, "waited for")

    threads = started(lambda: work("beside"))
    for _ in range(2):
        asyncio.run(inside())
        out.append("closed")
    threads[0].join()
    serving.call_soon_threadsafe(serving.stop)
    server.join()
    serving.close()
    return out
