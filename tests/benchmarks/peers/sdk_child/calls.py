"""The calls that every SDK records: an argument of about 1 KB as JSON, a result of 1 KB, both marked."""

from __future__ import annotations

import random
from typing import Any

WORDS = [
    "agent",
    "answer",
    "budget",
    "cluster",
    "context",
    "customer",
    "deploy",
    "index",
    "invoice",
    "latency",
    "merge",
    "model",
    "order",
    "plan",
    "policy",
    "prompt",
    "query",
    "refund",
    "region",
    "result",
    "retry",
    "review",
    "score",
    "search",
    "step",
    "ticket",
    "token",
    "tool",
    "vector",
    "window",
]


def _text(dice: random.Random, size_bytes: int) -> str:
    return " ".join(dice.choices(WORDS, k=size_bytes // 4 + 1))[:size_bytes]


def make(number: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Arguments and results; each holds a marker by which the sink tells them apart."""
    dice = random.Random(11)
    arguments, results = [], []
    for i in range(number):
        messages = [
            {"role": "system", "content": _text(dice, 250)},
            {"role": "user", "content": _text(dice, 380)},
        ]
        limits = {"top_k": 5, "temperature": 0.7, "stream": False}
        filters = {"language": "en", "tags": ["alpha", "beta"], "since": 1_700_000_000 + i}
        arguments.append(
            {"id": f"TPA{i:08d}", "i": i, "query": _text(dice, 170), "messages": messages}
            | {"limits": limits, "filters": filters}
        )
        results.append(f"TPR{i:08d} {_text(dice, 1012)}")
    return arguments, results
