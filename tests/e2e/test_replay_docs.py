"""The five minutes of docs/replay.md: every command is run, and says what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from collector_process import Collector
from stored_recordings import stored

PAGE = (Path(__file__).parents[2] / "docs" / "replay.md").read_text(encoding="utf-8")
TUTORIAL = PAGE.partition("## In five minutes")[2].partition("\n## ")[0]


def examples():
    """Commands of the tutorial, each with what it is said to print."""
    for block in re.findall(r"```console\n(.*?)```", TUTORIAL, re.DOTALL):
        yield from re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)


def pattern(said):
    """``…`` stands for anything, also for lines; how columns are spaced is not told."""
    pieces = (r"\s+".join(map(re.escape, piece.split())) for piece in said.strip().split("…"))
    return r"[\s\S]*".join(rf"\s*{piece}\s*" for piece in pieces)


def test_a_new_user_replays_forks_and_tests_a_run(tmp_path):
    """In the order of the page, in one folder, with a fresh collector."""
    collector = Collector(tmp_path / "home").start()
    folder = tmp_path / "desk"
    folder.mkdir()
    (folder / "desk.py").write_text(re.search(r"```python\n(.*?)```", TUTORIAL, re.DOTALL)[1])
    kept = {k: v for k, v in collector.environment.items() if not k.startswith("PYTEST_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    environment = kept | {
        "PATH": path,
        "TACHO_ENDPOINT": collector.url,
        "PYTHONDONTWRITEBYTECODE": "1",
        # Nothing but ours: what else is installed here takes its time.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_PLUGINS": "tachograph.replay.pytest_plugin",
    }
    done = []
    try:
        for command, said in examples():
            result = subprocess.run(
                ["bash", "-c", command],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
            assert re.fullmatch(pattern(said), result.stdout), (
                f"{command}\n{result.stdout}{result.stderr}"
            )
            done.append(command.split()[0])
            if command == "python desk.py":
                stored(collector, 1)
            elif command.startswith("tacho fork"):
                stored(collector, 2)
    finally:
        assert collector.stop() == 0
    assert (folder / "ledger.txt").read_text() == "O-17 30\nO-17 60\n", "once, and the fork"
    assert (folder / "report.html").stat().st_size > 1_000
    assert done.count("tacho") >= 6
