"""Shared budgets with real processes: many agents, one limit, a collector that dies in between."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from collector_process import Collector

from free_port import free_port
from pipeline import until
from tachograph_schemas.control import APPROVALS, AUDIT, BUDGETS
from tachograph_schemas.control_client import ControlClient

AGENT = """
import os, pathlib, sys, threading
import tachograph as tacho
from tachograph._spending import add_usage

tacho.init(service="spender", heartbeat_s=0)
made = pathlib.Path(sys.argv[1])
pace = threading.Event()

@tacho.model
def ask():
    with made.open("a") as file:
        file.write("call\\n")
    pace.wait(0.004)  # what a model takes
    add_usage(input_tokens=10, output_tokens=10, usd=0.01)

@tacho.run(agent="spender", customer=sys.argv[2])
def spend():
    while True:
        try:
            ask()
        except tacho.BudgetExceeded as error:
            if not error.why:
                raise
            # The collector is away and the share is used up: somebody starts the agent again.
            pace.wait(0.05)
            if made.with_name("give-up").exists():
                raise

try:
    spend()
except tacho.BudgetExceeded as error:
    print(error, flush=True)
tacho.flush(10)
"""
ASKS = """
import asyncio
import tachograph as tacho

tacho.init(service="asker", heartbeat_s=0)
tacho.on_degrade(lambda error: print("degrade", error.budget, flush=True))

@tacho.tool(name="export")
def export(): print("export", flush=True)

@tacho.tool(name="export")
async def export_async(): print("export", flush=True)

@tacho.tool(name="export")
async def export_stream():
    print("export", flush=True)
    yield 1

@tacho.model
def ask(): return "cheap" if tacho.degraded() else "dear"

async def rest():
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    ticking = asyncio.create_task(tick())
    await export_async()
    print("asked while", ticks > 0, flush=True)
    async for _ in export_stream():
        pass
    await export_async()

@tacho.run(agent="asker")
def handle():
    print(ask(), ask(), flush=True)
    export()
    export()
    asyncio.run(rest())

try:
    handle()
except tacho.BudgetExceeded as error:
    print(error, flush=True)
tacho.flush(10)
"""
ONCE = """
import sys
import tachograph as tacho
from tachograph._spending import add_usage

tacho.init(service="once", heartbeat_s=0)

@tacho.model
def ask():
    add_usage(input_tokens=10, output_tokens=10, usd=0.01)

@tacho.run(agent="once")
def spend():
    ask()
    print("spent", flush=True)
    sys.stdin.readline()

