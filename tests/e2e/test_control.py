"""Approvals, pauses and stops: a real collector, real agent processes, and the command line beside them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from collector_process import END_S, Collector

from free_port import free_port
from pipeline import until
from tachograph_schemas import queries
from tachograph_schemas.account import build
from tachograph_schemas.control import APPROVALS, AUDIT, ORDERS
from tachograph_schemas.control_client import ControlClient

SOON_S = 15
"""Far longer than a waiting request takes to be woken on a busy machine, far shorter than the 25 s after which it answers anyway."""
QUIET_S = 3
"""An agent that steps every 20 ms and has not for so long does not step."""

AGENT = """
import asyncio, os, signal, sys, time
import tachograph as tacho

tacho.init(service="control", heartbeat_s=0.2, approver="inbox")

@tacho.effect(risk="high")
def refund(order_id, usd): return {"refunded": usd}

"""
ASKS = (
    AGENT
    + """
@tacho.run(agent="billing", goal="Refund order A-1007", user="requester", resume=tacho.arg("run_id"))
def handle(run_id):
    print(tacho.current_run().id, flush=True)
    proposed = {"order_id": "A-1007", "usd": 900.0, "password": "hunter2hunter2"}
    decision = tacho.approve("refund A-1007", params=proposed, reason="damaged", risk="high", timeout_s=60)
    if not decision:
        return f"refused: {decision.reason}"
    refund(decision.params["order_id"], decision.params["usd"])
    return f"{decision.approver} {decision.params['usd']} {decision.edited} {decision.params.get('password')}"

print(handle(sys.argv[1] if len(sys.argv) > 1 else None), flush=True)
"""
)
WORKS = (
    AGENT
    + """
@tacho.run(agent="worker")
def work():
    print(tacho.current_run().id, flush=True)
    for step in range(10_000):
        refund("x", step)
        print(step, time.time(), flush=True)
        time.sleep(0.02)

work()
"""
)
WORKS_ASYNC = (
    AGENT
    + """
@tacho.tool
async def look(n): return n

@tacho.run(agent="async worker")
async def work():
    print(tacho.current_run().id, flush=True)
    for step in range(10_000):
        await look(step)
        print(step, time.time(), flush=True)
        await asyncio.sleep(0.02)

async def both():
    ticks = 0
    task = asyncio.create_task(work())
    while not task.done():
        ticks += 1
        await asyncio.sleep(0.01)
    print("ticks", ticks, flush=True)
    await task

try:
    asyncio.run(both())
except tacho.RunStopped as stopped:
    print("stopped", stopped.reason, flush=True)
"""
)


class Lines:
    """What an agent printed, as it comes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.seen: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.seen.append(line.strip())

    def steps(self) -> list[float]:
        """When each step was made."""
        return [
            float(line.split()[1]) for line in list(self.seen) if line[:1].isdigit() and " " in line
        ]


def end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait(60)
    process.stdout.close()


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    running = Collector(tmp_path_factory.mktemp("control") / "home").start()
    yield running
    running.stop()


@pytest.fixture
def client(collector):
    return ControlClient(collector.url)


