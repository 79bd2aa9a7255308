"""Many replays at once, forks side by side, a worker, and recordings that travel: as users have them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from collector_process import Collector
from stored_recordings import DEADLINE_S, stored

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk" / "replay"))

from programs import DESK, edit, record

from tachograph_schemas import tapes


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    collector = Collector(tmp_path_factory.mktemp("tools") / "home").start()
    yield collector
    assert collector.stop() == 0


class Program:
    """A program in a folder, its runs, and the command line beside it."""

    def __init__(self, up, folder):
        self.up, self.folder = up, folder
        (folder / "desk.py").write_text(textwrap.dedent(DESK))
        self.environment = {
            k: v for k, v in up.environment.items() if not k.startswith("PYTEST_")
        } | {"TACHO_ENDPOINT": up.url}

    def run(self, **environment):
        made = subprocess.run(
            [sys.executable, "desk.py"],
            cwd=self.folder,
            env=self.environment | {"TACHO_RECORD": "exact"} | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_S,
        )
        assert made.returncode == 0, made.stderr

    def start(self, *words):
        return subprocess.Popen(
            [sys.executable, "-m", "tachograph.cli", *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def tacho(self, *words, code=0):
        process = self.start(*words)
        out, errors = process.communicate(timeout=300)
        assert process.returncode == code, out + errors
        return out


@pytest.fixture(scope="module")
def program(up, tmp_path_factory):
    return Program(up, tmp_path_factory.mktemp("program"))


def test_a_day_is_replayed_before_a_deploy(up, program):
    """What would change, what would not, what cannot be told; and Ctrl-C leaves nothing running."""
    for mode in ("exact", "exact", "light"):
        program.run(TACHO_RECORD=mode)
    runs = stored(up, 3)
    before = json.loads(program.tacho("replay", "--since", "1h", "--json", code=1))
    assert before["runs"] == 3
    assert before["identical"] == 2
    assert [each["reason"] for each in before["not_replayable"]] == [
        "it was recorded in light mode, which keeps digests only"
    ]
    edit(program.folder / "desk.py", 'found[0]["paid"])', '2 * found[0]["paid"])')
    said = program.tacho("replay", "--since", "1h", "--agent", "desk", "--jobs", "2", code=1)
    assert "2  changed" in said
    assert "2  ARGS_CHANGED refund, desk.py:" in said
    assert set(runs) >= {each["run_id"] for each in before["not_replayable"]}
    assert [each["options"].keys() for each in _replays(up, runs[0])] == [{"sweep"}]
    assert "ARGS_CHANGED" in str(_replays(up, runs[0])[0]["result"]), "the last one"
    after, first = _get(up, "replays/sweeps")["sweeps"]
    assert first["result"]["identical"] == 2
    assert after["options"]["agent"] == "desk"
    assert [(group["state"], group["runs"]) for group in after["result"]["groups"]] == [
        ("changed", 2),
        ("not_replayable", 1),
    ]

    hanging = "import pathlib\nwhile not pathlib.Path('go').exists(): pass\n"
    source = (program.folder / "desk.py").read_text()
    (program.folder / "desk.py").write_text(hanging + source)
    process = program.start("replay", "--since", "1h", "--jobs", "2")
    children = _children_of(process)
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE_S) == 130
    process.stdout.close()
    process.stderr.close()
    for child in children:
        _gone(child)
    (program.folder / "desk.py").write_text(textwrap.dedent(DESK))


def _children_of(process):
    """The replays that a command has under way, once there is one."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                words = (entry / "cmdline").read_bytes()
            except (OSError, ValueError):
                continue
            if parent == process.pid and b"tachograph.replay" in words:
                found.append(int(entry.name))
        if found:
            return found
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _gone(pid):
    deadline = time.monotonic() + DEADLINE_S
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, "a replay is still running"
        time.sleep(0.02)


def test_forks_are_compared_and_remembered(up, program):
    """A table beside what was recorded; each fork is a run, linked to what it was made of."""
    program.run()
    run_id = stored(up, 4)[-1]
    said = program.tacho("fork", run_id, "--at", "4", "--allow-writes", "-n", "2")
    rows = [line.split() for line in said.splitlines()]
    assert rows[0][:2] == ["run", "ended"]
    assert rows[1][:2] == ["recorded", run_id[:8]]
    assert [row[0] for row in rows[2:4]] == ["fork", "fork"]
    assert "1 different result in 2 forks." in said
    assert "Identical" in program.tacho("replay", run_id)
    found = _replays(up, run_id)
    assert [(each["kind"], each["status"]) for each in found] == [
        ("replay", "done"),
        ("fork", "done"),
        ("fork", "done"),
    ]
    child = found[1]["child_run_id"]
    assert _replays(up, child)[0]["run_id"] == run_id, "the child knows its parent too"
    assert found[1]["options"] == {"allow_writes": True, "at": 4}
    denied = program.tacho("fork", run_id, "--at", "4", code=1)
    assert "--allow-writes" in denied


