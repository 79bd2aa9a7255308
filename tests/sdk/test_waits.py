"""Code of others in the midst of our work, as handlers of signals and finalisers are: nothing stands still."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

import pytest

import tachograph
from tachograph import _guard, _recorder, _setup
from tachograph._waits import Background, Bell, Gate, Mutex
from tachograph.replay import _locks, _sources
from tachograph.replay._drain import Drain
from tachograph.replay._tape import Room, Tape

DEADLINE_S = 180
SDK = Path(tachograph.__file__).parent
NOT_IN_AGENTS = ("cli", "demo", "replay/_process.py", "replay/_warm.py", "replay/__main__.py")
"""Where no code of the agent's runs beside ours."""
ONE_CALL = ("_inbox.py",)
"""An event there belongs to one question, and its two threads touch it once each."""


def in_time(work):
    """What ``work`` gives, done in a thread, so that one that stands still fails this test alone."""
    given = deque()
    thread = threading.Thread(target=lambda: given.append(work()), daemon=True)
    thread.start()
    thread.join(DEADLINE_S)
    assert given, "it stands still"
    return given[0]


def test_locks_and_events_of_threading_are_not_used_beside_the_agent():
    """Such an event lets the same thread in only once, and both may stay taken after a Ctrl-C."""
    found = [
        f"{path.relative_to(SDK)}: {line.strip()}"
        for path in SDK.rglob("*.py")
        if not str(path.relative_to(SDK)).startswith((*NOT_IN_AGENTS, *ONE_CALL))
        for line in path.read_text().splitlines()
        if re.search(r"threading\.(R?Lock|Event)\(|= (_thread\.)?allocate_lock\(", line)
    ]
    assert set(found) <= {"replay/_member.py: self.gate = allocate_lock()"} | {
        "_waits.py: self._silent = lock = _thread.allocate_lock()",
        "_waits.py: _RLOCK: Any = type(threading.RLock())",
    }


def test_nothing_comes_between_taking_a_lock_and_its_block():
    """Neither while threads take turns, when the types' own methods are others."""
    _locks.install()
    try:
        taken = [Mutex.__enter__, Mutex.__exit__, Mutex.acquire]
    finally:
        _locks.uninstall()
    assert not any(hasattr(method, "__code__") for method in taken)


def test_a_lock_lets_the_same_thread_in_again_and_no_other():
    lock = Mutex()
    with lock, lock:
        assert in_time(lambda: lock.acquire(blocking=False)) is False
    assert in_time(lambda: lock.acquire(blocking=False)) is True


def test_a_bell_rung_often_rings_once():
    bell = Bell()
    assert not bell.wait(0)
    bell.ring()
    bell.ring()
    assert bell.wait(0)
    assert not bell.wait(0)


def test_a_gate_lets_all_through_once_it_is_open():
    gate = Gate()
    assert not gate.wait(0)
    passed = [deque() for _ in range(5)]
    threads = [
        threading.Thread(target=lambda mine=mine: mine.append(gate.wait(DEADLINE_S)))
        for mine in passed
    ]
    for thread in threads:
        thread.start()
    gate.open()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert [list(mine) for mine in passed] == [[True]] * 5
    assert gate.wait(0)


def test_a_thread_that_first_needs_what_its_starter_holds_is_started():
    """``Thread.start`` would wait for it: a finaliser that records may run in it before anything else."""
    lock = Mutex()
    done = deque()

    def work():
        with lock:
            done.append(threading.current_thread().name)

    with lock:
        thread = Background(work, "of ours")
        thread.start()
        assert thread.is_alive()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    assert list(done) == ["of ours"]


def test_a_thread_that_is_over_is_in_no_list():
    """Its name would be that of the next thread with the same number: of a thread of the program's."""
    seen = deque()
    thread = Background(
        lambda: seen.extend(each.name for each in threading.enumerate()), "to be forgotten"
    )
    thread.start()
    thread.join(DEADLINE_S)
    assert "to be forgotten" in seen
    assert "to be forgotten" not in {each.name for each in threading.enumerate()}


