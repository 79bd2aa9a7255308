"""One run over pauses, crashes and processes: real processes, the real collector, one row."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from collector_process import Collector

from pipeline import until
from tachograph_schemas import queries
from tachograph_schemas.account import build

AGENT = """
import os, signal, sys
import tachograph as tacho

tacho.init(service="pauses", heartbeat_s=0)

@tacho.effect(risk="high")
def charge(key): return {"charged": key}

"""
ASKS = (
    AGENT
    + """
def nobody_yet(request, context):
    raise tacho.RunStopped("approval", "waiting for an answer")

@tacho.run(agent="payer")
def pay():
    print(tacho.current_run().id)
    tacho.approve("pay 900 USD", approver=nobody_yet)

try:
    pay()
except tacho.RunStopped:
    pass
tacho.flush()
"""
)
ANSWERED = (
    AGENT
    + """
@tacho.run(agent="payer", resume=tacho.arg("run_id"))
def pay(run_id):
    assert tacho.current_run().id == run_id
    tacho.checkpoint("answered", done=["asked"], todo=["charge"], action="restored")
    if tacho.approve("pay 900 USD", approver=lambda *_: tacho.Decision(True, "maria", "agreed")):
        return charge("k-1")

pay(sys.argv[1])
"""
)
KILLED = (
    AGENT
    + """
@tacho.run(agent="payer")
def pay():
    print(tacho.current_run().id, flush=True)
    charge("k-1")
    tacho.checkpoint("charged", done=["k-1"], todo=["k-2"])
    tacho.flush()
    os.kill(os.getpid(), signal.SIGKILL)

pay()
"""
)
TAKEN_UP = (
    AGENT
    + """
@tacho.run(agent="payer", resume=lambda given: given["run_id"])
def pay(run_id):
    tacho.checkpoint("charged", done=["k-1"], todo=["k-2"], action="restored")
    return charge("k-2")

pay(sys.argv[1])
"""
)
SERVER = (
    AGENT
    + """
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        with tacho.continue_from(self.headers):
            charge("over http")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_): pass

server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.handle_request()
"""
)
CHILD = (
    AGENT
    + """
@tacho.run(agent="helper")
def help(): return charge("in a child")

with tacho.continue_from(os.environ):
    help()
    tacho.current_run().tag("had a child")
"""
)
CALLER = (
    AGENT
    + """
import subprocess, urllib.request

@tacho.run(agent="caller")
def call(port, child):
    print(tacho.current_run().id)
    headers = tacho.context_headers()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", data=b"x", headers=headers)
    urllib.request.urlopen(request, timeout=180).close()
    environment = {key.upper(): value for key, value in headers.items()}
    subprocess.run([sys.executable, "-c", child], env=os.environ | environment, check=True)

assert tacho.context_headers() == {}
call(sys.argv[1], sys.argv[2])
"""
)


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    running = Collector(tmp_path_factory.mktemp("pauses") / "home").start()
    yield running
    assert running.stop() == 0


@pytest.fixture
def start(collector):
    """Start a script as a process of its own that records into the collector."""

    def run(source: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", source, *arguments],
            env=collector.environment | {"TACHO_ENDPOINT": collector.url},
            stdout=subprocess.PIPE,
            text=True,
        )

    return run


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    said, _ = process.communicate(timeout=180)
    assert process.returncode == code
    return said.strip()


def settled(collector: Collector, run_id: str, spans: int):
    """The run, once it has ended and so many spans of it are stored; and its account."""
    with collector.client() as client:
        until(
            lambda: (
                (found := queries.run(client, run_id)) is not None
                and found.ended_at is not None
                and found.span_count >= spans
            )
        )
        found = queries.run(client, run_id)
        return found, build(found, queries.account_spans(client, run_id))


def layers(collector: Collector, run_id: str) -> list[str]:
    return [
        row[0]
        for row in collector.rows(
            f"SELECT layer FROM spans WHERE run_id = '{run_id}' ORDER BY start_time"
        )
    ]


def test_a_run_that_waits_for_a_person_over_a_restart_is_one_run(collector, start):
    run_id = finish(start(ASKS))
    stopped, account = settled(collector, run_id, 2)
    assert stopped.outcome == "stopped"
    assert any("the run stopped until there is an answer" in line.text for line in account.story)

    gone_ns = time.time_ns()
    finish(start(ANSWERED, run_id))
    between_ns = time.time_ns() - gone_ns
    run, account = settled(collector, run_id, 6)
    assert (run.outcome, run.stop_reason, run.span_count) == ("success", "", 6)
    assert run.layer_counts == {"run": 2, "approval": 2, "checkpoint": 1, "tool": 1}
    # The second process needed some of the time to start, and only then took the run up.
    assert 0 < run.waiting_ns < run.duration_ns
    assert run.duration_ns - run.waiting_ns < between_ns
    said = [line.text for line in account.section("approved").lines]
    assert any("maria approved" in text for text in said)


def test_a_run_that_was_killed_and_taken_up_keeps_its_id(collector, start):
    run_id = finish(start(KILLED), code=-9)
    finish(start(TAKEN_UP, run_id))
    # What the first left open may be recovered long after the second has ended.
    subprocess.run(
        [sys.executable, "-m", "tachograph.cli", "recover"], env=collector.environment, check=True
    )
    until(
        lambda: collector.rows(
            f"SELECT 1 FROM spans WHERE run_id = '{run_id}'"
            " AND attributes['tacho.run.outcome'] = 'interrupted'"
            " AND attributes['tacho.alive_unix_ns'] != ''"
        )
    )
    run, account = settled(collector, run_id, 5)
    assert run.outcome == "success"
    assert run.layer_counts == {"run": 2, "checkpoint": 2, "tool": 2}
    assert run.spans_made is None, "the first attempt did not live to count"
    assert "An earlier attempt of this run broke off without an ending" in account.warnings
    bill = " ".join(line.text for line in account.section("cost").lines)
    assert "between its attempts" in bill
    assert "people" not in bill
    assert 0 < run.waiting_ns < run.duration_ns
    story = [line.text for line in account.story]
    assert any("Took up again at the checkpoint “charged”" in text for text in story)
    changed = [line.text for line in account.section("changed").lines]
    assert sum("k-1" in text for text in changed) == 1
    assert sum("k-2" in text for text in changed) == 1


def test_a_run_reaches_over_http_and_into_a_child_process(collector, start):
    server = start(SERVER)
    port = server.stdout.readline().strip()
    run_id = finish(start(CALLER, port, CHILD))
    finish(server)
    run, account = settled(collector, run_id, 6)
    assert run.outcome == "success"
    assert (run.span_count, run.spans_made) == (6, 6)
    assert sorted(layers(collector, run_id)) == ["agent", "other", "other", "run", "tool", "tool"]
    assert run.tags == ["had a child"]
    assert len(collector.rows(f"SELECT 1 FROM runs WHERE run_id = '{run_id}'")) == 1
    changed = " ".join(line.text for line in account.section("changed").lines)
    assert "over http" in changed
    assert "in a child" in changed
