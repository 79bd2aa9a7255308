"""How long it takes to find something: ``python -m tests.benchmarks find [--spans N] [--data DIR]``.

Each question is asked through the product's own named queries, with another value every time, and timed from the call to
the rows in Python. Without ``--data`` the data set is made in a temporary directory and thrown away.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clickhouse_connect.driver.client import Client

from benchmarks import find_data
from tachograph_schemas import queries
from tachograph_schemas.find import RunFilter, RunPage

ROUNDS = 20
Question = Callable[[], object]


def main(words: list[str]) -> None:
    """Build or open the data set, ask everything, print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks find", description=__doc__)
    parser.add_argument("--spans", type=int, default=10_000_000)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as name:
        directory = (arguments.data or Path(name)).absolute()
        os.chdir(name)  # the engine leaves its cache in the working directory
        client = find_data.prepared(directory, find_data.Shape(arguments.spans))
        _settle(client)
        _describe(client)
        print(
            "| question | rows | p50, ms | p95, ms | CPU p50, ms |\n| --- | --- | --- | --- | --- |"
        )
        for title, question in _questions(client).items():
            _ask(title, question, arguments.rounds)
        client.close()


def _settle(client: Client) -> None:
    """Wait until the engine has merged what it wants to: its own work is not what is measured."""
    quiet = 0
    while quiet < 5:
        busy = client.query("SELECT count() FROM system.merges").result_rows[0][0]
        quiet = 0 if busy else quiet + 1
        threading.Event().wait(0.5)


def _ask(title: str, question: Question, rounds: int) -> None:
    walls, cpus, found = [], [], []
    question()  # the first one reads marks and plans
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        answer = question()
        walls.append((time.perf_counter() - wall) * 1e3)
        cpus.append((time.process_time() - cpu) * 1e3)
        found.append(_rows(answer))
    walls.sort()
    at_95 = walls[min(round(0.95 * rounds), rounds - 1)]
    print(
        f"| {title} | {statistics.median(found):.0f} | {statistics.median(walls):.0f} | {at_95:.0f}"
        f" | {statistics.median(cpus):.0f} |",
        flush=True,
    )


def _rows(answer: object) -> int:
    if isinstance(answer, dict):
        return len(next(iter(answer.values())))
    return len(answer) if isinstance(answer, list) else 1


def _describe(client: Client) -> None:
    rows = client.query(
        "SELECT table, sum(rows), count(), sum(bytes_on_disk), sum(secondary_indices_compressed_bytes)"
        " FROM system.parts WHERE active AND table IN ('span_rows', 'run_rows') GROUP BY table"
    ).result_rows
    for table, count, parts, size_bytes, index_bytes in rows:
        print(
            f"{table}: {count:,} rows, {parts} parts, {size_bytes / 1e9:.2f} GB,"
            f" of it {index_bytes / 1e9:.2f} GB indexes"
        )
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")


def _questions(client: Client) -> dict[str, Question]:
    """Every question of the table, each asked with values of its own."""
    chance = random.Random(7)
    newest = client.query("SELECT max(started_at) FROM run_rows").result_rows[0][0]

    def some(word: str, count: int) -> tuple[str, ...]:
        return (f"{word}-{chance.randrange(count)}",)

    def asked(make: Callable[[], dict[str, object]]) -> Question:
        return lambda: queries.runs(client, RunFilter(**make()))

    def words() -> str:
        return chance.choice(COMMON) + " " + chance.choice(COMMON)

    filters: dict[str, Callable[[], dict[str, object]]] = {
        "first page of runs": dict,
        "agent": lambda: {"agents": some("agent", 50)},
        "customer": lambda: {"customers": some("customer", 200)},
        "tool": lambda: {"tools": some("tool", 60)},
        "model": lambda: {"models": some("model", 20)},
        "outcome": lambda: {"outcomes": (chance.choice(["success", "failure", "running"]),)},
        "cost range": lambda: {"min_cost_usd": 0.05 + chance.random() / 40, "max_cost_usd": 0.08},
        "duration range": lambda: {"min_duration_ns": chance.randrange(5, 9) * 10**9},
        "session": lambda: {"session_id": some("session", 100_000)[0]},
        "user": lambda: {"user_id": some("user", 20_000)[0]},
        "tag": lambda: {"tag": some("tag", 40)[0]},
        "agent and failure in a week": lambda: {
            "agents": some("agent", 50),
            "outcomes": ("failure",),
            "since": newest - timedelta(days=7),
        },
        "attribute, rare value": lambda: {"attributes": (f"order.id={_order(chance)}",)},
        "attribute, usual value": lambda: {"attributes": some("queue=queue", 400)},
        "attribute, common value": lambda: {"attributes": some("region=region", 8)},
        "words, rare": lambda: {"search": _order(chance)},
        "words, usual": lambda: {"search": chance.choice(USUAL)},
        "words, two common": lambda: {"search": words()},
        "words, none": lambda: {"search": f"nowhere{chance.randrange(10**6)}"},
    }
    questions: dict[str, Question] = {title: asked(make) for title, make in filters.items()}
    deep = _deep_cursor(client)
    questions["page 1,000, behind a cursor"] = lambda: queries.runs(
        client, RunFilter(), RunPage(after=deep)
    )
    long_runs = [
        row.run_id for row in queries.runs(client, RunFilter(), RunPage("most errors", 20))
    ]
    questions["open a run: row"] = lambda: queries.run(client, chance.choice(long_runs))
    questions["open a run: tree of 1,000 spans"] = lambda: queries.tree(
        client, chance.choice(long_runs)
    )
    until = datetime.now(UTC) + timedelta(days=1)
    questions["tokens by model by hour, 30 days"] = lambda: queries.model_usage(
        client, until - timedelta(days=32), until
    )
    questions["totals over all runs"] = lambda: queries.runs_summary(client, RunFilter())
    questions["what filters can be set to"] = lambda: queries.facets(client)
    return questions


def _deep_cursor(client: Client) -> queries.Cursor:
    """The end of page 999, or of the middle of the list when it is shorter."""
    total = queries.runs_summary(client, RunFilter()).runs
    offset = min(999 * 50, total // 2)
    (row,) = queries.runs(client, RunFilter(), RunPage(limit=1, offset=offset))
    place = queries.cursor_after(client, row)
    assert place is not None
    return place


def _order(chance: random.Random) -> str:
    return f"ORD{100_000 + chance.randrange(60_000)}X{chance.randrange(19)}"


COMMON = ("kalo", "lolo", "merlo", "tilo", "sunlo", "rolo")
USUAL = ("merlosun", "tivanlo", "delrolo", "pisunlo", "vankalo", "orkalo")
