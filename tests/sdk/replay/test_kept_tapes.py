"""Tapes of earlier versions, with the agents they were made of: every later version replays them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tachograph.replay.testing import assert_replays

KEPT = Path(__file__).parent / "tapes"
TAPES = sorted(KEPT.glob("*.tacho"))


def test_there_are_tapes():
    assert len(TAPES) >= 4


@pytest.mark.parametrize("tape", TAPES, ids=lambda path: path.stem)
def test_kept_tape_replays(tape):
    assert_replays(tape, code=KEPT)


def test_a_tape_replays_where_nothing_was_recorded_yet(tmp_path, monkeypatch):
    """The key for marks is missing there, and making it would be a `LEAK`."""
    monkeypatch.setenv("TACHO_HOME", str(tmp_path))
    assert_replays(TAPES[0], code=KEPT)
    assert list(tmp_path.iterdir()) == []
