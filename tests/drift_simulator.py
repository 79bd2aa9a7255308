"""A seeded simulator of one agent's runs, after what real ones look like.

About 115 runs a day with a daily and a weekly rhythm; the mix of tasks follows the clock; cost is log-normal with a Pareto
tail; latency is autocorrelated; the calls of a run come in clusters of the same tool. All metrics of a run share how hard
its task is.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from tachograph_schemas.drift.points import RunPoint

RUNS_A_DAY = 115
LEARNT = 1_050
MONITORED = 3_000
START_NS = 1_790_553_600 * 10**9  # a Monday
TASKS = ("refund", "order status", "complaint", "address change")
TOOLS = ("orders.get", "customers.get", "refunds.make", "mail.send", "notes.add", "search")
_NIGHT, _DAY = (0.15, 0.55, 0.1, 0.2), (0.35, 0.3, 0.2, 0.15)
_HARDNESS = {"refund": 0.35, "order status": -0.45, "complaint": 0.6, "address change": -0.2}
_TOOL_WEIGHTS = {
    "refund": (5, 2, 3, 2, 1, 1),
    "order status": (6, 2, 0.3, 1, 0.5, 2),
    "complaint": (3, 3, 1, 3, 3, 2),
    "address change": (1, 5, 0.1, 2, 1, 1),
}
_SHAPES = ("object order,status", "object order,refund,status", "text", "object error")
_ERRORS = ("TimeoutError", "RateLimitError", "ValueError", "KeyError")


@dataclass(frozen=True)
class Change:
    """What is different after ``LEARNT`` runs; nothing by default."""

    cost: float = 1.0
    latency: float = 1.0
    failures: float = 0.0  # added share of runs
    validations: float = 0.0
    tool_share: float = 0.0  # of all calls, moved from orders.get to search
    slow_runs: int = 0  # over how many runs it grows; 0: at once


def runs(
    seed: int, change: Change = Change(), count: int = LEARNT + MONITORED, version: str = "v1"
) -> Iterator[RunPoint]:
    """The runs of one agent, oldest first; the change begins behind ``LEARNT`` of them."""
    chance = random.Random(seed)
    now_s, slowness = 0.0, 0.0
    for number in range(count):
        now_s += _pause_s(chance, now_s)
        slowness = 0.6 * slowness + 0.8 * chance.gauss(0, 1)
        strength = _strength(change, number)
        yield _run(chance, number, now_s, slowness, change, strength, version)


def _strength(change: Change, number: int) -> float:
    if number < LEARNT:
        return 0.0
    return min(1.0, (number - LEARNT + 1) / change.slow_runs) if change.slow_runs else 1.0


def _pause_s(chance: random.Random, now_s: float) -> float:
    hour, weekday = now_s / 3600 % 24, int(now_s // 86_400) % 7
    load = (0.35 + 1.3 * max(0.0, math.sin((hour - 6) / 14 * math.pi))) * (
        0.4 if weekday >= 5 else 1.2
    )
    return chance.expovariate(RUNS_A_DAY / 86_400 * load)


def _run(chance, number, now_s, slowness, change, strength, version) -> RunPoint:
    hour = now_s / 3600 % 24
    task = chance.choices(TASKS, _DAY if 8 <= hour < 18 else _NIGHT)[0]
    hard = _HARDNESS[task] + chance.gauss(0, 0.5)
    cost = 0.02 * math.exp(0.7 * hard + chance.gauss(0, 0.8))
    if chance.random() < 0.03:
        cost *= chance.paretovariate(1.5)
    cost *= change.cost**strength
    calls = _calls(chance, task, hard, change.tool_share * strength)
    failed = chance.random() < 0.06 * math.exp(0.4 * hard) + change.failures * strength
    invalid = chance.random() < 0.07 * math.exp(0.3 * hard) + change.validations * strength
    seconds = 8 * math.exp(0.5 * hard + 0.35 * slowness) * change.latency**strength
    values = {
        "cost_usd": cost,
        "working_s": seconds,
        "input_tokens": round(4_000 * math.exp(0.6 * hard + chance.gauss(0, 0.4))),
        "output_tokens": round(500 * math.exp(0.5 * hard + chance.gauss(0, 0.5))),
        "steps": len(calls) + 2 + chance.randrange(3),
        "output_chars": round(300 * math.exp(0.2 * hard + chance.gauss(0, 0.6))),
        "failed": float(failed),
        "validation_failed": float(invalid),
        "gate_denied": float(chance.random() < 0.03),
        "ending": {"failure" if failed else "success": 1.0},
        "output_shape": {chance.choices(_SHAPES, (5, 3, 2, 6 if failed else 0.1))[0]: 1.0},
    }
    if calls:
        values["tools"] = shares(calls)
    if len(calls) > 1:
        values["tool_order"] = shares([f"{a} > {b}" for a, b in pairwise(calls)])
    if invalid:
        values["repaired"] = float(chance.random() < 0.8)
    if failed or chance.random() < 0.1:
        values["errors"] = {chance.choices(_ERRORS, (4, 3, 2, 1))[0]: 1.0}
    if task == "refund" and chance.random() < 0.3:
        values["approval_refused"] = float(chance.random() < 0.1)
    return RunPoint(f"run-{number:06d}", START_NS + int(now_s * 1e9), "", version, values)


def _calls(chance: random.Random, task: str, hard: float, moved: float) -> list[str]:
    count = max(1, round(4 * math.exp(0.5 * hard + chance.gauss(0, 0.4))))
    calls: list[str] = []
    while len(calls) < count:
        # The same tool several times in a row: calls are no independent draws, runs are.
        calls += [chance.choices(TOOLS, _TOOL_WEIGHTS[task])[0]] * chance.choice((1, 1, 2, 3))
    if moved:
        share = calls.count("orders.get") / len(calls)
        chance_each = min(1.0, moved / 0.37) if share else 0.0
        calls = [
            "search" if c == "orders.get" and chance.random() < chance_each else c for c in calls
        ]
    return calls[:count]


def shares(things: list[str]) -> dict[str, float]:
    """The share of each."""
    return {name: n / len(things) for name, n in Counter(things).items()}
