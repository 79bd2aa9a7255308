"""What holds for every command: help, versions, exit codes, quiet ends, terminals."""

import argparse
import itertools
import os
import pty
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tachograph import demo
from tachograph.cli import _parser, control_api, interrupts, main, with_verb
from tachograph.cli.examples import EXAMPLES

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


@pytest.mark.parametrize(
    ("words", "meant"), [(["shwo"], "show"), (["costs", "--by", "agnt"], "agent")]
)
def test_a_mistyped_word_is_answered_with_the_one_that_is_meant(tacho, words, meant):
    result = tacho(*words)
    assert f"invalid choice: '{words[-1]}', perhaps '{meant}' is meant. `tacho" in result.err


def test_settings_that_cannot_be_used_are_usage_errors(tacho, environment):
    environment.setenv("TACHO_HTTP_PORT", "eighty")
    result = tacho("runs")
    assert result.code == 2
    assert "TACHO_HTTP_PORT='eighty' cannot be used" in result.err


def test_a_missing_server_extra_says_how_to_install_it(collector):
    script = "import sys; sys.modules['clickhouse_connect'] = None; import tachograph.cli as c; sys.exit(c.main(['runs']))"
    words = [sys.executable, "-c", script]
    done = subprocess.run(
        words, env=collector.environment, capture_output=True, text=True, timeout=180, check=False
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


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, "tacho: interrupted.\n"),
        (signal.SIGTERM, 143, "tacho: ended.\n"),
        (signal.SIGHUP, 129, "tacho: ended.\n"),
    ],
)
def test_an_interrupted_command_says_so_and_ends_what_it_has_started(number, code, said):
    """The child holds the pipe of our output: `run` returns once it is gone as well."""
    script = (
        "import subprocess, sys, signal, tachograph.cli as c, tachograph.cli.dsn as d, os\n"
        # Whoever starts the tests under `nohup` has all that they start ignore it.
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        f"end = 'import os, signal; os.kill(os.getppid(), {int(number)}); signal.pause()'\n"
        "d.find_place = lambda: subprocess.run([sys.executable, '-c', end])\n"
        "sys.exit(c.main(['dsn']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=180, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)


def test_a_closed_terminal_is_ignored_under_nohup(environment):
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts.heeding():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, ignored)


def test_a_reader_that_goes_away_ends_it_quietly(collector):
    words = " ".join([*TACHO, "runs", "--json"])
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {words} | head -c 1"],
        env=collector.environment,
        capture_output=True,
        text=True,
        timeout=180,
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
        [*TACHO, "runs"], env=environment, capture_output=True, text=True, timeout=180, check=False
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
        timeout=180,
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


def test_an_order_for_an_agent_nobody_has_seen_is_given_and_said_to_be_one(recorded):
    result = recorded("pause", "nihgtly", "--json")
    assert (result.code, result.json["target"]) == (0, "nihgtly")
    assert "no agent of the name 'nihgtly' was seen so far" in result.err
    assert recorded("unpause", "nihgtly").err == ""
    assert recorded("pause", "nightly").err == ""
    assert recorded("unpause", "nightly").code == 0


def test_a_home_without_a_collector_says_who_answers_instead(
    recorded, collector, environment, tmp_path
):
    """The usual address is set for the test: it may be anybody's."""
    environment.setenv("TACHO_HOME", str(tmp_path))
    address = collector.instance["collector"]
    usual = control_api.settings
    environment.setattr(control_api, "settings", lambda: usual() | {"endpoint": address})
    environment.delenv("TACHO_ENDPOINT", raising=False)
    assert recorded("approvals").err == (
        f"tacho: no collector runs with TACHO_HOME {tmp_path}; the one at {address} answers.\n"
    )
    environment.setenv("TACHO_ENDPOINT", address)
    assert recorded("approvals").err == ""


def test_what_is_no_collector_is_exit_code_3(tacho, environment, serve):
    environment.setenv("TACHO_ENDPOINT", serve(404))
    result = tacho("approvals")
    assert (result.code, result.out) == (3, "")
    assert "is no collector of Tachograph" in result.err


def every_command():
    """Each parser that a person can reach, by the words that lead to it."""
    left = [("tacho", _parser())]
    while left:
        words, parser = left.pop()
        yield words, parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                left += [(f"{words} {name}", each) for name, each in action.choices.items()]


def test_every_option_is_explained_and_every_command_has_an_example():
    commands = dict(every_command())
    unexplained = [
        f"{words} {action.dest}"
        for words, parser in commands.items()
        for action in parser._actions
        if not action.help and not isinstance(action, argparse._SubParsersAction)
    ]
    assert unexplained == []
    assert [words for words, parser in commands.items() if not parser.description] == []
    assert {words.removeprefix("tacho ") for words in commands} - {"tacho"} == set(EXAMPLES)


def test_examples_of_the_help_name_agents_of_the_demo():
    sources = Path(demo.__file__).parent.glob("*.py")
    recorded = "\n".join(source.read_text(encoding="utf-8") for source in sources)
    by_name = {"agents", "pause", "unpause", "stop"}
    for command, examples in EXAMPLES.items():
        for words, _ in examples:
            given = shlex.split(words)
            named = [after for flag, after in itertools.pairwise(given) if flag == "--agent"]
            if command in by_name and given and not given[0].startswith("-"):
                named.append(given[0])
            for agent in named:
                assert f'"{agent}"' in recorded, (command, words)


def test_examples_of_the_help_are_understood():
    commands = dict(every_command())
    for command, examples in EXAMPLES.items():
        shown = commands[f"tacho {command}"].format_help()
        for words, _ in examples:
            typed = f"tacho {command} {words}".strip()
            given = shlex.split(typed)[1:]
            parsed = commands["tacho"].parse_args(with_verb(given))
            assert callable(parsed.run), typed
            assert typed in shown
