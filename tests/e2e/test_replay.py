"""Replay as users have it: a collector, an agent of their own, and the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import urllib.request

import pytest
from collector_process import Collector
from stored_recordings import stored

AGENT = """
    import asyncio, os, random, sys, time
    import tachograph as tacho

    @tacho.tool
    async def look_up(order):
        await asyncio.sleep(random.random() * 0.01)
        return {"order": order, "paid": random.randint(10, 99)}

    @tacho.effect
    def refund(order, usd):
        with open("ledger.txt", "a") as ledger:
            ledger.write(f"{order} {usd}\\n")
        if os.environ.get("DIE"):
            os.kill(os.getpid(), 9)
        return f"receipt {order}"

    @tacho.run(agent="desk")
    async def handle(orders):
        found = await asyncio.gather(*(look_up(order) for order in orders))
        await asyncio.sleep(0.05)
        receipt = refund(found[0]["order"], found[0]["paid"])
        last = await look_up("last")
        return {"found": found, "receipt": receipt, "last": last, "at": time.time()}

    if __name__ == "__main__":
        tacho.init()
        print(asyncio.run(handle(["a", "b", "c"])))
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    collector = Collector(tmp_path_factory.mktemp("replay") / "home").start()
    yield collector
    assert collector.stop() == 0


@pytest.fixture
def program(up, tmp_path):
    (tmp_path / "desk.py").write_text(textwrap.dedent(AGENT))
    return Program(up, tmp_path)


class Program:
    def __init__(self, up, folder):
        self.up, self.folder = up, folder

    def python(self, *words, **environment):
        kept = {k: v for k, v in self.up.environment.items() if not k.startswith("PYTEST_")}
        return subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env=kept | {"TACHO_ENDPOINT": self.up.url, "TACHO_RECORD": "exact"} | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def record(self):
        """One run, and its recording is the last that is stored."""
        before = self.up.rows("SELECT uniqExact(run_id) FROM recording_rows")[0][0]
        made = self.python("desk.py")
        assert made.returncode == 0, made.stderr
        stored(self.up, before + 1)

    def tacho(self, *words, code=0):
        kept = {k: v for k, v in self.up.environment.items() if not k.startswith("PYTEST_")}
        result = subprocess.run(
            [sys.executable, "-m", "tachograph.cli", *words],
            cwd=self.folder,
            env=kept,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert result.returncode == code, result.stdout + result.stderr
        return result.stdout

    @property
    def ledger(self):
        path = self.folder / "ledger.txt"
        return path.read_text().splitlines() if path.exists() else []


def test_the_demo_agents_replay_identically(up, program):
    """All at once, as before a deploy: that imports the clients of models once instead of once a run."""
    recorded = json.loads(program.tacho("demo", "--json"))
    runs = {run["run_id"]: run["agent"] for run in recorded}
    stored(up, len(runs))
    assert {*runs.values()} >= {"support", "planner", "loop", "contract", "monday", "crash"}
    found = json.loads(program.tacho("replay", "--since", "1h", "--json"))
    replayed = {run_id: _what_came_of(up, run_id) for run_id in runs}
    assert found["runs"] >= len(runs)
    for run_id, result in replayed.items():
        assert result["identical"], (runs[run_id], result)
        assert result["effects"] > 0


def _what_came_of(up, run_id):
    """The replay of a run, as its page has it."""
    with urllib.request.urlopen(f"{up.url}/api/v1/replays?run_id={run_id}", timeout=30) as answer:
        return json.load(answer)["replays"][0]["result"]


def test_a_script_is_replayed_and_its_edit_found(program):
    program.record()
    assert len(program.ledger) == 1
    assert "Identical: 5 effects" in program.tacho("replay", "last")
    program.tacho("export", "last", "-o", "run.tacho")
    assert json.loads(program.tacho("replay", "run.tacho", "--json"))["divergence"] is None
    assert "3 of 3" in program.tacho("check", "run.tacho")
    assert len(program.ledger) == 1, "nothing was paid again"

    program.tacho("test", "run.tacho", "-o", "tests")
    green = program.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert green.returncode == 0, green.stdout
    source = (program.folder / "desk.py").read_text()
    (program.folder / "desk.py").write_text(
        source.replace('found[0]["paid"])', '2 * found[0]["paid"])')
    )
    red = program.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert red.returncode == 1
    assert "ARGS_CHANGED in step 4" in red.stdout
    assert "$.usd" in red.stdout
    assert "changed since the recording: desk.py" in red.stdout
    assert len(program.ledger) == 1


def test_an_undeclared_write_is_stopped(program):
    """undecorated-write: the fence names the line, and the file is not touched."""
    program.record()
    program.tacho("export", "last", "-o", "run.tacho")
    source = (program.folder / "desk.py").read_text()
    (program.folder / "desk.py").write_text(source.replace("@tacho.effect\n", ""))
    answer = json.loads(program.tacho("replay", "run.tacho", "--json", code=1))
    assert answer["divergence"]["kind"] == "LEAK"
    assert "desk.py:" in answer["divergence"]["message"]
    assert len(program.ledger) == 1


def test_a_fork_is_a_run_of_its_own(program):
    program.record()
    program.tacho("export", "last", "-o", "run.tacho")
    words = ("fork", "run.tacho", "--at", "5", "--set", '4.result="none"', "--json")
    (fork,) = json.loads(program.tacho(*words))
    assert fork["outcome"] == "ok"
    assert fork["output"]["receipt"] == "none"
    assert len(program.ledger) == 1
    assert json.loads(program.tacho("replay", fork["run_id"], "--json"))["identical"]
    (denied,) = json.loads(program.tacho("fork", "run.tacho", "--at", "4", "--json", code=1))
    assert "allow-writes" in denied["error"]


def test_a_killed_run_is_resumed(up, program):
    """crash-in-write with a real SIGKILL: lookups are not repeated, the payment is not blindly done."""
    killed = program.python("desk.py", DIE="1")
    assert killed.returncode == -signal.SIGKILL
    (journal,) = (up.home / "tapes").glob("*.tape")
    stopped = json.loads(program.tacho("resume", journal.name.partition(".")[0], "--json", code=1))
    assert "may or may not have happened" in stopped["error"]
    assert len(program.ledger) == 1
    done = json.loads(
        program.tacho("resume", journal.name.partition(".")[0], "--allow-writes", "--json")
    )
    assert done["outcome"] == "ok"
    assert done["run_id"] == journal.name.partition(".")[0]  # the same run goes on
    assert len(program.ledger) == 2
    # It is over now: a third attempt would be one more beginning in its record, and no more.
    program.tacho("resume", journal.name.partition(".")[0], "--allow-writes", code=1)
    assert len(program.ledger) == 2
