"""Threads that take turns: whatever they share is the same again in a replay, and no agent is hindered by it."""

from __future__ import annotations

import _queue
import _thread
import concurrent.futures as cf
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest
import threaded
from taped import assert_identical, call
from test_continue import cut
from threaded import EXACT, joined, started, tool

import tachograph as tacho
from tachograph.replay import _baton, _locks, _process, _watch
from tachograph.replay._continue import Plan
from tachograph.replay._engine import Engine
from tachograph.replay._recording import load
from tachograph.replay._run import go_on, replay
from tachograph.replay._turns import GivenUp

KNOBS = {}
REAL = {
    (kind, name): kind.__dict__[name]
    for kind in (_locks.LOCK, _thread.RLock)
    for name in ("acquire", "__enter__")
} | {(_queue.SimpleQueue, "get"): _queue.SimpleQueue.__dict__["get"]}


def nothing_is_replaced():
    return not _locks.members and all(k.__dict__[name] is was for (k, name), was in REAL.items())


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A machine that has other things to do is no reason; switches between threads come often."""
    for name in ("_STUCK_S", "_BUSY_S", "_LONG_S", "_STALLED_S"):
        monkeypatch.setattr(_watch, name, 60.0)
    KNOBS.clear()
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)
    for thread in threading.enumerate():
        if thread.name == "left behind":
            thread.join(60)
    assert nothing_is_replaced()


def given_up(recording):
    return [turn.why for turn in recording.turns if isinstance(turn, GivenUp)]


@pytest.mark.parametrize("agent", EXACT, ids=lambda each: each.__name__)
def test_exact(tapes, agent):
    """threads-map, threads-as-completed, and all that waits: the same calls, results and order, at any speed."""
    for _ in range(2):
        (outcome, value), recording = tapes.record(agent)
        assert outcome == "ok", value
        assert len(recording.turns) > 5
        assert not given_up(recording)
        for interval_s in (5e-6, 0.005):
            sys.setswitchinterval(interval_s)
            assert_identical(replay(recording, agent))


def test_exact_while_another_thread_computes(tapes):
    """On a machine that is slower, and busy with other things."""
    (outcome, _), recording = tapes.record(threaded.queues_and_conditions)
    assert outcome == "ok"
    done = threading.Event()

    def busy():
        while not done.is_set():
            threaded.compute(1_000)

    threads = started(busy)
    try:
        assert_identical(replay(recording, threaded.queues_and_conditions))
    finally:
        done.set()
        threads[0].join()


@tacho.run
def by_setting():
    """A lost update, in a run that says nothing about threads."""
    total = {"n": 0}

    def work():
        for _ in range(3):
            before = total["n"]
            tool(before)
            total["n"] = before + 1

    joined(*[work] * 4)
    return total["n"]


def test_setting_and_option(tapes, monkeypatch):
    """TACHO_RECORD_THREADS decides for runs that do not say; free threads take no turns."""
    _, recording = tapes.record(by_setting)
    assert not recording.turns
    monkeypatch.setattr(tapes.session, "threads", "exact")
    _, recording = tapes.record(by_setting)
    assert recording.run["threads"] == "exact"
    assert_identical(replay(recording, by_setting))
    _, recording = tapes.record(tacho.run(threads="free")(by_setting.__wrapped__))
    assert not recording.turns


def test_nothing_is_replaced_without_need(tapes, monkeypatch):
    """Free and light runs, and those that start no thread, leave locks alone; others until they end."""
    seen = []

    def look(number=0):
        seen.append(nothing_is_replaced())
        return tool(number)

    tapes.record(tacho.run(threads="exact")(look))
    tapes.record(tacho.run(threads="free")(lambda: joined(look, look)))
    assert seen == [True] * 3
    tapes.record(tacho.run(threads="exact")(lambda: joined(look)))
    assert seen == [True] * 3 + [False]
    assert nothing_is_replaced()
    monkeypatch.setattr(tapes.session, "light", True)
    tapes.record(tacho.run(threads="exact")(lambda: joined(look)))
    assert seen == [True] * 3 + [False, True]


@tacho.run(threads="exact")
def blocked():
    """One thread waits in the system for another, which no recorder can know."""
    reading, writing = os.pipe()
    out, begun = [], threading.Event()

    @tacho.tool
    def look():
        return begun.wait(60)

    def wait():
        begun.set()
        out.append(os.read(reading, 9))

    def tell():
        look()  # whoever begins first, the other is at it before this goes on
        os.write(writing, b"go on")

    joined(wait, tell)
    os.close(reading)
    os.close(writing)
    return out


@tacho.run(threads="exact")
def spinning():
    """One thread asks again and again whether another has come so far."""
    out, begun = [], threading.Event()

    @tacho.tool
    def look():
        return begun.wait(60)

    def wait():
        begun.set()
        while not out:
            pass

    joined(wait, lambda: out.append(look()))
    return out


@pytest.mark.parametrize(
    ("agent", "idle_share", "why"), [(blocked, 1.0, "stays at"), (spinning, 0.0, "runs on at")]
)
def test_a_holder_that_hinders_others(tapes, monkeypatch, agent, idle_share, why):
    """The turns are given up, the agent goes on, and the recording says where it was and why."""
    monkeypatch.setattr(_watch, "_STUCK_S", 0.25)
    monkeypatch.setattr(_watch, "_BUSY_S", 0.25)
    monkeypatch.setattr(_watch, "_BUSY_LOOKS", 10)
    # How much of its time a process gets to compute is not known on a busy machine.
    monkeypatch.setattr(_watch, "_IDLE_SHARE", idle_share)
    (outcome, value), recording = tapes.record(agent)
    assert outcome == "ok", value
    (said,) = given_up(recording)
    assert why in said
    assert "test_threads.py" in said
    assert_identical(replay(recording, agent))


@tacho.run(threads="exact")
def interrupted():
    ring, later = queue.Queue(), threading.Event()

    def work():
        tool("first")
        os.kill(os.getpid(), signal.SIGINT)
        later.wait(60)

    (thread,) = started(work)
    try:
        ring.get()
    finally:
        later.set()
        thread.join()


def test_keyboard_interrupt(tapes):
    """Ctrl-C reaches an agent that waits for its threads, and they are not left waiting."""
    with pytest.raises(KeyboardInterrupt):
        tapes.record(interrupted)
    (said,) = given_up(tapes.newest())
    assert "interrupted" in said


def test_turns_that_two_threads_close_at_once_are_closed_once(monkeypatch):
    """The run's own thread and its watch: locks that were given back twice would stay as they are for the runs after it."""
    beside = []

    class Live(weakref.WeakSet):
        def __contains__(self, baton):
            found = super().__contains__(baton)
            if not beside:
                beside.append(threading.Thread(target=baton.close))
                beside[0].start()
                beside[0].join(0.5)  # it waits for us, or is through
            return found

    monkeypatch.setattr(_baton, "_live", Live())
    before = _locks._users
    baton = _baton.Baton(Engine(), "")
    baton.close()
    beside[0].join(60)
    assert _locks._users == before


