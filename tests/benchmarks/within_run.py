"""What the signs within a run are worth on published runs with ground truth: ``python -m tests.benchmarks within_run``.

The runs lie beside the checkout (``../shared/data/runs``, or ``--data DIR``). They are stored in a temporary engine and read
as the account reads them. A rule is judged by the first step at which it fires: was the run what it warns of, and how much
of the run was still to come? Beside every precision stands what a rule that fires always would reach.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client

from tachograph_schemas import ingest, pricing, queries, store
from tachograph_schemas.account.repeats import Repeat, Repeats, repeats
from tachograph_schemas.account.signs import goal_similarity
from tachograph_schemas.account.timeline import Timeline
from tachograph_schemas.ingest_signals import TABLES
from tachograph_schemas.shapes import Shape, insert_growing
from tachograph_schemas.words import UNKNOWN

DEFAULT_DATA = Path(__file__).parents[3] / "shared" / "data" / "runs"
RULES = ("same_result", "same_call", "near_duplicates", "stale_steps")
_ABUSE = {"Resource Abuse", "Resource Exhaustion"}
_REPEATING = re.compile(r"\b(loop|repeat|redundan|again\b|the same)")
_WRITES = re.compile(r"^(update|book|cancel|send|modify|exchange|return|create|delete|pay|refund)_")
_SILENT = {"think", "calculate"}


@dataclass(frozen=True, slots=True)
class Judged:
    """One run, with what is known of it and what the rules said."""

    set_name: str
    label: dict[str, Any]
    steps: int
    left: dict[str, float]
    """By rule that fired: the share of the steps that was still to come."""
    similarity: float | None
    writes: bool
    checked: bool
    """Whether a tool that only reads was called after the last one that writes, by their names."""


Target = Callable[[Judged], bool]


def main(arguments: list[str]) -> None:
    """Load the runs, apply the rules, print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks within_run")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    folder = parser.parse_args(arguments).data.absolute()
    if not folder.is_dir():
        raise SystemExit(f"{folder} is not there: the published runs are no part of the project.")
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)  # the engine leaves its cache in the working directory
        client = store.connect(f"chdb://{name}/data")
        store.migrate(client)
        judged = list(_judged(client, folder, Path(name)))
        client.close()
    print(f"{len(judged)} runs, load {os.getloadavg()[0]:.1f}\n")
    trail = [run for run in judged if run.set_name == "trail"]
    _table("TRAIL, against runs labelled Resource Abuse", trail, _is_abuse)
    _table("TRAIL, against runs whose annotators wrote of repeating", trail, _repeats)
    for name in ("tau_bench", "agentrx_tau", "who_and_when", "docent_inspect", "bioagent"):
        runs = [run for run in judged if run.set_name == name]
        _table(f"{name}, against runs that did not succeed", runs, _failed)
    _unverified([run for run in judged if run.set_name == "tau_bench"])
    _similarity(trail)


# --- the runs -------------------------------------------------------------------------------------


def _judged(client: Client, folder: Path, work: Path) -> Iterator[Judged]:
    labels = {}
    shape = Shape()
    for batch, path in enumerate(sorted(folder.glob("*/labels.json")), start=1):
        shape = _store(client, path.parent, work, batch, shape)
        for label in json.loads(path.read_text(encoding="utf-8")):
            labels[label["trace_id"]] = label
    for row in queries.runs(client, queries.RunFilter(), queries.RunPage(limit=5_000)):
        trace = client.query(
            "SELECT any(trace_id) FROM span_rows WHERE run_id = {run_id:String}",
            parameters={"run_id": row.run_id},
        ).result_rows[0][0]
        if trace in labels:
            view = Timeline(row, queries.account_spans(client, row.run_id))
            yield _judge(view, labels[trace])


def _store(client: Client, folder: Path, work: Path, batch: int, shape: Shape) -> Shape:
    path = work / "batch.pb"
    with path.open("wb") as file:
        for number, body in enumerate(sorted(folder.glob("*.pb.gz"))):
            content = gzip.decompress(body.read_bytes())
            offset = batch * 1000 + number
            file.writelines(ingest.frame("default", offset, time.time_ns(), content))
    values = {"writer_id": 1, "batch": batch}
    settings = ingest.insert_settings()

    def insert(shape: Shape) -> None:
        # An embedded session that failed hands its leftover rows to the next query.
        with store.connect(f"chdb://{work / 'data'}") as session:
            sql = TABLES["traces"].insert_from_file(str(path), shape)
            session.command(sql, parameters=values, settings=settings)

    def held() -> list[list[int]]:
        sql = TABLES["traces"].from_file("shape", str(path))
        return client.query(sql, parameters=values, settings=settings).result_rows[0]

    grown = insert_growing(shape, insert, held)
    pricing.price_pending(client, 1, [batch])
    ingest.roll_up(client, 1, [batch])
    return grown


