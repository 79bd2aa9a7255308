"""The examples of docs/budgets.md do what the page says."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from collector_process import Collector
from test_control_docs import blocks, commands, tacho

PAGE = "budgets.md"


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    running = Collector(tmp_path_factory.mktemp("docs") / "home").start()
    yield running
    running.stop()


def test_the_program(collector, tmp_path):
    program = tmp_path / "agent.py"
    program.write_text(blocks(PAGE, "python")[0])
    done = subprocess.run(
        [sys.executable, str(program)],
        env=collector.environment | {"TACHO_ENDPOINT": collector.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines() == ["run: 3 of 3 tool_calls", "3"], done.stderr


def test_the_commands_and_the_files(collector, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    setting, applying, _, prices = blocks(PAGE, "bash")
    budgets_file, prices_file = blocks(PAGE, "yaml")
    (tmp_path / "budgets.yaml").write_text(budgets_file)
    (tmp_path / "prices.yaml").write_text(prices_file)
    for words in commands(setting):
        assert tacho(collector, words)
    for words in commands(applying):
        said = tacho(collector, words)
    names = [each["rule"]["name"] for each in json.loads(said)["budgets"]]
    assert names == ["acme-day", "one-repair-loop"], "the others were pruned"
    for words in commands(prices):
        assert tacho(collector, words)
    listed = json.loads(tacho(collector, ["prices", "list", "--json"]))["prices"]
    assert [each["model"] for each in listed] == ["our-other-model"]


def test_the_demo_is_stopped_by_a_budget_that_is_not_in_its_code(collector):
    for words in commands(blocks(PAGE, "bash")[2]):
        tacho(collector, words)
    sql = "SELECT stop_reason FROM runs WHERE agent = 'ledger-export' AND outcome = 'stopped'"
    ((reason,),) = collector.rows(sql)
    assert "agent budget 'ledger-export-day' of 0.004 usd" in reason
