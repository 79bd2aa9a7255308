"""The drift service over a real engine and a real control database."""

from __future__ import annotations

import itertools
import time
from dataclasses import asdict, replace

import pytest

from drift_bodies import bodies
from drift_simulator import LEARNT, Change, runs
from otlp import Trace
from postgres_server import postgres
from tachograph.demo.history import STORIES
from tachograph.demo.history import bodies as history_bodies
from tachograph_collector.control.database import Database
from tachograph_collector.drift import keeping
from tachograph_collector.drift.feeder import Feeder
from tachograph_collector.drift.keeping import DriftTables, OvertakenError
from tachograph_schemas.drift.agent import AgentWatch
from tachograph_schemas.drift.baseline import REST
from tachograph_schemas.drift.guard import guard, of_version, versions
from tachograph_schemas.drift.reading import _text, agent_runs

BUDGET_RUNS = 2_000
NOW_NS = 1_795_257_000 * 10**9  # a Saturday


@pytest.fixture
def service_of(tmp_path):
    """A function that opens a feeder on a control database, as a new process would."""
    opened = []

    def make(name: str) -> Feeder:
        database = Database(f"sqlite:///{tmp_path / name}.db")
        opened.append(database)
        return Feeder(DriftTables(database), BUDGET_RUNS)

    yield make
    for database in opened:
        database.close()


def drain(service: Feeder, client, limit: int = 10_000) -> None:
    while service.step(client, time.time_ns(), limit):
        pass


def told(service: Feeder) -> list[dict]:
    return service.tables.alarms("default")


def test_streaming_with_restarts_finds_what_reading_all_at_once_finds(client, load, service_of):
    load(*bodies("shop", runs(11, Change(cost=2), LEARNT + 200), 1))
    # A new process each time, and pages that end anywhere.
    while service_of("streaming").step(client, time.time_ns(), 411):
        pass
    whole = service_of("whole")
    drain(whole, client)
    alarms = told(whole)
    assert told(service_of("streaming")) == alarms
    [cost] = [alarm for alarm in alarms if alarm["metric"] == "cost_usd"]
    assert cost["direction"] == "more"
    assert cost["effect"]["scale"] == "ratio"
    assert 1.5 < cost["effect"]["size"] < 2.7
    assert cost["effect"]["low"] < 2.0 < cost["effect"]["high"]
    assert len(cost["before"]) == len(cost["after"]) == 5
    # Runs are named by trace ids that count up, so the estimated beginning can be compared.
    assert abs(int(cost["since_run"], 16) - LEARNT) < 60


def test_the_made_up_past_of_the_demo_shows_one_of_each(client, load, service_of):
    load(*history_bodies(NOW_NS))
    service = service_of("demo")
    drain(service, client)
    assert {each["agent"] for each in told(service)} == {"demo-drifting", "demo-deployed"}
    assert {"cost_usd", "tools"} <= {
        each["metric"] for each in told(service) if each["agent"] == "demo-drifting"
    }
    runs_of = {story.agent: agent_runs(client, "default", story.agent) for story in STORIES}
    # Whoever sends it again sends the same runs.
    ids = [point.run_id for points in runs_of.values() for point in points]
    assert len(set(ids)) == len(ids)
    again = history_bodies(NOW_NS)
    assert bytes.fromhex(runs_of["demo-healthy"][0].run_id) in next(again)
    verdicts = {}
    for agent, points in runs_of.items():
        known = versions(points)
        parts = [of_version(points, each) for each in known]
        verdicts[agent] = guard(*parts).verdict if len(parts) == 2 else "one version"
    assert verdicts == {
        "demo-healthy": "no change seen",
        "demo-drifting": "one version",
        "demo-deployed": "changed",
    }


