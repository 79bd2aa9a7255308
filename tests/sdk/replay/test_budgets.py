"""Budgets in a replay: calls that are not made again charge nothing, and yet it stops where the run did."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from taped import assert_identical

import tachograph as tacho
from tachograph import _orders, _shared_budgets, _spending
from tachograph._spending import add_usage
from tachograph.replay._run import replay
from tachograph_schemas.control_client import ControlClient


@tacho.model(model="own")
def ask(number, max_tokens=10):
    add_usage(input_tokens=10, output_tokens=0, usd=0.4)
    return number


@tacho.tool(cost_usd=0.4)
async def look_up(number):
    if number:
        tacho.cache_hit(by="kept")
    return number


@tacho.run
def stopped():
    """What it does next depends on how many calls the budget allowed."""
    made = []
    try:
        with tacho.budget(usd=1.0):
            for number in range(20):
                made.append(ask(number))
    except tacho.BudgetExceeded as stop:
        made.append(ask(f"{stop.used:g} of {stop.limit:g}"))
    return made


@tacho.run
async def cached():
    with tacho.budget(usd=1.0):
        return [await look_up(number) for number in range(6)]


@tacho.run
def out_of_time():
    """By the clock, which a replay does not wait for."""
    made = 0
    try:
        with tacho.budget(wall_s=0.05):
            while True:
                ask(made)
                made += 1
    except tacho.BudgetExceeded:
        return made


@pytest.mark.parametrize("agent", [stopped, cached, out_of_time])
def test_a_replay_stops_where_the_run_did(tapes, agent):
    (_, value), recording = tapes.record(agent)
    result = replay(recording, agent)
    assert_identical(result)
    if agent is stopped:
        assert value == [0, 1, "0.8 of 1"]
    if agent is cached:
        assert value == list(range(6))


@contextmanager
def in_force(*rules):
    """Shared budgets of a collector that does not answer: what is limited for each run is counted here."""
    _shared_budgets.connect(ControlClient("http://127.0.0.1:9"))
    _shared_budgets.hear(rules)
    try:
        yield
    finally:
        _shared_budgets.connect(None)


def rule(limit, unit="tool_calls", scope="run", **more):
    return {"name": f"{scope} {unit}", "limit": limit, "unit": unit, "scope": scope} | more


@tacho.step
def step(number):
    return number


@tacho.run
async def goes_on():
    """Stops by budgets are caught, so calls before and after have to be told apart."""
    made = []
    for number in range(5):
        try:
            step(number)
            with tacho.budget(tool_calls=3):
                made.append(await look_up(number))
                made.append(ask(number))
        except tacho.BudgetExceeded as stop:
            made.append([str(stop), stop.budget])
        made.append(tacho.degraded())
    return made


LIMITS = {
    "at its first call": ([rule(5, scope="project", window="day", unreachable="stop")], 5),
    "after two calls": ([rule(2)], 3),
    "steps, and none that is counted": ([rule(2, "steps"), rule(1e6, "tokens")], 3),
    "degrading": ([rule(2, action="degrade")], 0),
    "warning": ([rule(1, action="warn")], 0),
}


@pytest.mark.parametrize("name", LIMITS)
def test_what_a_shared_budget_said_is_on_the_tape(tapes, monkeypatch, name):
    """A replay asks no collector, and knows no rules."""
    limits, stops = LIMITS[name]
    heard = []
    monkeypatch.setattr(_shared_budgets, "on_degrade", lambda error: heard.append(error.budget))
    with in_force(*limits):
        (_, value), recording = tapes.record(goes_on)
    assert len([each for each in value if isinstance(each, list)]) == stops
    assert any(each is True for each in value) == (name == "degrading")
    assert_identical(replay(recording, goes_on))
    assert heard == ["run tool_calls"] * 2 * (name == "degrading")


@tacho.run
def told_in_between():
    """The rules change while it is under way."""
    made = [ask(0)]
    with in_force(rule(0, "model_calls")):
        try:
            ask(1)
        except tacho.BudgetExceeded as stop:
            made.append(str(stop))
    return [*made, ask(2), _spending.degraded()]


def test_a_shared_budget_that_comes_and_goes_is_told_to_the_same_call(tapes, monkeypatch):
    (_, value), recording = tapes.record(told_in_between)
    assert len(value) == 4
    # The rule is the collector's, so the replay has none.
    monkeypatch.setattr(_shared_budgets, "hear", lambda _: None)
    assert_identical(replay(recording, told_in_between))


@tacho.run
async def stopped_by_a_person():
    made = [await look_up(0)]
    stop = {"id": "1", "action": "stop", "scope": "all", "target": ""}
    _orders._put({"orders": [stop | {"reason": "enough", "actor": "ann"}]})
    try:
        await look_up(1)
    finally:
        _orders._put({})
    return made


def test_a_replay_stops_where_a_person_stopped_the_run(tapes, monkeypatch):
    (_, error), recording = tapes.record(stopped_by_a_person)
    assert isinstance(error, tacho.RunStopped)
    monkeypatch.setattr(_orders, "_put", lambda _: None)
    assert_identical(replay(recording, stopped_by_a_person))
