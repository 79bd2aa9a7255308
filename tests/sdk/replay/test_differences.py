"""Scenarios of edited code: the first difference is found, named and placed; nothing is silently swapped."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import threading
import time

import pytest
from programs import edit, record
from taped import assert_identical

import tachograph as tacho
from tachograph.replay import __main__ as replaying
from tachograph.replay.__main__ import Patience, _kept_from_computing_s
from tachograph.replay._run import replay

KNOBS = {}


@pytest.fixture(autouse=True)
def knobs():
    KNOBS.clear()
    yield KNOBS
    KNOBS.clear()


@tacho.tool
async def tool(*args):
    await asyncio.sleep(random.random() * 0.002)
    return random.random()


@tacho.tool
async def guard(*args):
    return True


@tacho.effect
def refund(order):
    KNOBS.setdefault("paid", []).append(order)
    return f"receipt {order}"


@tacho.run
async def agent():
    prompt = KNOBS.get("prompt", "be kind")
    if KNOBS.get("extra"):
        await guard("extra")
    first = await tool({"system": prompt, "messages": ["hello", "there"]})
    if not KNOBS.get("removed"):
        await guard("checked")
    if KNOBS.get("forever"):
        while True:  # noqa: ASYNC110 - such loops are the scenario
            await asyncio.sleep(0)
    if KNOBS.get("deadlock"):
        await asyncio.Event().wait()
    if KNOBS.get("read"):
        time.time()
    second = await tool("second", first)
    if KNOBS.get("raises"):
        raise RuntimeError("new")
    return [first, second, KNOBS.get("suffix", "")]


@pytest.mark.parametrize(
    ("knob", "value", "kind"),
    [
        ("prompt", "be strict", "ARGS_CHANGED"),
        ("extra", True, "EXTRA_CALL"),
        ("removed", True, "EXTRA_CALL"),
        ("forever", True, "BUDGET"),
        ("deadlock", True, "STALLED"),
        ("read", True, "READ_COUNT"),
        ("raises", True, "EXCEPTION_CHANGED"),
        ("suffix", "!", "RESULT_CHANGED"),
    ],
)
def test_edit_is_found(tapes, knob, value, kind):
    """prompt-edit, extra-call, removed-call, infinite-loop-after-edit, deadlock-after-edit and others."""
    _, recording = tapes.record(agent)
    KNOBS[knob] = value
    result = replay(recording, agent)
    assert not result.identical
    found = result.divergence
    if knob == "removed":
        # The next call stands where the removed one was.
        assert found.kind in {"MISSING_CALL", "EXTRA_CALL", "ORDER_CHANGED"}
        assert found.expected["name"] == "guard"
    else:
        assert found.kind == kind, found.text()
    if knob == "prompt":
        assert found.step == 1
        assert found.changes == ['~ $.args.v[0].system: "be kind" -> "be strict"']
    if knob == "deadlock":
        assert "tool" in found.message


@tacho.run
async def two_agents():
    names = KNOBS.get("names", ["a", "b"])

    async def sub(name):
        return [name, await tool("same"), await tool("same")]

    async def added(name):
        return await guard(name)

    labels = {"new": added}
    return await asyncio.gather(*(labels.get(name, sub)(name) for name in names))


def test_sibling_added(tapes):
    """A new sub-agent in front of the others: it is the difference, they keep their answers."""
    _, recording = tapes.record(two_agents)
    KNOBS["names"] = ["new", "a", "b"]
    found = replay(recording, two_agents).divergence
    assert found.kind == "EXTRA_CALL"
    assert "added" in found.path


def test_removed_at_the_end(tapes):
    (_, _), recording = tapes.record(two_agents)
    KNOBS["names"] = ["a"]
    found = replay(recording, two_agents).divergence
    assert found.kind in {"MISSING_CALL", "STALLED"}


@tacho.run
def swallow_all():
    for number in range(3):
        try:  # noqa: SIM105 - such agents exist
            refund(number + KNOBS.get("shift", 0))
        except Exception:
            pass
    return "done"


def test_swallow_all(tapes):
    """An agent that catches everything cannot hide a difference."""
    _, recording = tapes.record(swallow_all)
    KNOBS["shift"] = 10
    result = replay(recording, swallow_all)
    assert result.divergence.kind == "ARGS_CHANGED"


def test_write_tool(tapes):
    """The body of an effect never runs in a replay."""
    _, recording = tapes.record(swallow_all)
    assert KNOBS.pop("paid") == [0, 1, 2]
    assert_identical(replay(recording, swallow_all))
    assert "paid" not in KNOBS


@tacho.run
async def reads_a_stream():
    @tacho.model
    async def stream():
        for number in range(6):
            yield number

    out = []
    async for chunk in stream():
        out.append(chunk)
        if len(out) == KNOBS.get("stop", 4):
            break
    return len(out) > 0


@pytest.mark.parametrize("stop", [2, 6])
def test_stream_consumption(tapes, stop):
    _, recording = tapes.record(reads_a_stream)
    KNOBS["stop"] = stop
    assert replay(recording, reads_a_stream).divergence.kind == "STREAM_CONSUMPTION"


@tacho.run
def mutates():
    items = [1]
    refund(items)
    items.append(2)
    refund(items)
    return items


def test_args_mutated_later(tapes):
    _, recording = tapes.record(mutates)
    assert [call.args for call in recording.calls] == [{"order": [1]}, {"order": [1, 2]}]
    assert_identical(replay(recording, mutates))


SPINNING = """
    import threading
    import tachograph as tacho

    @tacho.tool
    def look(order):
        return order

    @tacho.run
    def handle(order):
        return look(order)

    if __name__ == "__main__":
        tacho.init()
        handle("a")
