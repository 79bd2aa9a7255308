"""The baton beside an event loop, with the threads held where their turns used to go astray."""

from __future__ import annotations

import asyncio
import concurrent.futures as cf
import threading
import time
from _thread import allocate_lock

import pytest
from taped import assert_identical
from test_continue import cut
from threaded import atool, hundred, joined, tool
from threaded_loops import futures_awaited, loops_that_close

import tachograph as tacho
from tachograph.replay import _locks, _watch
from tachograph.replay._baton import Baton
from tachograph.replay._continue import Continuation, Plan
from tachograph.replay._engine import Engine
from tachograph.replay._member import Member
from tachograph.replay._place import PLACE
from tachograph.replay._run import go_on, replay
from tachograph.replay._schedule import Schedule
from tachograph.replay._turns import GivenUp, Turn

LONG_S = 60
HOOKS = {}


@pytest.fixture(autouse=True)
def unhooked():
    yield
    HOOKS.clear()


@pytest.fixture
def patient(monkeypatch):
    """Whoever has a turn may stand still: a machine that has other things to do is no reason to take it away."""
    for name in ("_STUCK_S", "_BUSY_S", "_LONG_S", "_STALLED_S"):
        monkeypatch.setattr(_watch, name, LONG_S)


class Counting(Engine):
    """Keeps the turns that were taken."""

    def __init__(self):
        super().__init__()
        self.taken = []

    def took_turn(self, turn):
        self.taken.append((turn.name, turn.kind))


@pytest.fixture
def engine(patient):
    """With a baton, which this thread holds: the thread of an event loop, by its name \"\"."""
    made = Counting()
    made.baton = Baton(made, "")
    yield made
    made.baton.close()


class Other:
    """A thread that has the baton until it is told to pass it on."""

    def __init__(self, baton):
        self._begun, self._told = allocate_lock(), allocate_lock()
        self._begun.acquire()
        self._told.acquire()
        self._thread = threading.Thread(target=self._run, args=(baton,))
        self._thread.start()
        me = baton.me()
        baton.put_down(me)
        assert _locks.ACQUIRE(self._begun, True, LONG_S)

    def _run(self, baton):
        member = baton.enter("other")
        self._begun.release()
        _locks.ACQUIRE(self._told, True, LONG_S)
        baton.leave(member)

    def passes(self):
        self._told.release()

    def ends(self):
        self._thread.join(LONG_S)
        assert not self._thread.is_alive()


class Watched(list):
    """Tells when it is looked into."""

    def __contains__(self, item):
        if HOOKS:
            HOOKS.pop("looks")()
        return super().__contains__(item)


def test_a_turn_that_comes_while_a_loop_asks_again_is_not_lost(engine):
    """It looked first whether it had the turn, then whether it waited for one; in between the turn came, and went."""
    baton = engine.baton
    other = Other(baton)
    baton.waiting = Watched()
    assert not baton.ask(lambda: None)

    def between():
        other.passes()
        if not baton.mutex._is_owned():  # else it cannot come now
            other.ends()

    HOOKS["looks"] = between
    baton.ask(lambda: None)
    other.ends()
    assert baton.me() is not None
    assert engine.taken == [("other", "begin"), ("", "loop")]


def test_a_loop_does_not_put_down_the_turn_that_it_is_just_given(engine, monkeypatch):
    """It had the turn for a moment before it was told so, and went to rest."""
    baton, loop = engine.baton, asyncio.new_event_loop()
    schedule = Schedule(engine, loop)
    other = Other(baton)
    assert not schedule.turns.has_come()
    given, rested = allocate_lock(), allocate_lock()
    given.acquire()
    rested.acquire()
    hear, put_down, put = Member.hear, baton.put_down, []

    def hear_late(self, said):
        given.release()
        _locks.ACQUIRE(rested, True, LONG_S)
        hear(self, said)

    def put_down_now(me):
        put.append(me)
        rested.release()
        put_down(me)

    monkeypatch.setattr(Member, "hear", hear_late)
    monkeypatch.setattr(baton, "put_down", put_down_now)
    other.passes()
    assert _locks.ACQUIRE(given, True, LONG_S)
    schedule.turns.rest()
    if not put:
        rested.release()
    other.ends()
    loop.close()
    assert not put
    assert schedule.turns.has_come()
    assert engine.taken == [("other", "begin"), ("", "loop")]


class Following(Counting):
    """Has these turns on its recording."""

    replaying = True

    def __init__(self, turns):
        super().__init__()
        self._turns = turns
        self.said = []

    def next_turn(self):
        return self._turns[len(self.taken)] if len(self.taken) < len(self._turns) else None

    def out_of_turn(self, turn, waiting):
        self.said.append(waiting)
        self.baton.give_up("")


