"""Scenarios of forks and of resumption after a crash: the beginning from the tape, the rest live."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing

import pytest
from taped import assert_identical
from test_order import SCENARIOS, stream, stream_early_stop

import tachograph as tacho
from tachograph.replay import Happened, _reconcile, reconcile
from tachograph.replay._continue import Plan
from tachograph.replay._recording import Recording
from tachograph.replay._run import go_on, replay

DONE = []


@pytest.fixture(autouse=True)
def nothing_done():
    DONE.clear()


@tacho.tool
async def look(number):
    await asyncio.sleep(random.random() * 0.002)
    DONE.append(number)
    return [number, random.random()]


@tacho.effect
def pay(amount):
    DONE.append(f"paid {amount}")
    return f"receipt {amount}"


@tacho.run
async def shop():
    first = await asyncio.gather(*(look(number) for number in range(3)))
    await asyncio.sleep(0.001)
    receipt = pay(7)
    last = await look(len(first) + 10)
    return [first, receipt, last]


@tacho.effect
async def pay_slowly(amount):
    await asyncio.sleep(0)
    DONE.append(f"paid {amount}")
    return f"receipt {amount}"


@tacho.run
async def async_shop():
    first = await asyncio.gather(look(1), look(2))
    return [first, await pay_slowly(7), await look(13)]


def cut(recording: Recording, length: int) -> Recording:
    """The recording as a process that was killed after so many records leaves it."""
    return Recording(recording.records[:length], recording.blobs)


def test_crash_anywhere(tapes):
    """Killed after each record: what had come out never happens again, and the resumed run replays."""
    (_, _), recording = tapes.record(shop)
    for length in range(1, len(recording.records)):
        DONE.clear()
        before = cut(recording, length)
        answered = {
            call.index
            for call in before.calls
            if call.outcomes or any(d.index == call.index for d in before.deliveries)
        }
        outcome, result = go_on(Plan(before, allow_writes=True), shop)
        assert outcome == "ok", result
        assert len(DONE) == 5 - len(answered)
        resumed = tapes.newest()
        assert resumed.run_id == recording.run_id  # the same run goes on
        assert "parent" not in resumed.run
        assert_identical(replay(resumed, shop))


def test_crash_in_write(tapes):
    """Killed between intent and outcome of a write: it is not done blindly."""
    _, recording = tapes.record(shop)
    number = next(n for n, r in enumerate(recording.records) if r.get("e") == "write")
    DONE.clear()
    outcome, error = go_on(Plan(cut(recording, number + 1)), shop)
    assert outcome == "err"
    assert isinstance(error, tacho.Refused)
    assert "may or may not have happened" in str(error)
    assert not [each for each in DONE if str(each).startswith("paid")]
    tapes.session.drain.wait(30)
    assert len(tapes.paths) == 1  # the recording of before is still the run's


@pytest.mark.parametrize("agent", ["shop", "async_shop"])
def test_reconcile(tapes, agent):
    """crash-in-write: who can look is asked, and the write is neither lost nor done twice."""
    agent, effect = {"shop": (shop, pay), "async_shop": (async_shop, pay_slowly)}[agent]
    _, recording = tapes.record(agent)
    number = next(n for n, r in enumerate(recording.records) if r.get("e") == "write")
    killed = cut(recording, number + 1)
    asked = []

    @reconcile(effect)
    def look(given):
        asked.append(given)
        return Happened("receipt of then") if len(asked) == 1 else None

    for receipt, paid in (("receipt of then", []), ("receipt 7", ["paid 7"])):
        DONE.clear()
        outcome, result = go_on(Plan(killed), agent)
        assert outcome == "ok", result
        assert result[1] == receipt
        assert [each for each in DONE if str(each).startswith("paid")] == paid
        assert_identical(replay(tapes.newest(), agent))
    assert asked == [{"amount": 7}] * 2
    _reconcile._hooks.clear()


def test_writes_that_had_not_begun_are_done(tapes):
    """A resumed run goes on as it would have; only what was under way is in doubt."""
    _, recording = tapes.record(shop)
    number = next(n for n, r in enumerate(recording.records) if r.get("e") == "write")
    DONE.clear()
    outcome, result = go_on(Plan(cut(recording, number)), shop)
    assert outcome == "ok", result
    assert DONE[0] == "paid 7"


@pytest.mark.parametrize("agent", SCENARIOS, ids=lambda each: each.__name__)
def test_resume_of_schedules(tapes, agent):
    """Cut at random places, every concurrent agent goes on to its end, and the whole replays."""
    (_, _), recording = tapes.record(agent)
    places = random.Random(1).sample(
        range(1, len(recording.records)), min(4, len(recording.records) - 1)
    )
    for length in places:
        outcome, result = go_on(Plan(cut(recording, length), allow_writes=True), agent)
        assert outcome == "ok", result
        assert_identical(replay(tapes.newest(), agent))


@tacho.run
async def stream_closed():
    """Waits until the stream that it leaves is closed."""
    async with aclosing(stream("a")) as chunks:
        first = await anext(chunks)
    return first, await look(1)


@pytest.mark.parametrize(
    ("agent", "closes_late"),
    [(stream_early_stop, False), (stream_early_stop, True), (stream_closed, False)],
)
def test_resume_where_a_stream_was_left(tapes, agent, closes_late):
    """After every record, also where the run went on before the stream had said that it is closed."""
    _, recording = tapes.record(agent)
    records = recording.records
    if closes_late:
        records = without_close(records)
    for length in range(1, len(records)):
        outcome, result = go_on(Plan(Recording(records[:length], recording.blobs)), agent)
        assert outcome == "ok", (length, result)
        assert_identical(replay(tapes.newest(), agent))


def without_close(records):
    """As on a busy machine: the next outcome came, and was the last."""
    close = next(record for record in records if record.get("o") == "close")
    left = [dict(record) for record in records if record is not close]
    for record in left:
        if record.get("q", 0) > close["q"]:
            record["q"] -= 1
    return left


def test_fork_edit_result(tapes):
    """fork-edit-result: nothing of the prefix is live, the child is a recording that replays."""
    (_, _), recording = tapes.record(shop)
    DONE.clear()
    plan = Plan(recording, live_from_step=5, results={4: "another receipt"})
    outcome, result = go_on(plan, shop)
    assert outcome == "ok"
    assert result[1] == "another receipt"
    assert DONE == [13]
    child = tapes.newest()
    assert child.run["parent"] == {"run_id": recording.run_id, "step": 5}
    assert_identical(replay(child, shop))


def test_fork_writes_denied(tapes):
    """fork-writes-denied: the suffix reaches a write and stops for consent."""
    _, recording = tapes.record(shop)
    DONE.clear()
    outcome, error = go_on(Plan(recording, live_from_step=4), shop)
    assert outcome == "err"
    assert isinstance(error, tacho.Refused)
    assert not DONE
    outcome, _ = go_on(Plan(recording, live_from_step=4, allow_writes=True), shop)
    assert outcome == "ok"
    assert DONE == ["paid 7", 13]
