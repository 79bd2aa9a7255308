"""The examples of docs/budgets.md do what the page says."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from collector_process import Collector
from test_control_docs import blocks, commands, tacho

from pipeline import until

PAGE = "budgets.md"


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    running = Collector(tmp_path_factory.mktemp("docs") / "home").start()
    yield running
    running.stop()


OWN_PRICES = """
import threading
import tachograph as tacho
from tachograph._spending import add_usage

tacho.init()

@tacho.run(agent="own-prices")
def agent():
    pause = threading.Event()
    with tacho.budget(usd=0.5) as budget:
        try:
            for _ in range(3000):
                call()
                pause.wait(0.02)
        except tacho.BudgetExceeded as stop:
            print(f"stopped at {stop.limit} {stop.unit}")

@tacho.model(model="house-model")
def call():
    add_usage(input_tokens=100, output_tokens=0, model="house-model")

agent()
tacho.flush()
"""


def run_program(collector, tmp_path, text):
    program = tmp_path / "agent.py"
    program.write_text(text)
    done = subprocess.run(
        [sys.executable, str(program)],
        env=collector.environment | {"TACHO_ENDPOINT": collector.url},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_program(collector, tmp_path):
    said = run_program(collector, tmp_path, blocks(PAGE, "python")[0])
    assert said.splitlines() == ["run: 3 of 3 tool_calls", "3"]


def test_the_commands_and_the_files(collector, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    setting, applying, _, prices, _ = blocks(PAGE, "bash")
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


def test_the_costs_of_tools_and_people_are_shown(collector, tmp_path):
    """What the second program paid and saved is in its run, and in the tables."""
    run_program(collector, tmp_path, blocks(PAGE, "python")[1])
    sql = "SELECT tool_cost_usd, human_cost_usd, cost_usd FROM runs WHERE agent = 'researcher' AND saved_usd > 0"
    until(lambda: collector.rows(sql))
    assert collector.rows(sql) == [(0.025, 15.0, 0.0)]
    by_agent, by_step = commands(blocks(PAGE, "bash")[4])
    assert "researcher" in tacho(collector, by_agent)
    assert json.loads(tacho(collector, by_step))["lost"]["people_usd"] == 15.0


def test_a_budget_counts_by_the_users_own_prices(collector, tmp_path):
    """They reach an agent that runs, without a call that waits for them."""
    tacho(collector, ["prices", "set", "house-model", "--input", "1000", "--output", "1000"])
    said = run_program(collector, tmp_path, OWN_PRICES)
    assert said == "stopped at 0.5 usd\n"


def test_the_demo_is_stopped_by_a_budget_that_is_not_in_its_code(collector):
    for words in commands(blocks(PAGE, "bash")[2]):
        tacho(collector, words)
    sql = "SELECT stop_reason FROM runs WHERE agent = 'ledger-export' AND outcome = 'stopped'"
    until(lambda: collector.rows(sql))
    ((reason,),) = collector.rows(sql)
    assert "agent budget 'ledger-export-day' of 0.004 usd" in reason
