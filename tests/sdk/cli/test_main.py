"""What holds for every command: help, versions, exit codes, quiet ends, terminals."""

import os
import pty
import subprocess
import sys
import time

import pytest

from tachograph.cli import main

TACHO = [sys.executable, "-m", "tachograph.cli"]


def test_help_lists_the_commands_and_is_fast_to_import(tacho):
    result = tacho("--help")
    assert result.code == 0
    for command in ("up", "demo", "runs", "show", "dsn", "doctor"):
        assert f"    {command} " in result.out
    script = "import sys, tachograph.cli as c; c.main(['--help']); sys.exit(any(m.split('.')[0] in {'clickhouse_connect', 'chdb', 'streamlit', 'fastapi', 'anthropic', 'tachograph_collector'} for m in sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode
        == 0
    )


def test_version_is_that_of_the_package(tacho):
    from importlib.metadata import version

    assert tacho("--version").out == f"tacho {version('tachograph')}\n"


@pytest.mark.parametrize("words", [[], ["fly"], ["runs", "--nope"], ["show"]])
def test_wrong_usage_is_2_and_no_traceback(tacho, words):
    result = tacho(*words)
    assert (result.code, result.out) == (2, "")
    assert "--help` says more." in result.err
    assert "Traceback" not in result.err
    assert len(result.err.splitlines()) == 1 or not words


def test_settings_that_cannot_be_used_are_usage_errors(tacho, environment):
    environment.setenv("TACHO_HTTP_PORT", "eighty")
    result = tacho("runs")
    assert result.code == 2
    assert "TACHO_HTTP_PORT='eighty' cannot be used" in result.err


def test_a_missing_server_extra_says_how_to_install_it(collector):
    script = "import sys; sys.modules['clickhouse_connect'] = None; import tachograph.cli as c; sys.exit(c.main(['runs']))"
    words = [sys.executable, "-c", script]
    done = subprocess.run(
        words, env=collector.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert 'pip install "tachograph[server]"' in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_unforeseen_fault_is_one_sentence(tacho, environment):
    from tachograph.cli import dsn

    def broken():
        raise RuntimeError("odd \x1b[2J")

    environment.setattr(dsn, "find_place", broken)
    result = tacho("dsn")
    assert result.code == 1
    assert result.err.startswith("tacho: RuntimeError: odd ␛[2J. This is a fault of tacho")
    environment.setenv("TACHO_TRACEBACK", "1")
    with pytest.raises(RuntimeError):
        main(["dsn"])


def test_ctrl_c_ends_quietly_with_130(environment):
    environment.setenv("TACHO_CLICKHOUSE", "http://127.0.0.1:1/db")
    script = (
        "import sys, tachograph.cli as c, tachograph.cli.dsn as d, signal, os\n"
        "d.find_place = lambda: os.kill(os.getpid(), signal.SIGINT) or __import__('time').sleep(9)\n"
        "sys.exit(c.main(['dsn']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_reader_that_goes_away_ends_it_quietly(collector):
    words = " ".join([*TACHO, "runs", "--json"])
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {words} | head -c 1"],
        env=collector.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[", "")


def on_a_terminal(collector, *words, **environment):
    """Run `tacho` on a pseudo-terminal and give what it printed."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*TACHO, *words],
        env={**collector.environment, "TERM": "xterm", **environment},
        stdout=slave,
        stderr=slave,
        stdin=slave,
    )
    os.close(slave)
    printed = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            chunk = os.read(master, 65_536)
        except OSError:
            break
        if not chunk:
            break
        printed += chunk
    os.close(master)
    assert process.wait(60) == 0
    return printed.decode()


def test_colours_are_for_terminals_that_want_them(collector):
    assert "\x1b[31m" in on_a_terminal(collector, "runs")
    assert "\x1b" not in on_a_terminal(collector, "runs", NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(collector, "runs", TERM="dumb")


def test_a_terminal_without_unicode_gets_question_marks(collector):
    environment = {**collector.environment, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run(
        [*TACHO, "runs"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "? success" in done.stdout


@pytest.mark.parametrize("words", [["runs"], ["show", "last"], ["dsn"], ["demo"]])
def test_a_base_installation_is_told_what_to_install_before_anything_else(home, words):
    script = (
        "import sys; sys.modules['clickhouse_connect'] = None; import tachograph.cli as c; "
        f"sys.exit(c.main({words!r}))"
    )
    environment = {**os.environ, "TACHO_HOME": str(home), "TACHO_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert 'pip install "tachograph[server]"' in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_says_where_the_settings_are_listed(tacho):
    assert "`tacho doctor --settings` lists them" in " ".join(tacho("--help").out.split())


def test_the_account_knows_the_sdk_words_for_an_approval_without_an_approver():
    import tachograph as tacho
    from tachograph_schemas.account.harness import NO_APPROVER

    assert tacho.approve("Refund $40").reason == NO_APPROVER


def test_commands_of_several_verbs_list_when_no_verb_is_given(recorded):
    for command in ("alert", "budget", "key", "prices"):
        assert recorded(command) == recorded(command, "list")
        assert recorded(command, "--json").json == recorded(command, "list", "--json").json


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["key", "revoke", "nosuch"], 2, "`tacho key list`"),
        (["prices", "rm", "nosuch"], 1, "`tacho prices list`"),
        (["budget", "rm", "nosuch"], 1, "'nosuch'"),
        (["stop", "--run", "nosuch"], 1, "`tacho runs"),
        (["pause", "--run", "2222"], 2, "Several runs start with '2222'"),
        (["approve", "nosuch"], 1, "`tacho approvals --all`"),
        (["audit", "--limit", "-3"], 2, "number from 1 to 1000"),
        (["approvals", "--limit", "0"], 2, "number from 1 to 1000"),
    ],
)
def test_what_is_not_there_is_named_and_changes_nothing(recorded, words, code, said):
    before = recorded("audit", "--json").json
    result = recorded(*words)
    assert (result.code, result.out) == (code, "")
    assert said in result.err
    assert recorded("audit", "--json").json == before


def test_an_order_for_the_beginning_of_an_id_is_for_the_run(recorded):
    run_id = recorded("runs", "--agent", "nightly", "--json").json[0]["run_id"]
    assert recorded("stop", "--run", run_id[:8], "--json").json["target"] == run_id
    assert run_id in recorded("unpause", "--run", run_id[:8]).out
    assert recorded("unpause", "--run", run_id).code == 1


def test_what_is_no_collector_is_exit_code_3(tacho, environment, serve):
    environment.setenv("TACHO_ENDPOINT", serve(404))
    result = tacho("approvals")
    assert (result.code, result.out) == (3, "")
    assert "is no collector of Tachograph" in result.err
