"""Faults inside the SDK never reach the agent, except in tests, where they must be loud."""

from __future__ import annotations

import signal

import pytest

import tachograph as tacho
from tachograph import _call, _guard

BROKEN = """
import logging, sys
logging.basicConfig(stream=sys.stderr, format="%(message)s")
import tachograph as tacho
from tachograph import _call
from tachograph.testing import captured_spans

def broken(*_): raise RuntimeError("a bug of ours")
_call.capture_as = broken

@tacho.tool
def act(x): return x

with captured_spans() as spans:
    print([act(n) for n in range(5)], len(spans))
"""


def test_fault_is_logged_once_and_the_call_is_made(run_script):
    """The agent's result is what matters; a minute has room for one complaint."""
    done = run_script(BROKEN)
    assert done.stdout.strip() == "[0, 1, 2, 3, 4] 0"
    assert done.stderr.count("tachograph failed while") == 1
    assert "a bug of ours" in done.stderr


def test_fault_is_raised_under_pytest(spans, monkeypatch):
    """Silence in our own tests would hide every bug."""

    def broken(*_):
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(_call, "capture_as", broken)
    with pytest.raises(RuntimeError, match="a bug of ours"):
        tacho.tool(lambda: None)()


def test_complaints_held_back_are_counted(monkeypatch, caplog):
    """Once a minute, with how many there were in between."""
    now_s = [1_000.0]
    monkeypatch.setattr(_guard.time, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(_guard, "_last_said_s", {})
    for _ in range(4):
        _guard.say_rarely("k", "trouble with %s", "x")
    now_s[0] += _guard.QUIET_S + 1
    _guard.say_rarely("k", "trouble with %s", "x")
    assert caplog.messages == [
        "trouble with x",
        "trouble with x (3 more like this in the last minutes)",
    ]


def test_guard_lets_keyboard_interrupt_through(monkeypatch):
    """Ctrl-C belongs to the process; one that the code inside raises by itself does not."""
    monkeypatch.setattr(_guard, "under_pytest", lambda: False)
    with pytest.raises(KeyboardInterrupt):
        with _guard.guarded("x"):
            signal.raise_signal(signal.SIGINT)
    with _guard.guarded("x"):
        raise KeyboardInterrupt
    with _guard.guarded("testing"):
        raise ValueError
