"""The short ways of recording change nothing: not what is on the tape, nor in the spans, nor what the agent sees."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from contextlib import suppress

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from taped import assert_identical, call, taping

import tachograph as tacho
from tachograph import _call, _recorder
from tachograph.replay import _tape, codec
from tachograph.replay._run import replay
from tachograph.replay._tape import INLINE_BYTES
from tachograph_schemas import names

EFFECTS = 50

texts = st.text(max_size=30) | st.sampled_from(["é" * 5_000, "a" * 5_000, "\x7f\ud800", "\t\n\x00"])
plain = st.none() | st.booleans() | st.integers() | st.floats() | texts
# Long enough for a blob, whose name is the digest of its text, and encoders differ in how they write these.
differing = st.just({"long": "a" * 5_000, "large": 1e16, "delete": "\x7f"})
values = st.recursive(
    plain | differing | st.binary(max_size=5) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text(max_size=3) | st.just("$") | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)


@tacho.tool
def echo(value):
    return value


@tacho.effect
async def write(value):
    await asyncio.sleep(0)
    return value


def recorded(tapes, given_values):
    """The tape of a run that passes values through effects, and what its spans say."""

    @tacho.run
    async def passing():
        for value in given_values:
            echo(value)
            await write(value)

    spans = []
    keep = spans.append
    _recorder.active().sinks.append(keep)
    try:
        (outcome, _), recording = tapes.record(passing)
    finally:
        _recorder.active().sinks.remove(keep)
    assert outcome == "ok"
    calls = [(each.name, each.args, list(each.outcomes)) for each in recording.calls]
    said = [
        {key: value for key, value in span.attributes.items() if key != names.RUN_ID}
        for span in spans
        if span.attributes[names.LAYER] == "tool"
    ]
    return repr((calls, recording.deliveries, recording.blobs)), said


@settings(max_examples=25, deadline=None)
@given(st.lists(values, min_size=10, max_size=20), st.sampled_from([200, 65_536]))
def test_values_are_encoded_once(tmp_path_factory, given_values, limit_bytes):
    """What was encoded for the span is on the tape what the tape's own encoder would have written."""
    found = []
    for way in (_call.open_call, lambda *_: None):
        with pytest.MonkeyPatch.context() as patch, taping(tmp_path_factory.mktemp("t")) as tapes:
            patch.setattr(_call, "open_call", way)
            patch.setattr(_recorder.active(), "capture_limit_bytes", limit_bytes)
            found.append(recorded(tapes, given_values))
    assert found[0] == found[1]


def test_a_secret_among_many_payloads(tapes):
    """Payloads are looked at together; the one with a key in it is masked, and no other."""
    key = "sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789"

    @tacho.run
    def many():
        for number in range(EFFECTS):
            echo(f"{number} {'word ' * 100}{key if number == 7 else 'no key'}")

    _, recording = tapes.record(many)
    calls = [json.dumps([each.args, each.outcomes[0].tree]) for each in recording.calls]
    assert [number for number, text in enumerate(calls) if "[redacted:" in text] == [7]
    assert not any(key in text for text in calls)
    assert_identical(replay(recording, many))


@pytest.mark.parametrize("filling", ["", "é “ü”", "long, " * 1_000])
def test_what_a_tape_looked_through_is_told_and_what_it_masked_is_not(tapes, filling):
    """The span of the one with a key in it is screened as a whole."""
    key = "sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789"
    screened = tapes.session._screened
    spans = []

    @tacho.run
    def two():
        for said in ("no key", key):
            echo(f"{filling} {said} {'word ' * 100}")
        tapes.session.drain.write_out()

    keep = spans.append
    _recorder.active().sinks.append(keep)
    try:
        _, recording = tapes.record(two)
    finally:
        _recorder.active().sinks.remove(keep)
    clean, masked = [span for span in spans if span.attributes[names.LAYER] == "tool"]
    assert len(screened.rest_of(clean.final_bytes())) < 500
    assert screened.rest_of(masked.final_bytes()) == masked.final_bytes()
    assert key not in json.dumps([recording.records, recording.blobs])
    assert "[redacted:anthropic_key" in json.dumps([recording.records, recording.blobs])


@settings(max_examples=300, deadline=None)
@given(
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**63), 2**63)
    | st.text(st.characters(codec="utf-8")),
    st.sampled_from(["", "x" * INLINE_BYTES]),
)
def test_a_payload_of_a_span_is_written_as_a_tape_would(value, filling):
    """The digest of a blob is that of its text, whoever encoded it."""
    value = [value, filling]
    content = _tape._ascii(orjson.dumps(value))
    assert json.loads(content) == value
    if filling:
        assert content == json.dumps(value, separators=(",", ":")).encode()


@tacho.tool
async def at_once(number):
    return number


def test_an_effect_that_does_not_wait_takes_no_turn_of_the_loop(tapes):
    """As without a recording; in a replay it takes one."""

    @tacho.run
    async def many():
        for number in range(EFFECTS):
            await at_once(number)

    turns = []

    class Loop(asyncio.SelectorEventLoop):
        def _run_once(self):
            turns.append(1)
            super()._run_once()

    Loop.__module__ = "asyncio"  # one whose schedule can be recorded
    _, recording = tapes.record(many, new_loop=Loop)
    assert len(turns) < EFFECTS / 2
    assert_identical(replay(recording, many))


@tacho.tool
async def later(number):
    await asyncio.sleep(0)
    return number