def _get(up, path):
    with urllib.request.urlopen(f"{up.url}/api/v1/{path}", timeout=30) as answer:
        return json.load(answer)


def _replays(up, run_id):
    return _get(up, f"replays?run_id={run_id}")["replays"]


def _ask(up, run_id, **more):
    body = json.dumps({"run_id": run_id, **more}).encode()
    request = urllib.request.Request(
        f"{up.url}/api/v1/replays", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_a_worker_replays_what_is_asked_for(up, program):
    """Nothing happens until somebody starts one; it replays, and does nothing else."""
    run_id = stored(up, 1)[0]
    asked = _ask(up, run_id)
    assert _ask(up, run_id)["id"] == asked["id"], "asking twice is asking once"
    fork = _ask(up, run_id, kind="fork", options={"at": 1})
    path = _ask(up, "../../etc/passwd")
    assert _replays(up, run_id)[0]["status"] == "asked"
    said = program.tacho("worker", "--once")
    assert f"{run_id}  identical" in said
    done = {each["id"]: each for each in _replays(up, run_id)}
    assert done[asked["id"]]["result"]["identical"] is True
    assert done[asked["id"]]["result"]["effects"] == 4
    assert done[fork["id"]]["result"] == {"problem": "A worker only replays."}
    refused = _replays(up, urllib.parse.quote("../../etc/passwd", safe=""))
    assert refused[0]["id"] == path["id"]
    assert "no id of a run" in refused[0]["result"]["problem"]


def test_a_recording_travels(up, program, tmp_path):
    """Recorded elsewhere, imported under its own id, and exported again: the same bytes."""
    file = record(tmp_path)
    run_id = file.name.partition(".")[0]
    assert f"Imported {run_id}, 4 effects" in program.tacho("import", str(file))
    assert "Known already" in program.tacho("import", str(file))
    again = tmp_path / "again.tacho"
    program.tacho("export", run_id[:12], "-o", str(again))
    assert again.read_bytes() == file.read_bytes()
    assert "Identical: 4 effects" in program.tacho("replay", run_id)
    assert _get(up, f"replays?run_id={run_id}")["replays"], "the replay of it is in its history"
    (tmp_path / "bad.tacho").write_bytes(b"PK nonsense")
    program.tacho("import", str(tmp_path / "bad.tacho"), code=1)


def test_an_exported_run_has_its_page_on_the_other_machine(up, program, tmp_path):
    """Its spans travel beside its recording. A file speaks of its own run alone, and changes none that is known."""
    before = {row[0] for row in up.rows("SELECT run_id FROM runs")}
    program.run()
    run_id, *shown = _whole(up, before)
    file, other = tmp_path / "run.tacho", "c0ffee" + run_id[6:]
    assert "with 5 spans." in program.tacho("export", run_id, "-o", str(file))
    file.write_bytes(_of_another_run(file.read_bytes(), run_id, other))
    assert program.tacho("import", str(file)) == f"Imported {other}, 4 effects, 5 spans.\n"
    assert _whole(up, {*before, run_id}) == [other, *shown]

    mixed = _of_another_run(file.read_bytes(), other, "decade" + run_id[6:], spans=False)
    file.write_bytes(mixed)
    program.tacho("import", str(file), code=1)


def _whole(up, before):
    """What is stored of the one run that is new, once all its spans are there."""
    columns = "run_id, agent, tool_calls, model_calls, started_at, duration_ns, input, output"
    deadline = time.monotonic() + DEADLINE_S
    while True:
        query = f"SELECT {columns} FROM runs WHERE outcome = 'success' AND span_count = 5"
        rows = [row for row in up.rows(query) if row[0] not in before]
        if rows:
            (row,) = rows
            return list(row)
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _of_another_run(package, old, new, *, spans=True):
    """The same file under another id; with ``spans=False`` its spans keep theirs."""
    _, blobs, texts = tapes.opened(package)
    crc, lines = 0, []
    for each in tapes.lines_of(texts[tapes.TAPE_MEMBER]):
        line, crc = tapes.frame(json.dumps(each).replace(old, new), crc)
        lines.append(line)
    member = texts[tapes.SPANS_MEMBER]
    named = {name: texts[f"blobs/{name}.json"].decode() for name in blobs}
    made = tapes.zipped(b"".join(lines), named)
    return tapes.with_spans(made, member.replace(old.encode(), new.encode()) if spans else member)