@pytest.fixture
def start(collector):
    """Start an agent as a process of its own."""
    started = []

    def run(source: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", source, *arguments],
            env=collector.environment | {"TACHO_ENDPOINT": collector.url},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        end(process)


def tacho(collector: Collector, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tachograph.cli", *words],
        env=collector.environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def waiting(client: ControlClient, run_id: str) -> dict:
    """The request of a run, once it waits."""
    until(lambda: _requests(client, run_id))
    return client.call("GET", f"{APPROVALS}/{_requests(client, run_id)[0]['id']}").data


def _requests(client: ControlClient, run_id: str) -> list[dict]:
    # One that waits for seconds only may be over before anybody looks.
    query = {"limit": 1000, "status": ["pending", "expired"]}
    listed = client.call("GET", APPROVALS, query=query).data["approvals"]
    return [each for each in listed if each["run_id"] == run_id]


def decide(client: ControlClient, request: dict, decision: str = "allow", **more):
    body = {"decision": decision, "params_hash": request["params_hash"], "approver": "maria"} | more
    return client.call("POST", f"{APPROVALS}/{request['id']}/decision", body)


def told(collector: Collector, run_id: str) -> tuple:
    """The run once it has ended, and the sentences of its account."""
    with collector.client() as reader:
        until(
            lambda: (
                (found := queries.run(reader, run_id)) is not None and found.ended_at is not None
            )
        )
        found = queries.run(reader, run_id)
        account = build(found, queries.account_spans(reader, run_id))
    return found, [line.text for line in account.story], account


def test_a_person_edits_the_arguments_and_the_agent_goes_on_with_them(collector, client, start):
    agent = start(ASKS)
    run_id = agent.stdout.readline().strip()
    request = waiting(client, run_id)
    assert request["action"] == "refund A-1007"
    assert (request["agent"], request["risk"], request["reason"]) == ("billing", "high", "damaged")
    assert "hunter2" not in request["params"], "secrets do not leave the agent's process"
    decided = time.monotonic()
    assert decide(client, request, params='{"order_id": "A-1007", "usd": 80.0}', reason="capped")
    assert agent.stdout.readline().strip() == "maria 80.0 True None"
    assert time.monotonic() - decided < SOON_S
    agent.wait(END_S)
    run, story, account = told(collector, run_id)
    assert run.outcome == "success"
    assert 0 < run.waiting_ns < run.duration_ns
    assert any("maria approved after" in text and "other arguments" in text for text in story)
    changed = " ".join(line.text for line in account.section("changed").lines)
    assert "80" in changed
    assert "900" not in changed


def test_the_decision_is_for_what_was_shown_and_by_somebody_else(collector, client, start):
    agent = start(ASKS)
    request = waiting(client, agent.stdout.readline().strip())
    other = decide(client, request | {"params_hash": "0" * 64})
    assert (other.status, other.why) == (
        409,
        "The decision is about other arguments than those of the request.",
    )
    assert decide(client, request, approver="Requester").status == 403
    refused = tacho(collector, "refuse", request["id"][:8], "--reason", "too much", "--as", "jo")
    assert refused.returncode == 0, refused.stderr
    assert agent.stdout.readline().strip() == "refused: too much"
    assert decide(client, request).status == 409
    again = tacho(collector, "approve", request["id"], "--as", "jo")
    assert again.returncode == 1
    assert "refused already" in again.stderr


def test_a_decision_survives_the_restart_of_agent_and_collector(tmp_path, start):
    """Asked, killed, decided while nobody listens, collector killed: the resumed run gets its answer."""
    collector = Collector(tmp_path / "home").start()
    environment = collector.environment | {"TACHO_ENDPOINT": collector.url}
    agent = subprocess.Popen(
        [sys.executable, "-c", ASKS], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        run_id = agent.stdout.readline().strip()
        request = waiting(ControlClient(collector.url), run_id)
    finally:
        end(agent)
    assert decide(ControlClient(collector.url), request)
    collector.process.kill()
    collector.process.wait(END_S)
    collector.process.stdout.close()
    collector.start()
    try:
        client = ControlClient(collector.url)
        done = subprocess.run(
            [sys.executable, "-c", ASKS, run_id],
            env=environment | {"TACHO_ENDPOINT": collector.url},
            capture_output=True,
            text=True,
            timeout=180,
            check=True,
        )
        assert done.stdout.splitlines() == [run_id, "maria 900.0 False hunter2hunter2"]
        assert (
            client.call("GET", APPROVALS, query={"status": ["pending", "approved"]}).data["total"]
            == 1
        )
        assert client.call("GET", f"{AUDIT}/verify").data["sound"]
    finally:
        collector.stop()


def test_the_agent_waits_over_a_restart_of_the_collector(tmp_path):
    ports = {"TACHO_HTTP_PORT": str(free_port())}
    collector = Collector(tmp_path / "home", **ports).start()
    agent = subprocess.Popen(
        [sys.executable, "-c", ASKS],
        env=collector.environment | {"TACHO_ENDPOINT": collector.url},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        request = waiting(ControlClient(collector.url), agent.stdout.readline().strip())
        collector.process.kill()
        collector.process.wait(END_S)
        collector.process.stdout.close()
        collector.start()
        assert decide(ControlClient(collector.url), request)
        assert agent.stdout.readline().strip() == "maria 900.0 False hunter2hunter2"
    finally:
        end(agent)
        collector.stop()


def test_without_a_collector_the_answer_is_no_once_the_time_is_over(tmp_path):
    source = ASKS.replace("timeout_s=60", "timeout_s=1")
    done = subprocess.run(
        [sys.executable, "-c", source],
        env={"TACHO_ENDPOINT": "http://127.0.0.1:9", "TACHO_HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    assert "refused: the collector at http://127.0.0.1:9 does not answer" in done.stdout


def test_nobody_decides_and_that_is_a_refusal(collector, client, start):
    # Long enough that the collector has answered by then, also a busy one.
    agent = start(ASKS.replace("timeout_s=60", "timeout_s=5"))
    run_id = agent.stdout.readline().strip()
    request = waiting(client, run_id)
    assert agent.stdout.readline().strip() == "refused: nobody decided in time"
    late = decide(client, request)
    assert (late.status, late.why) == (409, "It is expired already.")


@pytest.mark.parametrize("source", [WORKS, WORKS_ASYNC], ids=["threads", "asyncio"])
def test_a_pause_takes_effect_and_ends_soon(collector, client, start, source):
    agent = Lines(start(source))
    until(lambda: len(agent.steps()) > 5)
    run_id = agent.seen[0]
    name = "worker" if source is WORKS else "async worker"
    paused_s = time.time()
    said = tacho(collector, "pause", name, "--reason", "wrong customer", "--as", "maria")
    assert said.returncode == 0, said.stderr
    given_s = time.time()
    # Somebody else's order must not be obeyed.
    assert client.call("POST", ORDERS, {"action": "stop", "scope": "run", "target": "other"})
    until(lambda: time.time() - agent.steps()[-1] > QUIET_S)
    assert agent.steps()[-1] - given_s < SOON_S
    assert agent.steps()[-1] > paused_s - 1
    assert agent.process.poll() is None
    made = len(agent.steps())
    assert tacho(collector, "unpause", name, "--as", "jo").returncode == 0
    ended_s = time.time()
    until(lambda: len(agent.steps()) > made)
    assert agent.steps()[made] - ended_s < SOON_S
    stopped = tacho(collector, "stop", "--run", run_id, "--reason", "enough", "--as", "jo")
    assert stopped.returncode == 0, stopped.stderr
    agent.process.wait(END_S)
    run, story, account = told(collector, run_id)
    assert run.outcome == "stopped"
    assert run.waiting_ns > 1e9
    assert any("Paused by maria" in text and "jo" in text for text in story), story
    assert "jo" in run.stop_reason
    assert "enough" in account.verdict
    if source is WORKS_ASYNC:
        until(lambda: any(line.startswith("ticks") for line in agent.seen))
        ticks = next(int(line.split()[1]) for line in agent.seen if line.startswith("ticks"))
        assert ticks > 100, "the event loop went on"


def test_the_pause_of_everything_ends_with_the_collector(tmp_path):
    """Nobody can take back what a lost collector ordered: after a while agents go on."""
    collector = Collector(tmp_path / "home").start()
    client = ControlClient(collector.url)
    client.call("POST", ORDERS, {"action": "pause", "scope": "all", "reason": "maintenance"})
    source = "import tachograph._orders as o\no.FORGET_S = 1\n" + WORKS
    agent = Lines(
        subprocess.Popen(
            [sys.executable, "-c", source],
            env=collector.environment | {"TACHO_ENDPOINT": collector.url},
            stdout=subprocess.PIPE,
            text=True,
        )
    )
    try:
        until(lambda: agent.seen)
        until(lambda: not agent.steps() or time.time() - agent.steps()[-1] > QUIET_S)
        made = len(agent.steps())
        collector.stop()
        until(lambda: len(agent.steps()) > made)
    finally:
        end(agent.process)