@tacho.run(threads="exact")
def failing_run(folder):
    """Ends with an exception while its threads are at work."""
    gate = threading.Event()
    threads = started(*[lambda: (gate.wait(60), tool("late"))] * 2)
    try:
        raise LookupError(tool(folder))
    finally:
        gate.set()
        for thread in threads:
            thread.join()


def test_exceptions(tapes):
    (outcome, value), recording = tapes.record(failing_run, "x")
    assert (outcome, type(value)) == ("err", LookupError)
    assert_identical(replay(recording, failing_run))


def test_two_runs_at_once_and_a_pool_of_both(tapes):
    """Each has turns of its own; a pool that outlives them serves both."""
    with cf.ThreadPoolExecutor(4) as pool:

        @tacho.run(threads="exact")
        def shares(label):
            out = []
            futures = [
                pool.submit(lambda k=k: out.append((k, tool(label, k, len(out))))) for k in range(6)
            ]
            cf.wait(futures, timeout=60)
            return out

        for _ in range(3):
            both = [None, None]

            def run(number, both=both):
                both[number] = call(shares, number)

            joined(lambda: run(0), lambda: run(1))
            assert [outcome for outcome, _ in both] == ["ok", "ok"]
            assert tapes.session.drain.wait(60)
            for path in tapes.paths[-2:]:
                recording = load(path)
                assert len(recording.calls) == 6
                assert_identical(replay(recording, shares))
    assert nothing_is_replaced()