def test_a_new_version_is_compared_by_itself_as_it_is_on_request(client, load, service_of):
    before = list(runs(21, count=450))
    after = list(itertools.islice(runs(22, Change(cost=1.7), LEARNT + 130, "v2"), LEARNT, None))
    third = list(itertools.islice(runs(23, Change(cost=1.7), LEARNT + 15, "v3"), LEARNT, None))
    load(*bodies("shop", [*before, *after, *third], 1))
    # A new process each time, and pages that end anywhere: the third a few runs into the new version.
    while service_of("guard").step(client, time.time_ns(), 160):
        pass
    points = agent_runs(client, "default", "shop")
    [kept] = service_of("guard").tables.guards("default", "shop")
    assert kept["baseline"] == "version=v1 model=claude-haiku-4-5"
    assert kept["candidate"] == "version=v2 model=claude-haiku-4-5"
    asked = guard(of_version(points, "v1"), of_version(points, "v2"))
    assert asked.verdict == "changed"
    assert {name: kept[name] for name in asdict(asked)} == asdict(asked)
    # Another collector that reads it all at once, and one that is asked for another project.
    whole = service_of("guard at once")
    drain(whole, client)
    assert whole.tables.guards("default") == [kept]
    assert whole.tables.guards("other") == []


def test_late_runs_and_runs_that_come_again_are_each_fed_once(client, load, service_of):
    points = list(runs(12, count=180))
    service, slow = service_of("late"), service_of("late")
    load(*bodies("shop", points[:100], 1))
    slow.step(client, time.time_ns(), 50)
    drain(service, client)
    # Another collector was faster: nothing is changed, and the next time it goes on from there.
    with pytest.raises(OvertakenError):
        slow.step(client, time.time_ns())
    assert slow.step(client, time.time_ns()) == 0
    # Older runs, delivered after newer ones, and one that was fed already and got its spans once more.
    load(*bodies("shop", points[140:], 141), *bodies("shop", points[:1], 1))
    drain(service, client)
    load(*bodies("shop", points[100:140], 101))
    drain(service, client)
    service.look_back()
    drain(service, client)
    assert told(service) == []
    watch = service.tables.watch(("default", "shop"), BUDGET_RUNS)
    assert (watch.runs, watch.baseline.runs) == (180, 100)


def test_after_a_clock_was_put_back_what_comes_is_looked_at_and_nothing_twice(
    client, load, service_of
):
    """The place that was written while it was ahead lies in the future, where nothing new comes for a day."""
    points = list(runs(12, count=180))
    service = service_of("clock")
    load(*bodies("shop", points[:100], 1))
    drain(service, client)
    place = service.tables.place()
    place.cursor = replace(place.cursor, computed_ns=time.time_ns() + 86_400 * 10**9)
    with service.tables.write() as connection:
        service.tables.save(connection, place, {})
    load(*bodies("shop", points[100:], 101))
    again = service_of("clock")
    again.look_back()
    drain(again, client)
    assert again.tables.watch(("default", "shop"), BUDGET_RUNS).runs == 180
    assert again.tables.place().cursor.computed_ns < time.time_ns()


def test_the_other_database_takes_an_agent_of_any_name(client, load, tmp_path):
    load(*bodies("a\0" + "x" * 300, runs(12, count=110), 1))
    with postgres() as url:
        database = Database(url)
        service = Feeder(DriftTables(database), BUDGET_RUNS)
        drain(service, client, 60)
        [found] = service.tables.standings("default")
        database.close()
    assert found["agent"] == "a\ufffd" + "x" * 198
    assert (found["runs"], found["state"]) == (110, "young")


