"""docs/layers.md is true: its snippets run in a process of their own, through a real collector, into the account."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from collector_process import Collector

import tachograph as tacho
from pipeline import until
from tachograph.testing import captured_spans
from tachograph_schemas import names, queries
from tachograph_schemas.account import build

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "layers.md"
NOT_TOLD = "(not told; it is in the tree)"
PROGRAM = """
import json, sys
import tachograph as tacho

tacho.init(service="layers")

def record(snippet):
    exec(snippet, {"tacho": tacho, "__name__": "agent"})

for layer, snippet in json.load(sys.stdin):
    try:
        # The snippet of a run is a run; the others are recorded inside of one.
        (record if layer == "run" else tacho.run(agent="desk", goal="do it")(record))(snippet)
    except tacho.RunStopped:
        assert layer == "stop"
assert tacho.flush(120)
"""


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    layer: str
    snippet: str
    columns: frozenset[str]
    verdict: str
    reads: str
    tests: tuple[str, ...]
    number: int


def code_spans(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def parsed() -> list[Row]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("| layer |"))
    rows = []
    for number, line in enumerate(lines[start + 2 :]):
        if not line.startswith("|"):
            break
        layer, how, stored, reads, tests = (cell.strip() for cell in line.strip("|").split(" | "))
        said = code_spans(stored)
        verdict = next((each.partition("=")[2] for each in said if "=" in each), "")
        rows.append(
            Row(
                layer=code_spans(layer)[0],
                snippet="\n".join(code_spans(how)),
                columns=frozenset(each for each in said if "=" not in each),
                verdict=verdict,
                reads=reads,
                tests=tuple(code_spans(tests)),
                number=number,
            )
        )
    return rows


ROWS = parsed()


def row_id(row: Row) -> str:
    return f"{row.layer}-{row.number}"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Every snippet recorded in a run of its own: the runs' ids in order, and a client to read them."""
    collector = Collector(tmp_path_factory.mktemp("layers") / "home").start()
    try:
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            input=json.dumps([(row.layer, row.snippet) for row in ROWS]),
            env=collector.environment | {"TACHO_ENDPOINT": collector.url},
            text=True,
            check=True,
            timeout=300,
        )
        with collector.client() as client:
            sql = "SELECT run_id FROM runs WHERE isNotNull(ended_at) ORDER BY started_at"
            until(lambda: len(client.query(sql).result_rows) == len(ROWS))
            yield client, [row[0] for row in client.query(sql).result_rows]
    finally:
        assert collector.stop() == 0


def test_every_layer_of_the_closed_set_has_a_row():
    assert {row.layer for row in ROWS} == set(names.LAYERS)


@pytest.mark.parametrize(
    "block", re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
)
def test_the_blocks_of_the_page_run(block):
    exec(block, {"__name__": "block"})


def test_the_tests_that_the_page_names_exist():
    sources = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/*.py"))
    for row in ROWS:
        for test in row.tests:
            assert f"def {test.partition('[')[0]}(" in sources, test


@pytest.mark.parametrize("row", ROWS, ids=row_id)
def test_layer_as_the_sdk_makes_it(row):
    """The snippet makes a span of its layer that carries what the page says is stored."""

    def work():
        exec(row.snippet, {"tacho": tacho, "__name__": "agent"})

    with captured_spans() as spans:
        try:
            (work if row.layer == "run" else tacho.run(agent="desk")(work))()
        except tacho.RunStopped:
            assert row.layer == "stop"
    found = spans.where(layer=row.layer)
    made = {key for span in found for key in span.attributes}
    payloads = {"input": any(s.input is not None for s in found)}
    payloads["output"] = any(s.output is not None for s in found)
    for column in row.columns:
        assert payloads.get(column, column in made), column


@pytest.mark.parametrize("row", ROWS, ids=row_id)
def test_layer(row, recorded):
    """Through the collector: the columns that the page names, and the sentence of the account."""
    client, run_ids = recorded
    run_id = run_ids[row.number]
    run = queries.run(client, run_id)
    spans = [
        queries.span(client, run_id, span_id)
        for span_id, layer in zip(
            *(queries.tree(client, run_id)[key] for key in ("span_id", "layer")), strict=True
        )
        if layer == row.layer
    ]
    assert run.layer_counts[row.layer] >= 1
    assert row.verdict in {span.verdict for span in spans}
    stored = {key for span in spans for key, value in span.attributes.items() if value}
    stored |= {key for key in ("input", "output") for span in spans if getattr(span, key)}
    assert row.columns <= stored, row.columns - stored
    account = build(run, queries.account_spans(client, run_id))
    told = [line.text for line in account.story]
    if row.reads == NOT_TOLD:
        assert len(told) == 2, "only how it began and how it ended"
    else:
        assert row.reads in told


def test_the_metrics_are_ratios_of_what_is_stored(recorded):
    """The counts per agent that the field's metrics are made of, from the columns alone."""
    client, _ = recorded
    since = datetime.now(UTC) - timedelta(hours=1)
    counts = {
        row.agent: row for row in queries.harness_counts(client, since, since + timedelta(hours=2))
    }
    desk = counts["desk"]
    assert (desk.validations, desk.validations_failed, desk.validation_failure_rate) == (2, 1, 0.5)
    assert (desk.repairs, desk.repairs_succeeded, desk.repair_success_rate) == (1, 1, 1.0)
    assert (desk.gates, desk.gates_denied, desk.gates_escalated) == (4, 2, 1)
    assert (desk.approvals, desk.approvals_granted) == (2, 1)
    assert desk.approval_waiting_ns == 95_000_000_000
    assert (desk.breaker_trips, desk.breaker_refusals, desk.retries, desk.fallbacks) == (1, 1, 1, 1)
    assert (desk.unknown_tools, desk.out_of_scope_calls, desk.injections) == (1, 1, 1)
    assert (desk.restores, desk.stops, desk.budget_stops, desk.handoffs) == (1, 1, 0, 1)
    assert (desk.evals, desk.evals_passed, desk.eval_pass_rate) == (1, 0, 0.0)
    earlier = queries.harness_counts(client, since - timedelta(hours=1), since)
    assert earlier == []


def test_stop_rules_are_counted_with_what_a_person_needs(recorded):
    client, _ = recorded
    since = datetime.now(UTC) - timedelta(hours=1)
    (fired,) = queries.stop_counts(client, since, since + timedelta(hours=2))
    assert (fired.agent, fired.rule, fired.kind) == (
        "desk",
        "conflicting records",
        "conflicting_records",
    )
    assert (fired.stops, fired.runs) == (1, 1)
    assert (fired.last_reason, fired.last_needs) == (
        "two customers have this name",
        "the customer number",
    )
    assert queries.run(client, fired.last_run_id).outcome == "stopped"
    assert queries.stop_counts(client, since - timedelta(hours=1), since) == []
