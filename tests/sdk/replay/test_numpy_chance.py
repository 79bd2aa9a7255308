"""random-choice: the generator that all of numpy shares."""

# Agents use the shared generator, whatever is better.
# ruff: noqa: NPY002

from __future__ import annotations

import asyncio
import os
import random
import threading

import numpy as np
from taped import assert_identical

import tachograph as tacho
from tachograph.replay import _numpy
from tachograph.replay._recording import Recording
from tachograph.replay._run import replay


@tacho.tool
async def look(number):
    await asyncio.sleep(random.random() * 0.002)
    np.random.random()  # below an effect: nobody's business, and it moves the generator
    return number


async def worker(nth):
    """Draws between effects that come in any order."""
    drawn = [int(np.random.randint(1_000_000))]
    drawn.append(await look(drawn[0]))
    return [*drawn, float(np.random.normal()), np.random.permutation(5).tolist()]


@tacho.run
async def drawing():
    found = await asyncio.gather(*(worker(nth) for nth in range(4)))
    np.random.seed(7)
    return found, np.random.choice(["a", "b", "c"], 4).tolist(), float(np.random.sample())


@tacho.run
def drawing_often():
    return [float(np.random.random()) for _ in range(100)]


@tacho.run
def seeded():
    np.random.seed(42)
    return np.random.random(3).tolist()


def states_of(recording):
    return [value for values in recording.reads.values() for value in values if value is not None]


def test_what_is_drawn_is_drawn_again(tapes):
    for _ in range(3):
        (outcome, _), recording = tapes.record(drawing)
        assert outcome == "ok"
        assert_identical(replay(recording, drawing))


def test_the_state_is_written_once_as_long_as_nobody_else_draws(tapes):
    (_, first), recording = tapes.record(drawing_often)
    assert_identical(replay(recording, drawing_often))
    assert len(states_of(recording)) == 1
    _, second = tapes.record(drawing_often)[0]
    assert first != second


def test_a_recording_without_the_state_replays_what_is_seeded(tapes):
    """As earlier versions made them."""
    _, recording = tapes.record(seeded)
    records = [record for record in recording.records if record["t"] != "read"]
    assert len(records) < len(recording.records)
    assert_identical(replay(Recording(records, recording.blobs), seeded))


def test_a_child_draws_although_another_thread_was_drawing_when_it_was_forked():
    taken, go_on = threading.Event(), threading.Event()

    def draw_long():
        with _numpy._lock:
            taken.set()
            go_on.wait(60)

    thread = threading.Thread(target=draw_long)
    thread.start()
    assert taken.wait(30)
    child = os.fork()
    if not child:
        os._exit(0 if _numpy._lock.acquire(timeout=20) else 1)
    go_on.set()
    thread.join(30)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