def test_a_thread_that_cannot_begin_is_not_waited_for(monkeypatch):
    """As at the end of the interpreter since Python 3.12: a flush would take all of its time."""

    def none_left(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("_thread.start_new_thread", none_left)
    thread = Background(lambda: None, "never")
    with pytest.raises(RuntimeError):
        thread.start()
    assert not thread.is_alive()


class WantsALock(logging.Handler):
    """A handler of the program's, which takes a lock of the program's."""

    def __init__(self, lock):
        super().__init__()
        self.theirs = lock
        self.said = deque()

    def emit(self, record):
        with self.theirs:
            self.said.append(record.getMessage())


def test_complaints_are_said_when_the_recorders_lock_is_given_back(monkeypatch):
    """Their handler waits for a lock that a thread has which records, and waits for the recorder's."""
    theirs = threading.Lock()
    is_inside, has_theirs = threading.Event(), threading.Event()
    handler = WantsALock(theirs)

    def complain(span):
        if span.name.endswith("first"):
            is_inside.set()
            has_theirs.wait(DEADLINE_S)
            _guard.say_rarely("test of complaints", "something is amiss")

    @tachograph.tool
    def first():
        return 1

    @tachograph.tool
    def second():
        return 2

    def record_with_a_lock():
        with theirs:
            is_inside.wait(DEADLINE_S)
            has_theirs.set()
            return second()

    monkeypatch.setattr(_guard, "_last_said_s", {})
    recorder = _setup.recorder_without_export()
    recorder.sinks.append(complain)
    before = _recorder.activate(recorder)
    _guard.LOGGER.addHandler(handler)
    try:
        threads = [
            threading.Thread(target=work, daemon=True) for work in (record_with_a_lock, first)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_S)
        assert not any(thread.is_alive() for thread in threads)
    finally:
        _guard.LOGGER.removeHandler(handler)
        _recorder.activate(before)
    assert list(handler.said) == ["something is amiss"]


def test_a_run_waits_until_another_has_put_all_readings_in_place(monkeypatch):
    """What it read of the clock before would not be on its tape."""
    _sources.uninstall()
    seen = deque()
    second = threading.Thread(target=lambda: (_sources.install(), seen.append("second")))

    def in_the_midst(*_):
        second.start()
        second.join(0.2)
        seen.append("all are there")

    monkeypatch.setattr(_sources._numpy, "install", in_the_midst)
    try:
        _sources.install()
        second.join(DEADLINE_S)
    finally:
        _sources.uninstall()
    assert list(seen) == ["all are there", "second"]


def test_what_is_recorded_while_a_tape_is_written_is_written_too(tmp_path):
    """Masking calls rules of the user's; a signal's handler and a finaliser come there as well."""
    drain = Drain()
    seen = []

    def redact(text, key=""):
        seen.append(text)
        if len(seen) == 1:
            tape.add({"t": "call"}, "a", '"within"')
            tape.write_out()
        return text

    tape = Tape(tmp_path / "one.tape", redact, drain, Room())
    tape.add({"t": "call"}, "a", '"first"')
    in_time(lambda: tape.write_out() or True)
    tape.close()
    lines = tape.path.read_text().splitlines()
    assert ["first" in line for line in lines] == [True, False]
    assert "within" in lines[1]
    assert not tape.why_cut


def test_a_tape_whose_writing_is_interrupted_says_so(tmp_path):
    def redact(text, key=""):
        raise KeyboardInterrupt

    tape = Tape(tmp_path / "one.tape", redact, Drain(), Room())
    tape.add({"t": "call"}, "a", '"first"')
    with pytest.raises(KeyboardInterrupt):
        tape.write_out()
    assert "interrupted" in tape.why_cut


FORKS = """
import os, sys, threading
import tachograph as tacho
tacho.init(endpoint="http://127.0.0.1:9", service="forks")
from tachograph import _loops, _recorder
from tachograph.replay import _session, _sources

@tacho.tool
def tool(): return 1

@tacho.run(agent="forks", threads="free")
def agent():
    tool()
    run = tacho._frame.frame_of().run
    session = _session.current()
    shipper = session.wait_for_shipping.__self__
    held = [_recorder.active().lock, run.lock, run.waiting._lock, shipper._lock, _sources._lock, session.drain._lock]
    ready, go = threading.Event(), threading.Event()
    def hold():
        for lock in held: lock.acquire()
        ready.set(); go.wait()
        for lock in held: lock.release()
    thread = threading.Thread(target=hold); thread.start(); ready.wait()
    pid = os.fork()
    if pid == 0:
        tool(); run.waiting.waited_s; run.ordinal("why"); _sources.install()
        tacho.flush(0.1); tacho.current_run().tag("x")
        os._exit(7)
    status = os.waitpid(pid, 0)[1]
    go.set(); thread.join()
    return os.waitstatus_to_exitcode(status)

sys.exit(agent())
"""


def test_a_fork_has_none_of_the_locks_that_other_threads_held(tmp_path):
    done = run(FORKS, tmp_path)
    assert done.returncode == 7, done.stderr


GREEN = """
import sys, threading
threading._CRLock = None  # as gevent does: its locks tell green threads of one thread apart
import tachograph as tacho
from concurrent.futures import ThreadPoolExecutor
from tachograph import _waits

assert issubclass(_waits.Mutex, threading._RLock)
tacho.init(endpoint="http://127.0.0.1:9", service="green")

@tacho.tool
def tool(x): return x

@tacho.run(agent="green", threads="exact")
def agent():
    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(tool, range(5)))

sys.exit(agent())
"""

EARLY = """
import os, sys
from collections import deque
from pathlib import Path
early = deque()
os.register_at_fork(after_in_child=lambda: [each() for each in early])
from tachograph.replay._drain import Drain
from tachograph.replay._tape import Room, Tape

tape = Tape(Path(sys.argv[1]), lambda text, key="": text, Drain(), Room())
early.append(tape.write_out)
tape.add({"t": "call"}, "a", '"once"')
pid = os.fork()
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)
tape.close()
"""


def run(program, home, *words):
    """What became of a program of its own."""
    environment = {"TACHO_HOME": str(home), "PATH": "/usr/bin:/bin", "TACHO_RECORD": "exact"}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def test_locks_are_those_of_green_threads_where_these_are_put_in_place(tmp_path):
    done = run(GREEN, tmp_path)
    assert done.returncode == 10, done.stderr


def test_a_forks_child_writes_no_tape_before_it_knows_that_it_is_one(tmp_path):
    """Hooks of other libraries run before ours there, and under gevent our own threads go on in them."""
    done = run(EARLY, tmp_path, str(tmp_path / "one.tape"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "one.tape").read_text().count("once") == 1
