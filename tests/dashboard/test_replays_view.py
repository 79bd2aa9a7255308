"""What a run's page says of its replays."""

from datetime import UTC, datetime, timedelta

import pytest

from tachograph_dashboard.views import replays
from tachograph_schemas.control import REPLAY_LEASE_S
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
        "taken_ns": None,
        "created_ns": NOW_NS,
        "ended_ns": NOW_NS,
        "result": {"identical": True, "effects": 5, "divergence": None},
        **more,
    }


def test_the_state_of_a_recording_is_a_sentence_and_a_command():
    assert replays.state(Row, recording()) == ("Recorded for replay: 5 effects, 2 KB.", True)
    assert "resumed" in replays.state(Row, recording(""))[0]
    assert replays.commands(Row, recording("")) == f"tacho resume {Row.run_id[:12]}"
    assert f"tacho fork {Row.run_id[:12]} --at 5" in replays.commands(Row, recording())
    assert replays.state(Row, None)[1] is False


def test_what_is_said_of_the_commands_is_about_those_that_are_there():
    assert "tacho fork" in replays.manner(recording())
    assert "fork" not in replays.manner(recording(""))


def test_a_worker_that_is_silent_for_too_long_is_not_at_it_any_more():
    """Another one may have its replay; without one it stays where it is."""
    taken = put_down(status="taken", worker="box:1", result=None, taken_ns=NOW_NS)
    later = NOW + timedelta(seconds=REPLAY_LEASE_S + 1)
    assert not replays.wants_worker(taken, NOW)
    assert replays.wants_worker(taken, later)
    assert replays.wants_worker(put_down(status="asked", result=None), NOW)
    assert not replays.wants_worker(put_down(), later)
    (row,) = replays.listed(Row.run_id, [taken], later)["rows"]
    assert row["tone"] == "warn"
    assert row["text"] == (
        "box:1 has it and was not heard of for 15 min 01 s: start another tacho worker where the code is."
    )


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
        put_down(status="taken", worker="box:1", result=None, taken_ns=NOW_NS),
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
    (paid,) = replays.listed(Row.run_id, rows[:1], NOW, 0.25)["rows"]
    assert paid["text"] == "Identical: 5 effects. It cost nothing and saved $0.25."
    assert shown[5]["title"] == "Fork from step 4 with large with another result of step 3"
    assert [row["compare"] for row in shown[:5]] == [None] * 5
    assert (shown[6]["title"], shown[6]["compare"]) == ("Resumption", None)
    assert shown[5]["compare"] == [Row.run_id, "b" * 32]
    assert replays.listed("b" * 32, rows[5:6], NOW)["rows"][0]["other"] == Row.run_id


def test_a_sweep_is_told_with_a_run_for_each_kind_of_change():
    result = {"runs": 12, "identical": 9, "changed": 2, "not_replayable": 1}
    groups = [
        {"state": "changed", "said": "ARGS_CHANGED refund, desk.py:19", "runs": 2, "example": "a"},
        {"state": "not_replayable", "said": "it is gone", "runs": 1, "example": "b"},
    ]
    rows = [
        put_down(kind="sweep", options={"agent": "desk"}, result={**result, "groups": groups}),
        put_down(kind="sweep", result={"runs": 1, "identical": 1}),
    ]
    shown = replays.swept(rows, NOW)["rows"]
    assert [row["tone"] for row in shown] == ["bad", "bad", "warn", "good"]
    assert shown[0]["title"] == "12 runs of desk replayed"
    assert shown[0]["text"] == "9 identical, 2 would change, 1 cannot be replayed."
    assert shown[1]["title"] == "2 runs would change"
    assert (shown[1]["text"], shown[1]["other"]) == ("ARGS_CHANGED refund, desk.py:19", "a")
    assert shown[3]["title"] == "1 run replayed"
    edits = {"at": 4, "set": ["3.result", "4.args.model", "4.messages[0].content"]}
    fork = replays.listed(Row.run_id, [put_down(kind="fork", options=edits)], NOW)["rows"][0]
    assert fork["title"].endswith("of step 3 with another 4.args.model, 4.messages[0].content")
    one = replays.listed(Row.run_id, [put_down(options={"sweep": "x"})], NOW)["rows"][0]
    assert one["title"] == "Replay among others, before a deploy"
