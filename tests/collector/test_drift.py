"""The drift service over a real engine and a real control database."""

from __future__ import annotations

import itertools
import time

import pytest

from drift_bodies import bodies
from drift_simulator import LEARNT, Change, runs
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database
from tachograph_collector.drift.keeping import DriftTables
from tachograph_collector.drift.service import DriftService
from tachograph_schemas import ingest, pricing

BATCH = 400


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
    alarms = service.tables.alarms("default")
    return [{k: v for k, v in alarm.items() if k != "picture"} for alarm in alarms]


def test_streaming_with_restarts_finds_what_reading_all_at_once_finds(client, load, service_of):
    for _ in history(load, "shop", Change(cost=2), LEARNT + 300, 1):
        # A new process each time, and pages that end anywhere.
        drain(service_of("streaming"), client, 331)
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
