"""Many replays fork from processes that have the libraries already: each is as fresh as one of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from programs import edit, record

from tachograph.replay._process import Processes, replayed
from tachograph.replay._recording import Recording, RecordingError
from tachograph.replay._warm import libraries_for


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("warm")
    return folder, record(folder).read_bytes()


@pytest.fixture
def processes():
    made = Processes(60)
    yield made
    made.end()


def pids(processes):
    return [warm._process.pid for warm in processes._warm]


def test_one_process_serves_many_replays(program, processes):
    """It sees each edit, as nothing of the program is imported before the fork; and it ends when it is told."""
    folder, package = program
    assert replayed(package, folder, among=processes)["identical"]
    (first,) = pids(processes)
    edit(folder / "desk.py", "Be polite", "Be brief")
    found = replayed(package, folder, among=processes)["divergence"]
    edit(folder / "desk.py", "Be brief", "Be polite")
    assert found["kind"] == "ARGS_CHANGED"
    assert replayed(package, folder, among=processes)["identical"]
    assert pids(processes) == [first]
    processes.end()
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    with pytest.raises(RecordingError, match="interrupted"):
        replayed(package, folder, among=processes)


def test_what_hangs_is_given_up_and_the_next_one_served(program, processes):
    """A program that does not end while it is imported: nothing of it is left."""
    folder, package = program
    source = (folder / "desk.py").read_text()
    (folder / "desk.py").write_text("while True: pass\n" + source)
    processes.timeout_s = 2.0
    with pytest.raises(RecordingError, match="took longer than 2 seconds"):
        replayed(package, folder, among=processes)
    assert pids(processes) == []
    (folder / "desk.py").write_text(source)
    processes.timeout_s = 60.0
    assert replayed(package, folder, among=processes)["identical"]


def test_only_known_libraries_are_imported_beforehand(program, tmp_path):
    """Not what a recording names, and not what the program has under the same name."""
    _, package = program
    recording = Recording.from_bytes(package)
    recording.run["instruments"] = ["openai", "os", "antigravity", "httpx", 7]
    assert libraries_for(recording, tmp_path) == ("httpx", "openai")
    Path(tmp_path / "openai.py").touch()
    assert libraries_for(recording, tmp_path) == ("httpx",)


ASKS = """
    import platform
    from pathlib import Path

    import tachograph as tacho


    @tacho.run
    def desk():
        here = Path(__file__).parent
        (here / "tapes").mkdir(exist_ok=True)
        (here / "tapes").chmod(0o700)
        return platform.platform()


    if __name__ == "__main__":
        (Path(__file__).parent / "tapes").mkdir(mode=0o700)
        tacho.init()
        desk()
    """


def test_what_changes_nothing_is_no_leak(tmp_path, processes):
    """Clients ask for the platform, which is a child process the first time; libraries see to folders that are there."""
    package = record(tmp_path, ASKS).read_bytes()
    assert replayed(package, tmp_path, among=processes)["identical"]
    (tmp_path / "tapes").chmod(0o755)
    assert replayed(package, tmp_path, among=processes)["divergence"]["kind"] == "LEAK"
    (tmp_path / "tapes").rmdir()
    assert replayed(package, tmp_path, among=processes)["divergence"]["kind"] == "LEAK"
