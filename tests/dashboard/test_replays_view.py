"""What a run's page says of its replays."""

from datetime import UTC, datetime

import pytest

from tachograph_dashboard.views import replays
from tachograph_schemas.recordings import RecordingState

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NOW_NS = int(NOW.timestamp() * 1e9)


class Row:
    run_id = "a" * 32
    outcome = "success"


def recording(outcome="ok", limits=""):
    return RecordingState(Row.run_id, "desk", "desk:handle", outcome, 5, NOW, 2_048, limits)


def put_down(**more):
    return {
        "kind": "replay",
        "status": "done",
        "run_id": Row.run_id,
        "child_run_id": None,
        "options": {},
        "actor": "ada",
        "worker": None,
        "created_ns": NOW_NS,
        "ended_ns": NOW_NS,
        "result": {"identical": True, "effects": 5, "divergence": None},
        **more,
    }


def test_the_state_of_a_recording_is_a_sentence_and_a_command():
    assert replays.state(Row, recording()) == ("Recorded for replay: 5 effects, 2 KB.", True)
    assert "resumed" in replays.state(Row, recording(""))[0]
    assert replays.commands(Row, recording("")) == f"tacho resume {Row.run_id}"
    assert f"tacho fork {Row.run_id} --at 5" in replays.commands(Row, recording())
    assert replays.state(Row, None)[1] is False


@pytest.mark.parametrize(("limits", "word"), [("light", "light mode"), ("cut", "in part")])
def test_a_recording_that_does_not_suffice_is_called_so_and_has_no_commands(limits, word):
    said, can = replays.state(Row, recording(limits=limits))
    assert word in said
    assert not can
    assert replays.commands(Row, recording(limits=limits)) == ""


def test_what_was_tried_is_told_with_what_came_of_it():
    found = {"kind": "ARGS_CHANGED", "step": 3, "message": "ask is called", "where": "desk.py:9"}
    rows = [
        put_down(),
        put_down(result={"divergence": found}),
        put_down(status="asked", result=None, ended_ns=None),
        put_down(status="taken", worker="box:1", result=None),
        put_down(result={"problem": "It cannot be replayed: it is gone."}),
        put_down(
            kind="fork",
            child_run_id="b" * 32,
            options={"at": 4, "model": "large", "set": ["3.result"]},
            result={"outcome": "ok"},
        ),
        put_down(kind="resume", result={"outcome": "err", "error": "boom"}),
    ]
    shown = replays.listed(Row.run_id, rows, NOW)["rows"]
    assert [row["tone"] for row in shown] == [
        *("good", "bad", "waiting", "live", "warn", "good", "bad")
    ]
    assert shown[0]["text"] == "Identical: 5 effects."
    assert shown[1]["text"] == "ARGS_CHANGED in step 3: ask is called (desk.py:9)"
    assert shown[5]["title"] == "Fork from step 4 with large with another result of step 3"
    assert [row["compare"] for row in shown[:5]] == [None] * 5
    assert (shown[6]["title"], shown[6]["compare"]) == ("Resumption", None)
    assert shown[5]["compare"] == [Row.run_id, "b" * 32]
    assert replays.listed("b" * 32, rows[5:6], NOW)["rows"][0]["other"] == Row.run_id
