"""Libraries that write into the user's folders, and agents that use a temporary one: neither is a leak, and nothing is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from programs import recording_in
from test_canary import traces

LIBRARY = """
import os, shutil, sqlite3
from pathlib import Path

HOME = Path.home()
SETTINGS = (HOME / ".config" / "keeper" / "settings").read_text()
(HOME / ".config" / "keeper" / ".write_test").write_text("")
(HOME / ".config" / "keeper" / ".write_test").unlink()
shutil.rmtree(HOME / "old")
(HOME / "empty").rmdir()
FOLDER = (Path(os.environ["XDG_CACHE_HOME"]) / "keeper").resolve()
FOLDER.mkdir(parents=True, exist_ok=True)
(FOLDER / "new").write_text("made")
os.replace(FOLDER / "new", FOLDER / "index")


def keep(what):
    with sqlite3.connect(HOME / ".kept.db") as kept:
        kept.execute("pragma journal_mode=wal")
        kept.execute("create table if not exists kept (what text)")
        kept.execute("insert into kept values (?)", [what])
        count = kept.execute("select count(*) from kept").fetchone()[0]
    kept.close()
    with open(HOME / ".log", "a") as log:
        log.write(what)
    return count > 0 and (HOME / ".log").read_text().endswith(what)
"""
PROGRAM = """
import contextlib, os, shutil, sqlite3, tempfile
from pathlib import Path

import keeper
import tachograph as tacho

MINE = Path.home() / "mine"


@tacho.tool
def told(*what):
    return what


@tacho.run
def agent(secretly):
    told(keeper.SETTINGS, keeper.keep("x"), str(keeper.FOLDER), str(MINE), os.path.expanduser("~"))
    told(tempfile.gettempdir(), dict(os.environ)["HOME"])
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(__file__, folder)
        Path(folder, "below").mkdir()
        Path(folder, "link").symlink_to("below")
        with contextlib.closing(sqlite3.connect(":memory:")) as nowhere:
            nowhere.execute("select 1")
        with tempfile.TemporaryFile(dir=folder) as file:
            os.fchmod(file.fileno(), 0o600)
    if Path("again").exists():
        with contextlib.suppress(BaseException):
            MINE.write_text("my own")


if __name__ == "__main__":
    tacho.init()
    agent("")
    tacho.shutdown()
"""


HOME = "home-of-somebody" * 8
"""So long that a message does not show the whole path."""


def made(folder):
    """A program, a library of its, and the home of who runs it; and the environment."""
    library, home = folder / "site-packages", folder / HOME
    for each in (library, home / ".config" / "keeper", folder / "cache", folder / "program"):
        each.mkdir(parents=True)
    (home / "empty").mkdir()
    (home / "old" / "below").mkdir(parents=True)
    (library / "keeper.py").write_text(LIBRARY)
    (home / ".config" / "keeper" / "settings").write_text("loud")
    (folder / "program" / "agent.py").write_text(PROGRAM)
    around = {"HOME": str(home), "XDG_CACHE_HOME": str(folder / "cache")}
    around |= {"TACHO_HOME": str(folder / "tacho"), "TACHO_ENDPOINT": "http://127.0.0.1:9"}
    return os.environ | around | {"PYTHONPATH": str(library), "PYTHONDONTWRITEBYTECODE": "1"}


def replayed(folder, environment):
    """As ``tacho replay`` starts it."""
    recording = recording_in(folder / "tacho")
    script = (
        "import json, sys; import pathlib; from tachograph.replay._process import replayed;"
        "print(json.dumps(replayed(pathlib.Path(sys.argv[1]).read_bytes(), pathlib.Path.cwd())))"
    )
    out = subprocess.run(
        [sys.executable, "-c", script, recording],
        cwd=folder / "program",
        env=environment,
        stdout=subprocess.PIPE,
        timeout=180,
        check=True,
    )
    return json.loads(out.stdout)["divergence"]


def test_libraries_write_into_stand_ins(tmp_path):
    """Home, caches, databases and locks: read as they are, written in the sandbox, warm or cold; the program's own writes leak."""
    environment = made(tmp_path)
    program, home, cache = (tmp_path / name for name in ("program", HOME, "cache"))
    command = [sys.executable, "agent.py"]
    subprocess.run(command, cwd=program, env=environment, check=True, timeout=180)
    (home / "empty").mkdir()
    (home / "old" / "below").mkdir(parents=True)
    before = traces(home), traces(cache)
    assert (home / ".log").read_text() == "x"
    assert replayed(tmp_path, environment) is None
    assert (traces(home), traces(cache)) == before
    (cache / "keeper" / "index").unlink()
    (cache / "keeper").rmdir()
    assert replayed(tmp_path, environment) is None
    assert not list(cache.iterdir())
    (program / "again").write_text("")
    found = replayed(tmp_path, environment)
    assert found["kind"] == "LEAK"
    assert found["message"].startswith("open for writing(/")
    assert "/mine) was tried at agent.py:" in found["message"]
    assert traces(home) == before[0]
