"""Runs beside each other: how they ended, what they cost, what came of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tachograph.cli.connection import reading
from tachograph.cli.problem import Problem
from tachograph.cli.table import align
from tachograph.cli.terminal import cells, fit, width
from tachograph_schemas import words

_PATIENCE_S = 10.0
_PAUSE_S = 0.1
_HEAD = ("", "run", "ended", "steps", "tokens", "cost", "took", "result")


@dataclass(slots=True)
class Outcome:
    """One run in the table; ``None`` is unknown."""

    run_id: str
    ended: str
    steps: int | None = None
    tokens: int | None = None
    cost_usd: float | None = None
    took_s: float | None = None
    result: str = ""


def outcomes_of(run_ids: Sequence[str]) -> dict[str, Outcome]:
    """What the storage knows of runs. Waits some seconds for those that have just ended; empty when it is not there."""
    try:
        with reading() as client:
            from tachograph_schemas import queries

            found: dict[str, Outcome] = {}
            deadline = time.monotonic() + _PATIENCE_S
            while True:
                for run_id in run_ids:
                    row = queries.run(client, run_id) if run_id and run_id not in found else None
                    if row is not None and row.outcome != "running":
                        found[run_id] = Outcome(
                            run_id,
                            row.outcome,
                            row.model_calls + row.tool_calls,
                            row.total_tokens,
                            row.cost_usd,
                            row.duration_ns / 1e9,
                        )
                # The first is the recorded run, which another storage may have.
                if time.monotonic() > deadline or all(run_id in found for run_id in run_ids[1:]):
                    return found
                time.sleep(_PAUSE_S)
    except Problem:
        return {}


def table(rows: Sequence[tuple[str, Outcome]]) -> Iterator[str]:
    """Lines of a table, for the terminal."""
    lines = [[*_HEAD], *([label, *_cells(row)] for label, row in rows)]
    align(lines, _HEAD.index("cost"))
    widths = [max(cells(line[at]) for line in lines) for at in range(len(_HEAD) - 1)]
    left = max(width() - sum(widths) - 2 * len(widths), 20)
    for line in lines:
        fixed = [
            fit(text, columns, right=at in {3, 4, 5, 6})
            for at, (text, columns) in enumerate(zip(line, widths, strict=False))
        ]
        yield "  ".join([*fixed, fit(line[-1], left)]).rstrip()


def _cells(row: Outcome) -> tuple[str, ...]:
    return (
        row.run_id[:8],
        row.ended,
        "-" if row.steps is None else f"{row.steps:,}",
        "-" if row.tokens is None else f"{row.tokens:,}",
        "-" if row.cost_usd is None else words.usd(row.cost_usd),
        "-" if row.took_s is None else words.duration(round(row.took_s * 1e9)),
        words.plain(row.result),
    )