spend()
"""
PROCESSES = 8
LIMIT_USD = 3.0
CALL_USD = 0.01


def agent(collector: Collector, place, customer: str = "acme") -> subprocess.Popen[str]:
    environment = collector.environment | {"TACHO_ENDPOINT": collector.url}
    return subprocess.Popen(
        [sys.executable, "-c", AGENT, str(place), customer],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def tacho(collector: Collector, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tachograph.cli", *words],
        env=collector.environment | {"TACHO_ENDPOINT": collector.url},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def calls_in(folder) -> int:
    return sum(path.read_text().count("call") for path in folder.glob("calls-*"))


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    home = tmp_path_factory.mktemp("budgets") / "home"
    running = Collector(home, TACHO_HTTP_PORT=str(free_port())).start()
    yield running
    running.stop()


def test_eight_processes_never_spend_more_than_there_is_though_the_collector_is_killed(
    collector, tmp_path
):
    """What a killed collector or agent holds is lost to the budget: it may come out short, never over."""
    assert (
        tacho(
            collector, "budget", "set", "day", "--usd", str(LIMIT_USD), "--window", "month"
        ).returncode
        == 0
    )
    processes = [agent(collector, tmp_path / f"calls-{n}") for n in range(PROCESSES)]
    try:
        until(lambda: calls_in(tmp_path) >= 60, 60)
        collector.signal(signal.SIGKILL)
        # They go on with the shares they hold, then they stop; those that begin now know what was said last.
        collector.start()
        said = [process.communicate(timeout=180) for process in processes]
    finally:
        for process in processes:
            process.kill()
    spent = calls_in(tmp_path) * CALL_USD
    assert spent <= LIMIT_USD + 1e-9, f"{spent} of {LIMIT_USD}"
    # Not much is lost: shares that were out when the collector died are still their holders'.
    assert spent >= LIMIT_USD * 0.8
    assert all("budget 'day'" in out for out, _ in said), said
    listed = tacho(collector, "budget", "list", "--json")
    assert listed.returncode == 1, "it is used up"
    (state,) = json.loads(listed.stdout)["budgets"]
    assert state["exceeded"]


def test_the_stop_is_told_in_the_run(collector, tmp_path):
    """The account says which budget stopped it, and what was left."""
    client = ControlClient(collector.url)
    body = {"budgets": [{"name": "calls", "scope": "customer", "unit": "model_calls", "limit": 5}]}
    assert client.call("POST", BUDGETS, body | {"prune": True, "actor": "maria"})
    process = agent(collector, tmp_path / "calls-0", "globex")
    out, errors = process.communicate(timeout=180)
    assert "customer budget 'calls' of 5 model_calls is used up (5 used)" in out, errors
    assert calls_in(tmp_path) == 5

    sql = "SELECT run_id, stop_reason FROM runs WHERE customer = 'globex' AND outcome = 'stopped'"
    until(lambda: collector.rows(sql), 60)
    ((run_id, reason),) = collector.rows(sql)
    assert "customer budget 'calls'" in reason
    shown = tacho(collector, "show", run_id)
    assert "customer budget 'calls' of 5 model calls was used up" in shown.stdout
    # Another customer has a budget of its own.
    other = agent(collector, tmp_path / "calls-1", "initech")
    other.communicate(timeout=180)
    assert calls_in(tmp_path) == 10
    entries = client.call("GET", AUDIT).data["entries"]
    assert [e["actor"] for e in entries if e["action"] == "budget.set" and e["subject"] == "calls"]


def test_people_are_asked_and_models_made_cheaper(collector):
    """In plain and in asynchronous code: each yes allows as much again, a no stops."""
    client = ControlClient(collector.url)
    exports = {"name": "exports", "scope": "tool", "target": "export", "unit": "tool_calls"}
    models = {"name": "models", "scope": "agent", "target": "asker", "unit": "model_calls"}
    # A window that ends in the middle of the test would allow all of it again.
    rules = [
        exports | {"limit": 1, "window": "month", "action": "ask"},
        models | {"limit": 1, "window": "month", "action": "degrade"},
    ]
    assert client.call("POST", BUDGETS, {"budgets": rules, "prune": True, "actor": "maria"})
    process = subprocess.Popen(
        [sys.executable, "-c", ASKS],
        env=collector.environment | {"TACHO_ENDPOINT": collector.url},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for word in ("allow", "allow", "allow", "deny"):
            until(lambda: client.call("GET", APPROVALS).data["total"] == 1, 60)
            (request,) = client.call("GET", APPROVALS).data["approvals"]
            assert "exports budget" in request["action"]
            body = {"decision": word, "params_hash": request["params_hash"], "reason": "enough"}
            path = f"{APPROVALS}/{request['id']}/decision"
            assert client.call("POST", path, body | {"approver": "maria"})
        out, _ = process.communicate(timeout=180)
    finally:
        process.kill()
        process.communicate()
    said = out.splitlines()
    assert said[:2] == ["degrade models", "dear cheap"]
    assert said.count("export") == 4, out
    assert "asked while True" in said, "the event loop went on"
    assert "tool budget 'exports'" in said[-1]


def spender(collector: Collector) -> subprocess.Popen[str]:
    """A process that has spent a cent, and lives until it is told to end."""
    environment = collector.environment | {"TACHO_ENDPOINT": collector.url}
    words = [sys.executable, "-c", ONCE]
    process = subprocess.Popen(
        words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "spent\n"
    return process


def test_what_a_killed_process_did_not_use_is_given_back_by_the_next(collector):
    """The kernel keeps what it noted; what was spent stays spent."""
    control = ControlClient(collector.url)
    rule = {"name": "once", "limit": 10, "scope": "agent", "target": "once", "window": "month"}
    assert control.call("POST", BUDGETS, {"budgets": [rule]})

    def account():
        (found,) = control.call("GET", f"{BUDGETS}/once").data["accounts"]
        return found

    killed = spender(collector)
    killed.kill()
    killed.communicate(timeout=180)
    assert account()["held"] > 0.1
    with spender(collector) as following:
        until(lambda: account()["spent"] == pytest.approx(0.02), 60)
        following.communicate("\n", timeout=180)
    left = account()
    assert (left["spent"], left["held"], left["lost"]) == (pytest.approx(0.02), 0, 0)
    assert not list(collector.home.glob("leases-*"))
