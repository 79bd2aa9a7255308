"""Looking at another thread: it neither stops the process nor changes whether garbage is collected."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading

import pytest

from tachograph import _stacks


@pytest.fixture
def waiting():
    """Threads that wait, deep in calls, so that there are many frames to be made."""
    done = threading.Event()

    def deeper(depth):
        return deeper(depth - 1) if depth else done.wait()

    threads = [threading.Thread(target=deeper, args=[30]) for _ in range(20)]
    for thread in threads:
        thread.start()
    yield threads
    done.set()
    for thread in threads:
        thread.join()


def test_the_frame_is_that_of_the_thread(waiting):
    frame, names = _stacks.frame_of_thread(waiting[3].ident), []
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    assert names.count("deeper") == 31
    assert _stacks.frame_of_thread(threading.get_ident()).f_code.co_name == "frame_of_thread"


def test_an_unknown_thread_has_none():
    assert _stacks.frame_of_thread(1) is None


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="garbage is collected between instructions only"
)
def test_nothing_is_collected_while_frames_are_made(waiting, monkeypatch):
    """There, it can stop the process for ever: the list of threads is locked."""
    inside, collected = [False], [0]
    real = sys._current_frames

    def frames():
        inside[0] = True
        try:
            return real()
        finally:
            inside[0] = False

    def note(phase, info):
        collected[0] += inside[0]

    monkeypatch.setattr(sys, "_current_frames", frames)
    before = gc.get_threshold()
    gc.callbacks.append(note)
    try:
        gc.set_threshold(1)
        frames()
        assert collected[0] > 0, "the check itself finds nothing"
        collected[0] = 0
        for thread in waiting:
            _stacks.frame_of_thread(thread.ident)
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(note)
    assert collected[0] == 0
    assert gc.isenabled()


def test_who_collects_nothing_still_does_not(waiting):
    gc.disable()
    try:
        _stacks.frame_of_thread(waiting[0].ident)
        assert not gc.isenabled()
    finally:
        gc.enable()


FINALISERS_SET_VARIABLES = """
import contextvars, gc
from tachograph._stacks import keep_contexts

keep_contexts()
variables = [contextvars.ContextVar(f"v{number}") for number in range(40)]
for variable in variables:
    variable.set(0)

class Left:
    def __init__(self):
        self.me = self
    def __del__(self):
        for variable in variables[:20]:
            variable.set(object())

gc.freeze()
for number in range(10_000):
    gc.set_threshold(2 + number % 11, 1, 1)
    Left()
    variables[number % 40].set(number)
"""


def test_finalisers_may_set_context_variables():
    """Without that, Python 3.11 crashes at once: what records in a finaliser sets some."""
    words = [sys.executable, "-c", FINALISERS_SET_VARIABLES]
    done = subprocess.run(words, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