async def _steps(dice, log, board, name, depth=0):
    """Effects that wait and that do not, between everything that makes something else of the agent able to run."""
    loop = asyncio.get_running_loop()
    for number in range(dice.randrange(2, 6)):
        log.append((name, number))
        kind = dice.randrange(9)
        if kind < 3:
            log.append((name, await at_once(number)))
        elif kind == 3:
            log.append((name, await later(number)))
        elif kind == 4:
            await asyncio.sleep(0)
        elif kind == 5 and depth < 2:
            inner = (_steps(dice, log, board, f"{name}{each}", depth + 1) for each in range(2))
            await asyncio.gather(*inner)
        elif kind == 6:
            loop.call_soon(log.append, (name, "soon"))
        elif kind == 7:
            asyncio.current_task().cancel()
            try:
                log.append((name, await at_once("cancelled")))
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                asyncio.current_task().uncancel()
                log.append((name, "cancelled"))
        else:
            board.set()
            board.clear()
            if dice.random() < 0.3:
                with suppress(TimeoutError):
                    await asyncio.wait_for(board.wait(), 0.001)


@tacho.run
async def in_some_order(seed):
    """What its tasks did, in order."""
    dice, log, board = random.Random(seed), [], asyncio.Event()
    await _steps(dice, log, board, "a")
    log.append(await at_once("end"))
    return log


@pytest.mark.parametrize("seed", range(40))
def test_what_is_handed_over_at_once_comes_in_the_same_order_in_a_replay(tapes, seed):
    """Whatever else of the agent could have run: other tasks, callbacks, cancellations, timeouts."""
    (outcome, _), recording = tapes.record(in_some_order, seed)
    assert outcome == "ok"
    assert_identical(replay(recording, in_some_order))


@tacho.tool
async def look(board):
    asyncio.current_task().set_name("looking")
    seen = board["now"]
    await asyncio.sleep(0)
    return seen


@tacho.run
async def looks_at_once():
    """Each effect sees what its caller has just set, and has a task of its own."""
    board = {}

    async def one(number):
        board["now"] = number
        before = asyncio.current_task()
        seen = await look(board)
        assert asyncio.current_task() is before
        return seen, before.get_name() == "looking"

    return await asyncio.gather(*(one(number) for number in range(5)))


def test_an_effect_begins_where_it_is_called():
    """As without a recording: its first step does not come after others of the agent."""
    assert call(looks_at_once)[1] == [(number, True) for number in range(5)]


def test_an_effect_begins_where_it_is_called_when_recorded(tapes):
    """The same with a recording, but for the task, which is its own."""
    (_, seen), recording = tapes.record(looks_at_once)
    assert seen == [(number, False) for number in range(5)]
    assert_identical(replay(recording, looks_at_once))


@tacho.tool
async def leave(error, turns):
    for _ in range(turns):
        await asyncio.sleep(0)
    raise error


@tacho.run
async def told_to_leave():
    said = []
    for turns in (0, 2):
        for error in (SystemExit(3), asyncio.CancelledError("enough"), ValueError("odd")):
            try:
                await leave(error, turns)
            except BaseException as caught:
                said.append([turns, type(caught).__name__])
    return said


def test_whatever_an_effect_raises_reaches_its_caller(tapes):
    """Also what would end the loop if a task of its own raised it."""
    usual = call(told_to_leave)
    found, recording = tapes.record(told_to_leave)
    assert found == usual
    assert len(found[1]) == 6
    assert_identical(replay(recording, told_to_leave))


class Marked(asyncio.Task):
    """A task of a program that makes its own kind."""


@tacho.tool
async def kind_of_task():
    return type(asyncio.current_task()).__name__


@tacho.run
async def asks_for_its_task():
    return [await kind_of_task() for _ in range(3)]


def test_the_program_makes_its_own_tasks(tapes):
    """A task factory is asked for the tasks of effects, too."""

    def new_loop():
        loop = asyncio.new_event_loop()
        loop.set_task_factory(lambda loop, coro, **more: Marked(coro, loop=loop, **more))
        return loop

    (_, found), recording = tapes.record(asks_for_its_task, new_loop=new_loop)
    assert found == ["Marked"] * 3
    assert_identical(replay(recording, asks_for_its_task))


@tacho.run
async def woken_by_an_effect():
    bell = asyncio.Event()

    @tacho.tool
    async def ring():
        bell.set()
        await asyncio.sleep(0)

    waiting = asyncio.create_task(bell.wait())
    await asyncio.sleep(0)
    await ring()
    await waiting


def test_a_leak_in_the_first_step_of_an_effect_is_named(tapes):
    """It wakes the agent, and no replay would."""
    _, recording = tapes.record(woken_by_an_effect)
    assert len(recording.leaks) == 1


class Slow:
    """Takes as long to encode as the other thread's run."""


def test_runs_on_loops_of_two_threads_do_not_meet(tapes):
    """While one outcome is written, another loop delivers its own."""
    encoding, done = threading.Event(), threading.Event()

    def encode(_):
        encoding.set()
        return done.wait(60)

    codec(Slow, encode=encode, decode=lambda _: Slow())

    @tacho.tool
    async def slow() -> Slow:
        await asyncio.sleep(0)
        return Slow()

    @tacho.run
    async def first():
        return type(await slow()).__name__

    found = []
    thread = threading.Thread(target=lambda: found.append(call(first)))
    thread.start()
    assert encoding.wait(60)
    found.append(call(told_to_leave))
    done.set()
    thread.join(60)
    assert [outcome for outcome, _ in found] == ["ok", "ok"]
