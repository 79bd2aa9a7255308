"""Side effects in a replay: none, by files, sockets, processes or signals, whatever the agent catches."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from canary import UVLOOP_WAYS, WAYS
from programs import recording_in

CANARY = Path(__file__).parent / "canary.py"
EXPECTED = {"loop-connect", "loop-process", *(f"uvloop-{way}" for way in UVLOOP_WAYS)}
WRAPPED = {"interpreter": "RuntimeError"} | {
    f"sqlite-{way}": "DatabaseError" for way in ("attach", "direct", "vacuum")
}
"""What comes of a refusal that goes through C code which raises something of its own."""


@pytest.fixture
def sleeper():
    process = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    )
    yield process
    process.stdin.close()
    process.wait(60)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def traces(folder):
    """Names, contents and times of everything there."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_mode)
        for path in sorted(folder.rglob("*"))
        if "__pycache__" not in path.parts
    }


def test_undecorated_write_and_other_canaries(tmp_path, sleeper, listener):
    """undecorated-write, subprocess-tool: each way is refused, the first is named with its line."""
    home, program = tmp_path / "home", tmp_path / "program"
    (program / "tree").mkdir(parents=True)
    shutil.copy(CANARY, program / "agent.py")
    (program / "victim").write_text("untouched")
    (program / "port").write_text(str(listener.getsockname()[1]))
    (program / "pid").write_text(str(sleeper.pid))
    kept = os.environ | {"TACHO_HOME": str(home), "TACHO_ENDPOINT": "http://127.0.0.1:9"}
    subprocess.run([sys.executable, "agent.py"], cwd=program, env=kept, check=True, timeout=180)
    recording = recording_in(home)
    (program / "tries").write_text("")
    before = traces(program)
    replayed = subprocess.run(
        [sys.executable, "-m", "tachograph.replay", str(recording), "--code", str(program)],
        cwd=program,
        env=kept,
        capture_output=True,
        timeout=300,
        check=True,
    )
    divergence = json.loads(replayed.stdout)["divergence"]
    said = (line.partition(": ") for line in replayed.stderr.decode().splitlines())
    refused = {name: error for name, _, error in said}
    expected = {name: WRAPPED.get(name, "Diverged") for name in {*WAYS, *EXPECTED}}
    assert {name: refused.get(name) for name in expected} == expected
    assert divergence["kind"] == "LEAK"
    assert "agent.py:" in divergence["message"]
    assert traces(program) == before
    assert sleeper.poll() is None
    with pytest.raises(BlockingIOError):
        listener.accept()
