"""A worker that is there for days: the collector is started anew under it, and somebody ends it at its work."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import urllib.request
from pathlib import Path

import pytest
from collector_process import Collector
from stored_recordings import stored

from free_port import free_port
from pipeline import until

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk" / "replay"))

from programs import DESK


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    """At an address that it keeps."""
    home = tmp_path_factory.mktemp("worker") / "home"
    collector = Collector(home, TACHO_HTTP_PORT=str(free_port())).start()
    yield collector
    assert collector.stop() == 0


@pytest.fixture
def desk(up, tmp_path):
    """A folder with a program, which has run once; its run."""
    (tmp_path / "desk.py").write_text(textwrap.dedent(DESK))
    made = _start(up, tmp_path, "desk.py", TACHO_RECORD="exact")
    _, errors = made.communicate(timeout=120)
    assert made.returncode == 0, errors
    return tmp_path, stored(up, 1)[0]


def _start(up, folder, *words, **more):
    kept = {k: v for k, v in up.environment.items() if not k.startswith("PYTEST_")}
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env=kept | {"TACHO_ENDPOINT": up.url} | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _worker(up, folder):
    worker = _start(up, folder, "-m", "tachograph.cli", "worker")
    assert "Waiting for replays" in worker.stdout.readline()
    return worker


def _ask(up, run_id):
    body = json.dumps({"run_id": run_id}).encode()
    kind = {"Content-Type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{up.url}/api/v1/replays", body, kind), timeout=30
    ) as answer:
        return json.load(answer)["id"]


def _replay(up, run_id, replay_id):
    with urllib.request.urlopen(f"{up.url}/api/v1/replays?run_id={run_id}", timeout=30) as answer:
        return next(each for each in json.load(answer)["replays"] if each["id"] == replay_id)


def _end(worker, number=signal.SIGINT):
    worker.send_signal(number)
    _, errors = worker.communicate(timeout=60)
    return worker.returncode, errors


def test_a_worker_outlives_the_collector(up, desk):
    folder, run_id = desk
    worker = _worker(up, folder)
    up.signal(signal.SIGKILL)
    assert "This worker goes on once it answers." in worker.stderr.readline()
    up.start()
    asked = _ask(up, run_id)
    until(lambda: _replay(up, run_id, asked)["status"] == "done")
    assert _replay(up, run_id, asked)["result"]["identical"] is True
    code, errors = _end(worker)
    assert code == 128 + signal.SIGINT
    assert errors.count("does not answer") == 0, "it is said once"
    assert "answers again" in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_is_ended_at_its_work_says_so(up, desk, number):
    """The page does not say for a quarter of an hour that it is at it, and the replay can be asked for again."""
    folder, run_id = desk
    program = (folder / "desk.py").read_text()
    (folder / "desk.py").write_text("import threading\nthreading.Event().wait(600)\n" + program)
    worker = _worker(up, folder)
    asked = _ask(up, run_id)
    # Taken is what the collector says before the worker has heard it.
    until(Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text)
    assert _replay(up, run_id, asked)["status"] == "taken"
    assert _end(worker, number)[0] == 128 + number
    found = _replay(up, run_id, asked)
    assert found["status"] == "done"
    assert "ended before" in found["result"]["problem"]
