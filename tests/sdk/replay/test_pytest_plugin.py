"""The pytest plug-in, driven by pytest's own tester."""

from __future__ import annotations

import io
import shutil
import zipfile

import pytest
from programs import edit, record, tacho

from tachograph.replay._recording import load
from tachograph.replay._redacted import redacted
from tachograph.replay._update import only_tape

pytest_plugins = ["pytester"]

PLUGIN = ("-p", "tachograph.replay.pytest_plugin", "-p", "xdist", "-p", "no:cacheprovider")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A program with a recorded run and the test that was made of it."""
    folder = tmp_path_factory.mktemp("program")
    record(folder).rename(folder / "run.tacho")
    tacho(folder, "test", "run.tacho", "-o", "tests")
    return folder


@pytest.fixture
def project(pytester, made, monkeypatch):
    """A copy of it, to be tested."""
    # Its start must not load what else is installed here.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(made / "tests", pytester.path / "tests")
    shutil.copy(made / "desk.py", pytester.path)
    return pytester


def test_a_recorded_run_is_a_test(project):
    """Green as long as the agent does what it did; red with the report alone; several workers."""
    (written,) = (project.path / "tests").glob("test_*.py")
    (project.path / "tests" / "test_copy.py").write_text(written.read_text())
    project.runpytest_subprocess(*PLUGIN, "-n", "2", "tests").assert_outcomes(passed=2)

    edit(project.path / "desk.py", "Be polite", "Be brief")
    red = project.runpytest_subprocess(*PLUGIN, str(written))
    red.assert_outcomes(failed=1)
    red.stdout.fnmatch_lines(
        [
            "ARGS_CHANGED in step 3 of 4: ask is called*",
            "*now: desk.py:* in handle",
            "*Be ?-polite-?{+brief+}*",
            "Go on live from here: tacho fork tests/tapes/desk_*.tacho --at 3",
        ]
    )
    assert "Traceback" not in red.stdout.str()
    assert "_case.py" not in red.stdout.str()


def test_cases_are_asked_and_have_no_network(project):
    """Whoever wants more asserts on calls and output; a marked test reaches nothing."""
    (tape,) = (project.path / "tests" / "tapes").glob("*.tacho")
    project.makepyfile(
        test_mine=f"""
        import socket
        import pytest

        @pytest.mark.tacho("{tape}")
        def test_calls(tacho_replay):
            assert tacho_replay.calls == ["look_up", "look_up", "ask", "refund"]
            assert tacho_replay.output == "receipt a"

        @pytest.mark.tacho("{tape}", lenient=True)
        def test_network(tacho_replay):
            with pytest.raises(RuntimeError, match="--tacho-allow-network"):
                socket.create_connection(("127.0.0.1", 9), timeout=1)
            one, other = socket.socketpair()
            one.close(), other.close()

        def test_others():
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", 9), timeout=1)

        def test_unmarked(tacho_replay):
            pass
        """
    )
    result = project.runpytest_subprocess(*PLUGIN, "test_mine.py")
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*tacho_replay needs @pytest.mark.tacho*"])


def test_the_tape_is_masked_and_names_no_place(made):
    """What is committed has no secret that today's rules know, and no path of the machine."""
    (tape,) = (made / "tests" / "tapes").glob("*.tacho")
    recording = load(tape)
    assert str(made) not in str(recording.records)
    assert recording.run["file"] == "/program/desk.py"
    secret = "sk-ant-api03-" + "a" * 90
    recording.records[1]["a"]["order"] = f"key {secret}"
    again = redacted(recording)
    assert secret.encode() not in b"".join(_members(again))
    assert redacted(load(tape)) == tape.read_bytes(), "masking again changes nothing"


def _members(package):
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        return [archive.read(name) for name in archive.namelist()]


def test_a_recording_is_made_anew(project):
    """`--tacho-update`: live, with consent for what changes the world, and told what is different."""
    (tape,) = (project.path / "tests" / "tapes").glob("*.tacho")
    before = tape.read_bytes()
    edit(project.path / "desk.py", "Be polite", "Be brief")
    several = project.runpytest_subprocess(*PLUGIN, "--tacho-update", "-n", "2", "tests")
    several.stderr.fnmatch_lines(["*leave -n out*"])
    denied = project.runpytest_subprocess(*PLUGIN, "--tacho-update", "tests")
    denied.assert_outcomes(errors=1)
    denied.stdout.fnmatch_lines(["*refund changes the world, and was not called: --tacho-allow*"])
    assert tape.read_bytes() == before

    done = project.runpytest_subprocess(*PLUGIN, "--tacho-update", "--tacho-allow-writes", "tests")
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["desk_*.tacho: recorded anew", "  *step 3 ask: ~ $.messages*"])
    anew = load(tape)
    assert "Be brief" in str(anew.calls[2].args)
    assert "parent" not in anew.run
    assert anew.run["file"] == "/program/desk.py"


@pytest.mark.parametrize(
    ("left", "found"),
    [
        (["r.1.tape"], True),
        (["r.1.tacho"], True),
        (["r.1.tape", "r.1.packing"], True),
        (["r.1.tape", "r.1.tacho"], True),
        (["r.1.packing"], False),
        (["r.1.tape", "r.2.tape"], False),
    ],
)
def test_a_process_may_end_while_it_packs(tmp_path, left, found):
    for name in left:
        (tmp_path / name).touch()
    assert (only_tape(tmp_path) is not None) == found
