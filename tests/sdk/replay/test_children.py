"""Processes that an agent forks are not on its tape: it is said when they begin, and a replay makes none."""

from __future__ import annotations

import os

import pytest

import tachograph as tacho
from tachograph import _guard
from tachograph.replay._run import replay


@tacho.tool
def double(number):
    return 2 * number


def in_a_child(number):
    """What a forked child says of it."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, str(double(number)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    found = os.read(read, 9)
    os.close(read)
    os.close(write)
    return int(found)


@tacho.tool
def declared(number):
    return in_a_child(number)


@tacho.run
def forking():
    return [double(1), in_a_child(2), in_a_child(3), double(4)]


@tacho.run
def forking_in_a_tool():
    return [double(1), declared(2)]


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


def test_a_forked_child_is_told_of_while_recording(tapes, caplog, monkeypatch):
    """Its effects are not on the tape, those of the run are, and one line is said once."""
    # Another test of this process may have forked a moment ago.
    monkeypatch.setattr(_guard, "_last_said_s", {})
    (outcome, value), recording = tapes.record(forking)
    assert (outcome, value) == ("ok", [2, 4, 6, 8])
    assert [each.name for each in recording.calls] == ["double", "double"]
    (where,) = recording.forks
    assert "test_children.py" in where
    assert "in_a_child" in where
    assert where in caplog.text


def test_a_child_of_an_effect_belongs_to_it(tapes):
    (_, value), recording = tapes.record(forking_in_a_tool)
    assert value == [2, 4]
    assert not recording.forks
    assert replay(recording, forking_in_a_tool).identical
