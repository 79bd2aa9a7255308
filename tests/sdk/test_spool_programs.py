"""Real processes that end in every way a process can, against a real collector: nothing finished is lost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from otlp_server import Collector, running_collector

from free_port import free_port
from tachograph._slots import read_alive_ns

ROOT = Path(__file__).parents[2]
NOWHERE = "http://127.0.0.1:9"
EXIT_S = 10
"""Two seconds, and what a busy machine adds; an exit without a bound takes half a minute and more."""
PRELUDE = """
import asyncio, os, signal, sys, threading, time
import tachograph as tacho

@tacho.tool
def look(n): return {"n": n}

@tacho.tool
async def look_async(n): return {"n": n}

def said(word): print(word, flush=True)
def wait(): sys.stdin.read(1)
"""
START = PRELUDE + "tacho.init(endpoint=sys.argv[1], service='svc', heartbeat_s=0)\n"
BURST = START + "for n in range(5_000): look(n)\n"


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PYTEST_", "TACHO_", "OTEL_"))
    }
    path = os.pathsep.join([str(ROOT / "sdk"), str(ROOT / "schemas")])
    return {**kept, "PYTHONPATH": path, "TACHO_HOME": str(home), **more}


@dataclass
class Programs:
    """Starts programs that share one home."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def start(self, source: str, url: str, **more: str) -> subprocess.Popen[str]:
        script = self.folder / f"agent{len(list(self.folder.glob('*.py')))}.py"
        script.write_text(source)
        return subprocess.Popen(
            [sys.executable, "-W", "error", str(script), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=environment(self.home, **more),
        )

    def run(self, source: str, url: str, **more: str) -> tuple[int, str, str]:
        program = self.start(source, url, **more)
        out, err = program.communicate(timeout=180)
        return program.returncode, out, err

    def recover(self, url: str, *words: str, **more: str) -> tuple[int, dict[str, object]]:
        done = subprocess.run(
            [sys.executable, "-m", "tachograph.cli", "recover", "--json", *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=180,
            env=environment(self.home, TACHO_ENDPOINT=url, **more),
        )
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)

    def left(self) -> list[Path]:
        """The spools on disk."""
        folder = self.home / "spool"
        return sorted(folder.iterdir()) if folder.exists() else []


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


def numbers(collector: Collector, name: str = "execute_tool look") -> list[int]:
    found = (s.attributes["gen_ai.tool.call.result"] for s in collector.final(name))
    return sorted(json.loads(text)["n"] for text in found)


def in_time(condition: Callable[[], bool], timeout_s: float = 60.0) -> bool:
    """For what another process does to files, where there is nothing to wait on."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True


# --- a burst of 5,000 calls, and the collector as it may be ------------------------------------------


def end_by_itself(program: subprocess.Popen[str]) -> int:
    program.communicate(timeout=180)
    return 0


def end_by(number: signal.Signals) -> Callable[[subprocess.Popen[str]], int]:
    def end(program: subprocess.Popen[str]) -> int:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        program.send_signal(number)
        program.communicate(timeout=180)
        return -number

    return end


WAITS = "said('ready'); wait()\n"
ENDINGS = [
    pytest.param("", end_by_itself, id="exit"),
    pytest.param("os._exit(0)\n", end_by_itself, id="os._exit"),
    pytest.param(WAITS, end_by(signal.SIGTERM), id="SIGTERM"),
    pytest.param(WAITS, end_by(signal.SIGKILL), id="SIGKILL"),
]
SINKS = ["ok", "slow", "outage"]


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize(("last_words", "end"), ENDINGS)
def test_burst_is_delivered_whole_however_the_process_ends(programs, last_words, end, sink):
    """By the process or by whoever recovers it, each call once."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:
        if sink != "outage":
            collector = stack.enter_context(running_collector(port))
            collector.delay_s = 0.3 if sink == "slow" else 0.0
        program = programs.start(BURST + last_words, url)
        assert end(program) == program.returncode
        if sink == "outage":
            collector = stack.enter_context(running_collector(port))
        collector.delay_s = 0.0
        code, said = programs.recover(url)
        assert (code, said["held"], said["lost"]) == (0, [], 0)
        # What was in flight when the process died may come twice; the collector keeps one a span id.
        by_id = {s.span_id: s for s in collector.final("execute_tool look")}
        results = [s.attributes["gen_ai.tool.call.result"] for s in by_id.values()]
        assert len(results) == 5_000
        assert sorted(json.loads(text)["n"] for text in results) == list(range(5_000))
        assert programs.left() == []


def test_exit_with_the_sink_down_is_bounded_and_keeps_everything(programs):
    """Two seconds, and a sentence that says where the spans are."""
    program = programs.start(BURST + "print(time.time(), flush=True)\n", NOWHERE)
    out, err = program.communicate(timeout=180)
    assert time.time() - float(out) < EXIT_S
    assert "5000 spans were not delivered yet" in err
    assert "tacho recover" in err
    assert len(programs.left()) == 1


# --- the crash, and what it leaves -------------------------------------------------------------------

CRASH = START + (
    "@tacho.tool(risk='high')\n"
    "def refund(order, usd): os.kill(os.getpid(), signal.SIGKILL)\n"
    "@tacho.run(agent='billing')\n"
    "def handle(task):\n"
    "    look(1)\n"
    "    refund('A-7', 12.5)\n"
    "handle('refund A-7')\n"
)


def test_call_that_killed_the_process_is_known_with_its_arguments(programs, collector):
    """The last step is what explains a crash; its run is interrupted, not running."""
    code, _, _ = programs.run(CRASH, collector.url)
    assert code == -signal.SIGKILL
    code, said = programs.recover(collector.url)
    assert (code, said["spans"], said["interrupted"]) == (0, 1, 2)
    last = [s for s in collector.spans if s.name == "execute_tool refund"][-1]
    assert last.open
    assert last.end_time_ns == 0
    assert last.attributes["tacho.interrupted"] is True
    assert json.loads(last.attributes["gen_ai.tool.call.arguments"]) == {
        "order": "A-7",
        "usd": 12.5,
    }
    run = [s for s in collector.spans if s.name == "invoke_agent billing"][-1]
    assert run.open
    assert run.attributes["tacho.run.outcome"] == "interrupted"
    assert run.attributes["tacho.run.goal"] == "refund A-7"
    assert last.parent_id == run.span_id
    assert numbers(collector) == [1]


def test_wait_before_another_attempt_is_known_when_the_process_dies_in_it(programs, collector):
    """Else nothing would say that what failed was about to be tried again."""
    pytest.importorskip("tenacity")
    source = START + (
        "import tenacity\n"
        "tacho.instrument('tenacity')\n"
        "@tenacity.retry(sleep=lambda seconds: os.kill(os.getpid(), signal.SIGKILL))\n"
        "def flaky(): raise OSError('down')\n"
        "tacho.run(flaky)()\n"
    )
    code, _, err = programs.run(source, collector.url)
    assert code == -signal.SIGKILL, err
    programs.recover(collector.url)
    wait = next(s for s in collector.spans if s.attributes["tacho.layer"] == "retry")
    assert wait.open
    assert wait.attributes["tacho.interrupted"] is True
    assert wait.attributes["tacho.retry.attempt"] == 1


def test_hung_call_is_known_to_have_hung(programs, collector):
    """Killed in a long call, the process is told to have lived until its last heartbeat."""
    beating = START.replace("heartbeat_s=0)", "heartbeat_s=0.05)")
    source = beating + "@tacho.run\ndef hang():\n    said('hung'); wait()\nhang()\n"
    program = programs.start(source, NOWHERE)
    assert program.stdout is not None
    program.stdout.readline()
    (spool,) = programs.left()
    assert in_time(lambda: read_alive_ns(spool) > 0)
    since_ns = read_alive_ns(spool)
    assert in_time(lambda: read_alive_ns(spool) > since_ns)
    program.kill()
    program.communicate(timeout=180)
    alive_ns = read_alive_ns(spool)
    programs.recover(collector.url)
    assert collector.spans[-1].attributes["tacho.alive_unix_ns"] == alive_ns


def test_later_program_sends_what_a_dead_one_left(programs, collector):
    """In the background, with no command of anybody's."""
    programs.run(CRASH, NOWHERE)
    assert len(programs.left()) == 1
    source = START + "look(2); wait()\n"
    program = programs.start(source, collector.url)
    assert collector.wait_for(lambda: len(collector.final()) >= 2)
    assert collector.wait_for(
        lambda: any(s.name == "invoke_agent billing" for s in collector.spans)
    )
    assert in_time(lambda: len(programs.left()) == 1)
    program.communicate("x", timeout=180)
    assert numbers(collector) == [1, 2]
    assert programs.left() == []


def test_living_program_is_left_alone(programs, collector):
    """Its lock says that it lives, stopped or not."""
    program = programs.start(START + "look(1); said('ready'); wait()\n", NOWHERE)
    assert program.stdout is not None
    program.stdout.readline()
    program.send_signal(signal.SIGSTOP)
    assert programs.recover(collector.url)[1]["spools"] == 0
    program.send_signal(signal.SIGCONT)
    assert len(programs.left()) == 1
    program.communicate("x", timeout=180)
    assert programs.recover(collector.url)[1]["spans"] == 1


def test_frozen_and_thawed_process_goes_on(programs, collector):
    """As a function platform does between two requests."""
    source = START + (
        "for turn in range(3):\n    look(turn); said('frozen'); wait()\n    look(10 + turn)\n"
    )
    program = programs.start(source, collector.url, TACHO_EXPORT_DELAY_S="0.05")
    assert program.stdout is not None
    assert program.stdin is not None
    for _ in range(3):
        assert program.stdout.readline() == "frozen\n"
        program.send_signal(signal.SIGSTOP)
        os.waitpid(program.pid, os.WUNTRACED)
        program.stdin.write("x")
        program.stdin.flush()
        program.send_signal(signal.SIGCONT)
    program.communicate(timeout=180)
    assert numbers(collector) == [0, 1, 2, 10, 11, 12]