"""


@pytest.mark.parametrize(
    ("stuck", "said"),
    [("while True: pass", "ran for 0.2"), ("threading.Event().wait()", "waited for 3")],
)
def test_an_agent_that_is_stuck_is_ended(tmp_path, stuck, said):
    """By the processor's time, or, waiting for a lock that nobody gives back, by the clock's."""
    recording = record(tmp_path, SPINNING)
    edit(tmp_path / "desk.py", "return look", f"{stuck}\n    return look")
    words = ["--code", str(tmp_path), "--patience-s", "0.2"]
    process = subprocess.run(
        [sys.executable, "-m", "tachograph.replay", str(recording), *words],
        capture_output=True,
        check=True,
        timeout=180,
    )
    found = json.loads(process.stdout)["divergence"]
    assert found["kind"] == "BUDGET"
    assert said in found["message"]
    assert "desk.py:" in found["where"]


@pytest.mark.parametrize(("is_ready", "said"), [(True, "ran for 0.2"), (False, "waited for 3")])
def test_who_waits_for_the_processor_is_not_said_to_wait_for_something(is_ready, said):
    """Among fifty others an agent that computes had not run for long when the clock's time was over."""
    patience, looks = Patience(0.2), (number * 0.05 for number in range(10_000))
    times = ((now_s, is_ready * now_s * 0.02, is_ready * now_s * 0.98) for now_s in looks)
    assert said in next(found for each in times if (found := patience.look("here", *each)))


def test_a_machine_that_stood_still_uses_up_no_patience():
    """Whoever was stopped for a minute has neither run nor waited."""
    patience = Patience(0.2)
    assert not patience.look("here", 0.0, 0.0)
    assert not patience.look("here", 60.0, 0.0)
    assert not patience.look("there", 61.0, 0.0)
    assert not patience.look("there", 121.0, 0.1)


def test_how_long_others_had_the_processor_is_known_where_the_system_says_it(tmp_path, monkeypatch):
    assert _kept_from_computing_s() >= 0
    own = str(threading.get_native_id())
    for name, text in {own: "1 7000000000 1", "2": "1 2500000000 1", "3": "1 500000000 1"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "schedstat").write_text(text)
    (tmp_path / "4").mkdir()  # has ended
    monkeypatch.setattr(replaying, "_TASKS", tmp_path)
    assert _kept_from_computing_s() == 3
    monkeypatch.setattr(replaying, "_TASKS", tmp_path / "none")
    assert _kept_from_computing_s() == 0