def test_what_a_run_did_becomes_its_values(client, load):
    points = list(runs(3, count=40))
    # Of a machine whose clock is ahead, and of a process that died long before its spans were recovered.
    ahead = replace(points[0], started_ns=time.time_ns() + 30 * 60 * 10**9)
    dead = {"tacho__open": True, "tacho__layer": "run", "tacho__run__outcome": "interrupted"}
    load(hostile_run())
    died = Trace(200).span(1, "handle", ms=None, gen_ai__agent__name="dead", **dead)
    died.span(2, "execute_tool look", 1, tacho__layer="tool", gen_ai__tool__name="look")
    load(*bodies("shop", points, 1), *bodies("ahead", [ahead], 100), died.body())
    [early], [late] = (agent_runs(client, "default", agent) for agent in ("ahead", "dead"))
    assert early.values["tools"].keys() == ahead.values["tools"].keys()
    assert (late.values["tools"], late.values["ending"]) == ({"look": 1.0}, {"interrupted": 1.0})
    [long] = agent_runs(client, "default", "hostile")
    assert (len(long.label), max(map(len, long.values["tools"]))) == (200, 80)
    assert max(map(len, long.fingerprint.split(" "))) <= 80 + len("version=")
    for mix in ("tools", "tool_order", "errors"):
        assert len(long.values[mix]) == 30
        assert sum(long.values[mix].values()) == pytest.approx(1)
    # What is equal as far as it is kept is one, and what is left out is told as one.
    assert long.values["tools"]["same" + "\x1b" * 76] == pytest.approx(10 / 50)
    assert long.values["tools"][REST] == pytest.approx(12 / 50)
    point, read = points[0], agent_runs(client, "default", "shop")[0]
    assert read.started_ns == point.started_ns
    assert read.fingerprint == "version=v1 model=claude-haiku-4-5"
    assert read.label == "shop:handle"
    assert read.values.keys() >= {"cost_usd", "tools", "validation_failed", "gate_denied", "ending"}
    assert read.values["cost_usd"] == pytest.approx(point.values["cost_usd"], rel=0.01)
    assert read.values["working_s"] == pytest.approx(point.values["working_s"], rel=0.01)
    assert read.values["failed"] == point.values["failed"]
    assert read.values["tools"].keys() == point.values["tools"].keys()
    assert sum(read.values["tools"].values()) == pytest.approx(1)
    assert read.values["output_shape"] == {"text": 1.0}
    assert "approval_refused" not in read.values
    assert_read_in_the_order_of_computation(client)


def hostile_run() -> bytes:
    """A run that calls its tools anything: 41 names, ten of which differ far behind, all of 10,000 characters."""
    ends = "\x1b" * 10_000
    trace = Trace(300, service__version="\u202e" * 10_000)
    about = {"tacho__layer": "run", "tacho__run__outcome": "success"}
    about |= {"tacho__run__entrypoint": "\u00e9" * 10_000, "gen_ai__agent__name": "hostile"}
    trace.span(1, "handle", **about)
    for number in range(50):
        name = f"same{ends}{number}" if number < 10 else f"{number:02}{ends}"
        names = {"gen_ai__tool__name": name, "error__type": name}
        trace.span(number + 2, "execute_tool", 1, error="no", tacho__layer="tool", **names)
    return trace.body()


def assert_read_in_the_order_of_computation(client):
    """Pages of history lie beside each other in the projection; the table would be looked through whole for each."""
    values = {"limit": 10, "after_ns": 0, "after_end_ns": 0, "after_project": "", "after_run": ""}
    until = {"until_ns": time.time_ns(), "until_end_ns": 0, "until_project": "", "until_run": ""}
    bounds = {"from_ns": 0, "seen_ns": time.time_ns()}
    for query in ("drift_until", "drift_runs"):
        sql = f"EXPLAIN indexes = 1 {_text(query, '_drift_page')}"
        rows = client.query(sql, parameters=values | until | bounds).result_rows
        assert any("by_computed" in row[0] for row in rows), query


def test_an_agent_that_calls_itself_anew_each_time_does_not_fill_the_database(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(keeping, "MOST_AGENTS", 10)
    database = Database(f"sqlite:///{tmp_path / 'control.db'}")
    tables = DriftTables(database)
    for number in range(4):
        watches = {("p", f"agent {number} {each}"): AgentWatch() for each in range(5)}
        watches["other", "lasts"] = AgentWatch()
        place = tables.place()
        with tables.write() as connection:
            tables.save(connection, place, watches)
    names = [each["agent"] for each in tables.standings("p")]
    assert names == [f"agent {number} {each}" for number in (2, 3) for each in range(5)]
    assert len(tables.standings("other")) == 1
    database.close()