def test_the_worker_that_has_the_last_work_of_a_pool_is_not_fixed():
    """It was another one that was waited for first, and the work's turn came after that."""
    engine = Following([Turn("", "join"), Turn("work", "begin")])
    engine.baton = baton = Baton(engine, "")
    pool, done = cf.ThreadPoolExecutor(1), []
    try:
        work = pool.submit(baton.run, "work", lambda: done.append("work"), pooled=False)
        until_s = time.monotonic() + LONG_S
        while not baton.waiting and time.monotonic() < until_s:
            time.sleep(0.001)
        (worker,) = pool._threads
        _locks._join_in_turn(baton.me(), worker, None, threading.Thread.join.__wrapped__)
        assert not engine.said
        assert not done
        baton.put_down(baton.me())
        work.result(LONG_S)
        assert engine.taken == [("", "join"), ("work", "begin")]
    finally:
        baton.close()
        pool.shutdown()


@tacho.run
def left_timers():
    """What is due when its loop's work is done is nothing to it any more."""

    async def wait():
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        when_s = loop.time()
        for _ in range(5):
            loop.call_at(when_s, done.set)
        await done.wait()

    asyncio.run(wait())


def test_nothing_is_delivered_on_a_loop_that_has_done_its_work(tapes):
    """A run that had been taken up again went on to do so for some turns of the loop."""
    _, recording = tapes.record(left_timers)
    assert len(recording.deliveries) == 1
    outcome, _ = go_on(Plan(cut(recording, 1), allow_writes=True), left_timers)
    assert outcome == "ok"
    child = tapes.newest()
    assert len(child.deliveries) == 1
    assert_identical(replay(child, left_timers))


@tacho.run(threads="exact")
async def loop_at_rest():
    """Its threads go on when nothing comes on its event loop for long."""
    out = [await atool("first")]

    def work(number):
        for _ in range(3):
            HOOKS.get("works", int)()
            out.append((number, tool(number, len(out))))

    await asyncio.gather(*(asyncio.to_thread(work, number) for number in range(2)))
    return out


def test_a_resumption_follows_the_turns_of_threads_to_their_end(tapes, patient, monkeypatch):
    """When no outcome was left for its loop, it went live, and the rest of the turns was forgotten."""
    _, recording = tapes.record(loop_at_rest)
    ends = next(n for n, r in enumerate(recording.records) if r["t"] == "done" and r.get("q"))
    at_rest, looked = allocate_lock(), Schedule._probe_recorded
    went_live, stays = Continuation.go_live, []

    def tell():
        if at_rest.locked():
            at_rest.release()

    def look(self):
        looked(self)
        if not self._probing:
            tell()

    def go_live(self):
        went_live(self)
        tell()

    def works():
        if not stays:
            # The loop comes to rest while this thread is at work.
            engine = PLACE.get().engine
            _locks.ACQUIRE(at_rest, False)
            (schedule,) = engine._schedules.values()
            schedule.turns.on_loop(schedule.probe)
            _locks.ACQUIRE(at_rest, True, LONG_S)
            stays.append(engine.replaying)

    monkeypatch.setattr(Schedule, "_probe_recorded", look)
    monkeypatch.setattr(Continuation, "go_live", go_live)
    HOOKS["works"] = works
    outcome, value = go_on(Plan(cut(recording, ends), allow_writes=True), loop_at_rest)
    assert outcome == "ok", value
    assert stays == [True]
    HOOKS.clear()
    assert_identical(replay(tapes.newest(), loop_at_rest))


@tacho.run(threads="exact")
def two_loops():
    """The second one waits for good, if it is told to."""

    async def wait():
        await atool("second")
        if HOOKS:
            await asyncio.Event().wait()

    joined(lambda: tool("thread"))
    asyncio.run(atool("first"))
    asyncio.run(wait())


def test_a_difference_is_heard_of_by_the_second_loop_of_a_run(tapes):
    """The first one is closed then, and the replay waited for ever."""
    _, recording = tapes.record(two_loops)
    HOOKS["waits"] = True
    found = []
    replaying = threading.Thread(
        target=lambda: found.append(replay(recording, two_loops).divergence.kind), daemon=True
    )
    replaying.start()
    replaying.join(LONG_S)
    assert found == ["STALLED"]


@pytest.mark.parametrize("agent", [futures_awaited, loops_that_close])
def test_loops_and_pools_that_wait_for_each_other(tapes, patient, agent):
    """Nothing of that hinders the others, or wakes a loop unrecorded; an outcome that comes too late is none."""
    for _ in range(3):
        (outcome, value), recording = tapes.record(agent)
        assert outcome == "ok", value
        assert not recording.leaks
        assert not [turn for turn in recording.turns if isinstance(turn, GivenUp)]
        assert_identical(replay(recording, agent))


def test_a_holder_that_starts_many_threads(tapes, monkeypatch):
    """What the process computes for threads that begin is not the holder's doing: it is looked at often before it is accused."""
    for name, value in {
        "_STUCK_S": LONG_S,
        "_BUSY_S": 0,
        "_LONG_S": 0,
        "_BUSY_LOOKS": 1_000,
        "_LONG_LOOKS": 1_000,
    }.items():
        monkeypatch.setattr(_watch, name, value)
    _, recording = tapes.record(hundred)
    assert not [turn for turn in recording.turns if isinstance(turn, GivenUp)]