def _judge(view: Timeline, label: dict[str, Any]) -> Judged:
    steps = sorted([*view.calls("model"), *view.calls("tool")], key=lambda span: span.start_ns)
    place = {span.span_id: at for at, span in enumerate(steps, start=1)}
    found: Repeats = repeats(view)
    left = {}
    for name in RULES:
        rule: Repeat = getattr(found, name)
        if rule.at is not None:
            left[name] = 1 - place[rule.at.span_id] / len(steps)
    tools = view.calls("tool")
    last = next((span for span in reversed(tools) if _WRITES.match(span.tool)), None)
    checked = last is not None and any(
        span.start_ns >= last.end_ns
        for span in tools
        if not _WRITES.match(span.tool) and span.tool not in _SILENT
    )
    similarity = goal_similarity(view)
    return Judged(label["dataset"], label, len(steps), left, similarity, last is not None, checked)


def _failed(run: Judged) -> bool:
    return run.label.get("success") is False


def _is_abuse(run: Judged) -> bool:
    return any(each.get("category") in _ABUSE for each in run.label.get("failures", ()))


def _repeats(run: Judged) -> bool:
    said = (each.get("why") or "" for each in run.label.get("failures", ()))
    return any(_REPEATING.search(text.lower()) for text in said)


# --- the tables -----------------------------------------------------------------------------------


def _table(title: str, runs: list[Judged], is_target: Target) -> None:
    targets = sum(map(is_target, runs))
    if not targets:
        return
    print(f"### {title}: {targets} of {len(runs)}\n")
    print("| rule | fired | precision (95 %) | firing always | recall | of the run still to come |")
    print("| --- | --- | --- | --- | --- | --- |")
    for rule in RULES:
        fired = [run for run in runs if rule in run.left]
        right = sum(map(is_target, fired))
        if not fired:
            print(f"| {rule} | 0 | {UNKNOWN} | {targets / len(runs):.2f} | 0.00 | {UNKNOWN} |")
            continue
        left = statistics.median(run.left[rule] for run in fired)
        print(
            f"| {rule} | {len(fired)} | {_share(right, len(fired))} | {targets / len(runs):.2f}"
            f" | {right / targets:.2f} | {left:.0%} |"
        )
    print()


def _share(part: int, whole: int) -> str:
    """A share with Wilson's interval."""
    z, p = 1.96, part / whole
    middle = (p + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z * math.sqrt(p * (1 - p) / whole + z * z / (4 * whole**2)) / (1 + z * z / whole)
    return f"{p:.2f} ({max(middle - half, 0):.2f} to {min(middle + half, 1):.2f})"


def _unverified(runs: list[Judged]) -> None:
    """Done without a check: tools that write told from those that read by their names."""
    print("### tau_bench: failed runs by what came after the last change\n")
    print("| | runs | failed (95 %) |\n| --- | --- | --- |")
    groups: dict[str, Target] = {
        "nothing was changed": lambda run: not run.writes,
        "changed, and read something afterwards": lambda run: run.writes and run.checked,
        "changed, and read nothing afterwards": lambda run: run.writes and not run.checked,
    }
    for title, belongs in groups.items():
        group = [run for run in runs if belongs(run)]
        if group:
            print(f"| {title} | {len(group)} | {_share(sum(map(_failed, group)), len(group))} |")
    print()


def _similarity(runs: list[Judged]) -> None:
    """Whether a low goal similarity ranks the runs that left their goal before the others."""
    known = [run for run in runs if run.similarity is not None]

    def strayed(run: Judged) -> bool:
        return any(each.get("category") == "Goal Deviation" for each in run.label["failures"])

    by_words = _auc(known, strayed, lambda run: -(run.similarity or 0))
    by_length = _auc(known, strayed, lambda run: run.steps)
    print("### TRAIL: ranking runs labelled Goal Deviation (area under the curve; 0.5 is chance)\n")
    print(f"low goal similarity {by_words:.2f}, number of steps alone {by_length:.2f}")


def _auc(runs: list[Judged], is_target: Target, score: Callable[[Judged], float]) -> float:
    ones = [score(run) for run in runs if is_target(run)]
    others = [score(run) for run in runs if not is_target(run)]
    won = sum((a > b) + (a == b) / 2 for a in ones for b in others)
    return won / max(len(ones) * len(others), 1)
