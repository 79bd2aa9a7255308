"""An agent that takes whichever answer comes first: a race that its recording does not show."""

from __future__ import annotations

import asyncio

import tachograph as tacho


@tacho.tool
async def fetch(name):
    # In this order when it is recorded: the bug does not show.
    await asyncio.sleep({"balance": 0.001, "limit": 0.02}.get(name, 0.001))
    return {"balance": 10, "limit": 50}[name]


@tacho.tool
async def pay(usd):
    return f"paid {usd}"


@tacho.run
async def racy():
    seen = []

    async def one(name):
        seen.append(await fetch(name))

    await asyncio.gather(one("balance"), one("limit"))
    return await pay(seen[0])  # whichever came first
