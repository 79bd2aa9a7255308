"""Bodies set aside: kept with their reason, within bounds, and tried again when told to."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from collector_process import Collector

from otlp import Trace, plain_body
from pipeline import LIMITS, Pipeline, until
from signal_bodies import log_body
from tachograph.cli import quarantine as doctor
from tachograph_collector import quarantine_api
from tachograph_collector.metrics import Metrics
from tachograph_collector.quarantine import Quarantine
from tachograph_collector.quarantine_retry import QuarantineRetry
from tachograph_collector.signals import FACES
from tachograph_collector.wal import Log, Record
from tachograph_schemas.quarantine import DIRECTORY, RETRY, facts_of, found_in
from tachograph_schemas.store import StoreError


def record(sequence: int, body: bytes = b"body", kind: int = 0) -> Record:
    return Record(sequence, 1000 + sequence, 1, "default", body, kind)


def refusing(pipeline, monkeypatch, word: bytes):
    """Has the engine refuse bodies that hold ``word``; returns a list: empty it to make peace."""
    real, refused = pipeline.engine.insert, [word]

    def picky(writer_id, batch, records):
        if any(one in each.body for each in records for one in refused):
            error = StoreError(f"Code: 27. DB::Exception: Cannot parse {word.decode()}")
            error.code = 27
            raise error
        real(writer_id, batch, records)

    monkeypatch.setattr(pipeline.engine, "insert", picky)
    return refused


@pytest.fixture
def quarantined(engine_home, monkeypatch):
    """A running pipeline with one body of traces and one of logs set aside, and what refuses them."""
    pipeline = Pipeline(engine_home)
    refused = refusing(pipeline, monkeypatch, b"poison")
    pipeline.retry = QuarantineRetry(pipeline.kept_aside, pipeline.log, pipeline.metrics)
    pipeline.start()
    pipeline.send(plain_body(1, 3), Trace(66).span(1, "poison").body())
    pipeline.send(log_body("poison"), log_body("good"), signal="logs")
    until(lambda: pipeline.log.checkpoint == 4)
    yield pipeline, refused
    pipeline.retry.stop()


def test_a_body_is_kept_with_its_signal_project_and_reason(quarantined):
    pipeline, _ = quarantined
    facts = [facts_of(body.path) for body in pipeline.kept_aside.bodies()]
    assert {each["signal"] for each in facts} == {"traces", "logs"}
    assert {each["project"] for each in facts} == {"default"}
    assert all("Cannot parse poison" in each["reason"] for each in facts)
    assert pipeline.count('bodies_quarantined_total{signal="logs"}') == 1
    assert pipeline.count("quarantine_bodies") == 2
    pipeline.stop()
    assert pipeline.rows("SELECT count() FROM spans") == [(3,)]
    assert pipeline.rows("SELECT body FROM logs") == [("good",)]


def test_tried_again_after_a_repair_it_is_stored_in_its_signals_table(quarantined):
    pipeline, refused = quarantined
    refused.clear()
    assert pipeline.kept_aside.retry_all() == 2
    pipeline.retry.start()
    until(lambda: pipeline.log.checkpoint == 6)
    assert pipeline.retry.waiting == 0
    pipeline.stop()
    assert pipeline.kept_aside.bodies() == found_in(pipeline.quarantine / RETRY) == []
    assert list(pipeline.quarantine.glob("*.json")) == []
    assert pipeline.rows("SELECT count() FROM spans WHERE name = 'poison'") == [(1,)]
    assert pipeline.rows("SELECT count() FROM logs WHERE body = 'poison'") == [(1,)]
    assert pipeline.count("quarantine_retried_total") == 2


def test_a_body_that_fails_again_returns_with_its_new_reason(quarantined, monkeypatch):
    pipeline, _ = quarantined
    refusing(pipeline, monkeypatch, b"poiso")
    pipeline.retry.start()
    pipeline.kept_aside.retry_all()
    pipeline.retry.wake()
    until(lambda: pipeline.log.checkpoint == 6)
    pipeline.stop()
    reasons = [body.reason for body in pipeline.kept_aside.bodies()]
    assert len(reasons) == 2
    assert all(reason.endswith("Cannot parse poiso") for reason in reasons)


def test_bodies_wait_for_the_next_start_when_no_collector_runs(quarantined, engine_home):
    pipeline, refused = quarantined
    pipeline.stop()
    refused.clear()
    outcome = doctor.retry(engine_home, "http://127.0.0.1:9", "")
    assert (outcome["retried"], outcome["when"], outcome["came_back"]) == (2, "next start", None)
    assert "2 bodies will be tried again" in doctor.sentence(outcome)
    (check,) = doctor.checks(engine_home, "http://127.0.0.1:9", "")
    assert (check.state, check.said[:8]) == ("ok", "2 bodies")

    again = Pipeline(engine_home).start()
    again.retry = QuarantineRetry(again.kept_aside, again.log, again.metrics)
    again.retry.start()
    until(lambda: again.log.checkpoint == 6)
    again.retry.stop()
    again.stop()
    assert again.rows("SELECT count() FROM spans") == [(4,)]
    assert again.rows("SELECT count() FROM logs") == [(2,)]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda body, facts: body.write_bytes(b"\xff\xff"), "not an OTLP trace export request"),
        (lambda body, facts: body.write_bytes(b""), "Nothing in it can be stored"),
        (lambda body, facts: facts.write_text('{"signal": "smells"}'), "signal is unknown"),
    ],
)
def test_what_a_person_broke_comes_back_at_once(quarantined, damage, reason):
    pipeline, refused = quarantined
    refused.clear()
    for body in pipeline.kept_aside.bodies():
        if facts_of(body.path)["signal"] == "traces":
            damage(body.path, body.path.with_suffix("").with_suffix(".json"))
    pipeline.kept_aside.retry_all()
    pipeline.retry.start()
    until(lambda: pipeline.log.checkpoint == 5 and pipeline.retry.waiting == 0)
    pipeline.stop()
    (back,) = pipeline.kept_aside.bodies()
    assert reason in back.reason
    # What this version does not know, a later one may.
    assert facts_of(back.path)["signal"] == ("smells" if "unknown" in reason else "traces")


def test_a_body_without_facts_is_taken_for_traces_of_the_default_project(quarantined):
    pipeline, refused = quarantined
    refused.clear()
    retry = pipeline.quarantine / RETRY
    retry.mkdir()
    (retry / "mended.otlp.pb").write_bytes(plain_body(9, 2))
    pipeline.retry.start()
    until(lambda: pipeline.log.checkpoint == 5)
    pipeline.stop()
    assert pipeline.rows("SELECT count() FROM spans") == [(5,)]


@pytest.mark.parametrize("asked", ["the collector", "its files"])
def test_a_body_that_comes_back_while_the_state_is_read_is_not_left_out(
    tmp_path, monkeypatch, asked
):
    """Whoever waits for the verdict would else be told that it was stored."""
    log = Log(tmp_path / "log", LIMITS)
    quarantine = Quarantine(tmp_path / DIRECTORY, Metrics())
    quarantine.put(record(1, b"\xff"), "garbage")
    retry = QuarantineRetry(quarantine, log, Metrics())
    quarantine.retry_all()

    (waiting,) = found_in(quarantine.directory / RETRY)
    back = iter([lambda: retry._put_through(waiting)])

    def found_before(directory, real=found_in):
        found = real(directory)
        if directory == quarantine.directory:
            next(back, list)()
        return found

    if asked == "the collector":
        monkeypatch.setattr(quarantine, "bodies", lambda: found_before(quarantine.directory))
        states = [quarantine_api._state(quarantine, retry) for _ in range(2)]
    else:
        monkeypatch.setattr(doctor, "found_in", found_before)
        states = [doctor.state(tmp_path, "http://127.0.0.1:9", "") for _ in range(2)]
    assert [(each["bodies"], each["retrying"]) for each in states] == [(0, 1), (1, 0)]
    log.close()


def test_the_oldest_go_when_there_is_too_much_and_the_newest_never(tmp_path):
    metrics = Metrics()
    quarantine = Quarantine(tmp_path, metrics, max_bytes=250)
    for sequence in range(5):
        quarantine.put(record(sequence, b"x" * 100), "why")
        newest = max(tmp_path.glob("*.otlp.pb"))
        os.utime(newest, ns=(sequence, sequence))
    kept = [facts_of(body.path)["sequence"] for body in quarantine.bodies()]
    assert kept == [3, 4]
    assert len(list(tmp_path.glob("*.json"))) == 2
    assert "tacho_collector_quarantine_dropped_total 3" in metrics.text()
    quarantine.put(record(9, b"x" * 1000), "larger than the limit")
    assert [facts_of(body.path)["sequence"] for body in quarantine.bodies()] == [9]


def test_a_full_disk_at_the_quarantine_keeps_the_body_in_the_log(engine_home, monkeypatch):
    pipeline = Pipeline(engine_home)
    refusing(pipeline, monkeypatch, b"poison")
    monkeypatch.setattr("tachograph_collector.loader._RETRY_S", (0.01,))
    blocked = engine_home / "quarantine"
    blocked.write_text("a file where the directory should be")
    pipeline.start()
    pipeline.send(Trace(66).span(1, "poison").body(), plain_body(1, 3))
    until(lambda: pipeline.loader.trouble)
    assert pipeline.log.checkpoint == 0
    blocked.unlink()
    until(lambda: pipeline.log.checkpoint == 2)
    pipeline.stop()
    assert len(pipeline.kept_aside.bodies()) == 1
    assert pipeline.rows("SELECT count() FROM spans") == [(3,)]


def test_the_doctor_names_count_bytes_reason_and_place(tmp_path):
    quarantine = Quarantine(tmp_path / "quarantine", Metrics())
    (empty,) = doctor.checks(tmp_path, "http://127.0.0.1:9", "")
    assert empty.state == "ok"
    quarantine.put(record(1, b"12345"), "the engine says no")
    (check,) = doctor.checks(tmp_path, "http://127.0.0.1:9", "")
    assert check.state == "warn"
    for part in ("1 body", "5 bytes", str(tmp_path), "the engine says no"):
        assert part in check.said
    assert "--retry-quarantine" in check.todo


def test_through_a_running_collector_bodies_are_stored_and_the_doctor_knows(tmp_path, monkeypatch):
    # A person is told after a while that it goes on; here it has to be over.
    monkeypatch.setattr(doctor, "_PATIENCE_S", 180.0)
    collector = Collector(tmp_path / "home", TACHO_API_KEY="s3cret").start()
    try:
        aside = tmp_path / "home" / "quarantine"
        quarantine = Quarantine(aside, Metrics())
        good = FACES["traces"].read_protobuf(plain_body(5, 4)).data
        quarantine.put(record(1, good), "an older version could not store it")
        outcome = doctor.retry(tmp_path / "home", collector.url, "wrong")
        assert "401" in outcome["problem"]
        outcome = doctor.retry(tmp_path / "home", collector.url, "s3cret")
        assert outcome == {"retried": 1, "when": "now", "came_back": 0, "problem": ""}
        assert collector.rows("SELECT count() FROM spans") == [(4,)]
        quarantine.put(record(2, b"\xff"), "garbage")
        outcome = doctor.retry(tmp_path / "home", collector.url, "s3cret")
        assert outcome["came_back"] == 1
        assert "came back" in doctor.sentence(outcome)
        assert doctor.state(tmp_path, collector.url, "s3cret")["path"] == str(aside)
        shutil.rmtree(aside)
        assert (
            json.loads(json.dumps(doctor.state(tmp_path, collector.url, "s3cret")))["bodies"] == 0
        )
    finally:
        collector.stop()
