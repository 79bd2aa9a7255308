"""env-read and hash-order: what is another one around a replay is said, and `tacho record` fixes the order of sets."""

from __future__ import annotations

import os
import sys
import textwrap

import pytest
from programs import recording_in, tacho
from taped import assert_identical

import tachograph as tacho_sdk
from tachograph.replay._divergence import Divergence
from tachograph.replay._run import replay
from tachograph.replay._surroundings import notes

PROGRAM = """
    import os
    import tachograph as tacho

    @tacho.tool
    def visit(town):
        return town

    @tacho.run(agent="tour")
    def tour():
        towns = {f"town {number}" for number in range(30)}
        return [os.environ.get("REGION"), *(visit(town) for town in towns)]

    if __name__ == "__main__":
        tacho.init()
        print(tour())
"""


def test_sets_have_the_recorded_order(tmp_path, monkeypatch):
    """`tacho record` draws a seed for the program, and its replay has the same; a changed variable is said."""
    (tmp_path / "tour.py").write_text(textwrap.dedent(PROGRAM))
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    monkeypatch.setenv("REGION", "eu")
    said = tacho(tmp_path, "record", "--", sys.executable, "tour.py")
    assert said.startswith("['eu', 'town")
    file = recording_in(tmp_path / "home")
    monkeypatch.setenv("REGION", "us")
    said = tacho(tmp_path, "replay", str(file))
    assert said.startswith("Identical: 30 effects")
    assert 'note: REGION is another one now than when this was recorded: "eu" -> "us".' in said


def test_record_says_what_is_wrong(tmp_path):
    tacho(tmp_path, "record", "--", code=2)
    tacho(tmp_path, "record", "--", "no-such-program-here", code=2)


@tacho_sdk.run
def reads():
    return [bool(os.environ.get(name)) for name in ("PLAIN", "API_KEY", "NEVER_SET")]


@pytest.fixture
def recording(tapes, monkeypatch):
    monkeypatch.setenv("PLAIN", "red")
    monkeypatch.setenv("API_KEY", "hunter2-hunter2")
    _, recording = tapes.record(reads)
    assert_identical(replay(recording, reads))
    return recording


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"PLAIN": "red", "API_KEY": "hunter2-hunter2"}, []),
        ({"PLAIN": "blue", "API_KEY": "hunter2-hunter2"}, ['"red" -> "blue"']),
        ({"PLAIN": "red"}, ["a secret"]),
        ({"API_KEY": "hunter3-hunter3"}, ["a secret", '"red" -> not set']),
        (
            {"PLAIN": "red", "API_KEY": "hunter2-hunter2", "NEVER_SET": ""},
            ['not set -> ""'],
        ),
    ],
    ids=["nothing", "another value", "secret gone", "both", "set now"],
)
def test_changed_variables_are_named(recording, now, said):
    """With their values, unless they are secrets."""
    found = notes(recording, None, now)
    assert len(found) == len(said)
    for line, part in zip(found, said, strict=True):
        assert part in line
        assert "hunter" not in line


def test_another_order_points_to_the_hash_seed(recording, monkeypatch):
    """Only where the parts are the same, and the seed was random."""
    recording.run["env"]["hash_seed"] = "random"
    environment = {"PLAIN": "red", "API_KEY": "hunter2-hunter2"}
    turned = Divergence("RESULT_CHANGED", "", expected=["a", "b"], actual=["b", "a"])
    other = Divergence("RESULT_CHANGED", "", expected=["a", "b"], actual=["b", "c"])
    (said,) = notes(recording, turned, environment)
    assert "tacho record" in said
    assert notes(recording, other, environment) == []
    recording.run["env"]["hash_seed"] = "7"
    assert notes(recording, turned, environment) == []
    recording.run["env"]["python"] = "3.9.1"
    (said,) = notes(recording, other, environment)
    assert said.startswith("It was recorded in Python 3.9.1")