@tacho.run(threads="exact")
def forking():
    """A child of a process whose threads take turns has none."""
    codes = []

    def fork():
        tool("before")
        child = os.fork()
        if not child:
            lock = threading.Lock()
            if not nothing_is_replaced():
                os._exit(2)
            with lock:
                is_real = not lock.acquire(timeout=0.01)
                # Nothing that a child does is on the tape, so it asks for nothing in a replay.
                os._exit(
                    0 if is_real and (KNOBS.get("replays") or tool("child") is not None) else 1
                )
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    joined(fork, lambda: tool("beside"), lambda: tool("beside"))
    return codes


FORKING = """
import os, threading
import tachograph as tacho

tacho.init()

@tacho.run(threads="exact")
def agent():
    ended = []
    def fork():
        child = os.fork()
        if not child:
            with threading.Lock():
                inner = threading.Thread(target=int)
                inner.start()
                inner.join()
            os._exit(7)
        ended.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()
    return ended

print(agent())
"""


def test_a_fork_in_a_thread_does_not_wait_for_turns(tmp_path):
    """OpenTelemetry starts a pool in the child, before our own hooks: in a program, it hung there for ever."""
    home = {key: value for key, value in os.environ.items() if not key.startswith("TACHO_")}
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING],
        env={**home, "TACHO_HOME": str(tmp_path), "TACHO_ENDPOINT": "http://127.0.0.1:9"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=180,
        check=True,
    )
    assert ran.stdout == b"[7]\n"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork(tapes):
    (outcome, value), recording = tapes.record(forking)
    assert (outcome, value) == ("ok", [0])
    KNOBS["replays"] = True
    assert_identical(replay(recording, forking))


def test_generator(tapes):
    """Threads of a run that is consumed bit by bit."""
    assert len(list(threaded.consumed())) == 3
    recording = tapes.newest()
    assert not given_up(recording)
    assert_identical(replay(recording, threaded.consumed))


@tacho.run(threads="exact")
def edited():
    out, lock = [], threading.Lock()

    def work(number):
        with lock:
            out.append(tool(number))
        if KNOBS.get("sleeps"):
            time.sleep(0)

    joined(*(lambda k=k: work(k) for k in range(3)))
    if KNOBS.get("starts"):
        joined(lambda: out.append("another"))
    return out


@pytest.mark.parametrize("knob", ["sleeps", "starts"])
def test_an_edit_of_the_threads_is_said(tapes, knob):
    """At once, and with who waits for what."""
    _, recording = tapes.record(edited)
    KNOBS[knob] = True
    found = replay(recording, edited).divergence
    assert found.kind in {"ORDER_CHANGED", "STALLED"}
    assert "for its" in found.message


@pytest.mark.parametrize(
    "agent", [threaded.threads_map, threaded.to_threads, threaded.pools_beside_tasks]
)
def test_forks_and_resumption(tapes, agent):
    """From a recording that ends anywhere: the beginning in its turns, the rest live in new ones."""
    _, recording = tapes.record(agent)
    length, calls = len(recording.records), len(recording.calls)
    plans = [Plan(cut(recording, length * part // 5), allow_writes=True) for part in (1, 2, 3, 4)]
    plans.append(Plan(recording, live_from_step=calls // 2, allow_writes=True))
    for plan in plans:
        outcome, value = go_on(plan, agent)
        assert outcome == "ok", value
        child = tapes.newest()
        assert not given_up(child)
        assert_identical(replay(child, agent))


def test_in_a_process_of_its_own(tapes):
    """Behind the fence, as `tacho replay` does it."""
    _, recording = tapes.record(threaded.threads_map)
    code = Path(threaded.__file__).parent
    answer = _process.replayed(recording.packed(), code, "threaded:threads_map")
    assert answer["identical"], answer["divergence"]
