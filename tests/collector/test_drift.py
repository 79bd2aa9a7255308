"""The drift service over a real engine and a real control database."""

from __future__ import annotations

import itertools
import time
from dataclasses import asdict

import pytest

from drift_bodies import bodies
from drift_simulator import LEARNT, Change, runs
from postgres_server import postgres
from tachograph.demo.history import STORIES
from tachograph.demo.history import bodies as history_bodies
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database
from tachograph_collector.drift import keeping
from tachograph_collector.drift.keeping import DriftTables, OvertakenError
from tachograph_collector.drift.service import DriftService
from tachograph_schemas import ingest, pricing
from tachograph_schemas.drift.agent import AgentWatch
from tachograph_schemas.drift.guard import guard, of_version, versions
from tachograph_schemas.drift.reading import agent_runs

BATCH = 700
NOW_NS = 1_795_257_000 * 10**9  # a Saturday


@pytest.fixture
def service_of(tmp_path):
    """A function that opens a service on a control database, as a new process would."""
    opened = []

    def make(name: str) -> DriftService:
        database = Database(f"sqlite:///{tmp_path / name}.db")
        opened.append(database)
        audit = Audit(database, tmp_path / f"{name}.head")
        return DriftService(f"chdb://{tmp_path / 'data'}", DriftTables(database), audit, 2_000, 0.1)

    yield make
    for database in opened:
        database.close()


@pytest.fixture
def load(client, load_signal):
    """A function that stores bodies as one batch and computes their runs."""
    batches = itertools.count(1)

    def store_bodies(*made: bytes) -> None:
        load_signal("traces", *made)
        batch = next(batches)
        pricing.price_pending(client, 1, [batch])
        ingest.roll_up(client, 1, [batch])

    return store_bodies


def history(load, agent: str, change: Change, count: int, first: int):
    """Store runs batch by batch; yields after each batch."""
    points = runs(11, change, count)
    at = first
    while part := list(itertools.islice(points, BATCH)):
        load(*bodies(agent, part, at))
        at += len(part)
        yield at


def drain(service: DriftService, client, limit: int = 10_000) -> None:
    while service.step(client, time.time_ns(), limit):
        pass


def told(service: DriftService) -> list[dict]:
    return service.tables.alarms("default")


def test_streaming_with_restarts_finds_what_reading_all_at_once_finds(client, load, service_of):
    for _ in history(load, "shop", Change(cost=2), LEARNT + 300, 1):
        # A new process each time, and pages that end anywhere.
        drain(service_of("streaming"), client, 411)
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
    at = 1
    for part in (before, after[:70], after[70:], third):
        load(*bodies("shop", part, at))
        at += len(part)
        # A new process each time, and pages that end anywhere.
        drain(service_of("guard"), client, 211)
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
    assert service.watch("default", "shop").runs == 180
    assert told(service) == []
    assert service.watch("default", "shop").baseline.runs == 100


def test_the_other_database_takes_an_agent_of_any_name(client, load, tmp_path):
    load(*bodies("a\0" + "x" * 300, runs(12, count=110), 1))
    with postgres() as url:
        database = Database(url)
        service = DriftService(
            f"chdb://{tmp_path / 'data'}",
            DriftTables(database),
            Audit(database, tmp_path / "audit.head"),
            2_000,
            0.1,
        )
        drain(service, client, 60)
        [found] = service.tables.standings("default")
        database.close()
    assert found["agent"] == "a\ufffd" + "x" * 198
    assert (found["runs"], found["state"]) == (110, "young")


def test_what_a_run_did_becomes_its_values(client, load):
    [point] = runs(3, count=1)
    load(*bodies("shop", [point], 1))
    [read] = agent_runs(client, "default", "shop")
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
