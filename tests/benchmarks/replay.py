"""What recording for replay costs an effect, and how fast a replay is: ratios in one process, rounds interleaved."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk" / "replay"))

from taped import taping

import tachograph as tacho
from tachograph import _call
from tachograph.replay._run import replay
from tachograph.replay._tape import digest_of

ROUNDS, CALLS = 15, 400


@tacho.tool
async def nothing(number: int) -> int:
    return number


@tacho.tool
def nothing_sync(number: int) -> int:
    return number


@tacho.run
async def many() -> float:
    started_s = clock()
    for number in range(CALLS):
        await nothing(number)
    return (clock() - started_s) / CALLS * 1e6


@tacho.run
def many_sync() -> float:
    started_s = clock()
    for number in range(CALLS):
        nothing_sync(number)
    return (clock() - started_s) / CALLS * 1e6


@tacho.run
async def readings() -> float:
    started_s = clock()
    for _ in range(CALLS):
        time.time()
    return (clock() - started_s) / CALLS * 1e6


@tacho.run
async def long_run(last: int) -> int:
    for number in range(1_000):
        await nothing(number if number < 999 else last)
    return 0


@tacho.tool
async def model_call(turn: int) -> str:
    await asyncio.sleep(0.4)
    return f"turn {turn}"


@tacho.run
async def eight_turns() -> list[str]:
    return [await model_call(turn) for turn in range(8)]


clock = time.thread_time
"""CPU of the agent's thread: what waits for others is not ours."""


def run() -> None:
    """Print microseconds an effect with and without a tape, and effects a second in replay."""
    with tempfile.TemporaryDirectory() as folder, taping(Path(folder)) as tapes:
        hook, exact = _call.tape_hook, tapes.session.redact
        rows: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for name, agent in (("async effect", many), ("effect", many_sync), ("clock", readings)):
                _call.tape_hook = None
                rows.setdefault(f"{name}, spans alone", []).append(measured(agent))
                _call.tape_hook = hook
                for mode in ("light", "exact"):
                    tapes.session.light = mode == "light"
                    tapes.session.redact = digest_of if tapes.session.light else exact
                    rows.setdefault(f"{name}, {mode}", []).append(measured(agent))
        print("| call | CPU of the caller, us, p50 |\n| --- | --- |")
        for name, values in rows.items():
            print(f"| {name} | {statistics.median(values):.1f} |")
        _, recording = tapes.record(long_run, 999)
        bytes_each = sum(len(str(record)) for record in recording.records) / 1_000
        speeds = []
        for _ in range(5):
            started_s = time.perf_counter()
            # The clock inside reads other times, so compare the run that reads none.
            assert replay(recording, long_run).identical
            speeds.append(1_000 / (time.perf_counter() - started_s))
        print(
            f"\nreplay: {statistics.median(speeds):,.0f} effects/s; {bytes_each:.0f} bytes an effect"
        )

        recording.run["args"]["last"] = -1
        started_s = time.perf_counter()
        found = replay(recording, long_run).divergence
        spent_s = time.perf_counter() - started_s
        print(f"first difference of 1,000 steps (step {found.step}) found in {spent_s:.3f} s")
        waiting(tapes)


def waiting(tapes) -> None:
    """How much faster a replay is where the agent waits for a model: by the clock, the median of nine replays."""
    began_s = time.perf_counter()
    _, recording = tapes.record(eight_turns)
    recorded_s = time.perf_counter() - began_s
    spent_s = []
    for _ in range(9):
        began_s = time.perf_counter()
        assert replay(recording, eight_turns).identical
        spent_s.append(time.perf_counter() - began_s)
    print(
        f"8 turns of 400 ms: replayed {recorded_s / statistics.median(spent_s):,.0f} times as fast as recorded"
    )


def measured(agent) -> float:
    result = agent()
    return asyncio.run(result) if asyncio.iscoroutine(result) else result
