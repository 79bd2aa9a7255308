"""The process that looks for drift: it ends with the collector, and is started again when it ends by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import pytest

from drift_simulator import LEARNT, Change, runs
from pipeline import until
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database
from tachograph_collector.drift import service as drift_service
from tachograph_collector.drift.keeping import DriftTables
from tachograph_collector.drift.process import Work
from tachograph_collector.drift.service import DriftService
from tachograph_schemas.drift.agent import AgentWatch
from tachograph_schemas.drift.alarms import alarm
from tachograph_schemas.drift.metrics import BY_KEY

NOBODY = "http://tacho:x@127.0.0.1:9/default"


@pytest.fixture
def work(tmp_path):
    return Work(NOBODY, f"sqlite:///{tmp_path / 'control.db'}", 2_000, 0.1, 1 << 30)


@contextmanager
def started(work):
    """The process, told what to do, and its pipe held open."""
    command = [sys.executable, "-P", "-m", "tachograph_collector.drift.process"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        process.stdin.write(work.line())
        process.stdin.flush()
        yield process


def test_it_ends_when_the_pipe_of_its_collector_does(work):
    with started(work) as process:
        # It is at work, and a store that is away does not end it.
        assert any(b"is tried again" in line for line in process.stderr)
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(60) == 0


def test_without_its_database_it_says_so_in_a_line_and_ends(work):
    """Which is when the collector starts it again."""
    away = replace(work, control_db="postgresql+psycopg://tacho:secret@127.0.0.1:9/none")
    with started(away) as process:
        said = process.stderr.read().decode()
        assert process.wait(60) == 1
    assert "cannot be opened" in said
    assert "Traceback" not in said
    assert "secret" not in said


@pytest.fixture
def service(work, tmp_path):
    database = Database(work.control_db)
    audit = Audit(database, tmp_path / "audit.head")
    yield DriftService(DriftTables(database), audit, work.budget_runs, lambda: work)
    database.close()


def test_it_is_started_again_and_stopped(service):
    service.start()
    until(lambda: service.pid is not None, 60)
    first = service.pid
    os.kill(first, signal.SIGKILL)
    until(lambda: service.pid not in {first, None}, 60)
    second = service.pid
    service.stop()
    until(lambda: service.pid is None, 60)
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)


def test_one_that_falls_silent_is_ended_and_started_again(service, monkeypatch):
    """A process that was stopped does not end, and says nothing; nor does one that hangs."""
    monkeypatch.setattr(drift_service, "_SILENCE_S", 4.0)
    heard = set()
    monkeypatch.setattr(drift_service.logger, "warning", lambda *said: heard.add(said[1:]))
    service.start()
    until(lambda: service.pid is not None, 60)
    first = service.pid
    os.kill(first, signal.SIGSTOP)
    until(lambda: service.pid not in {first, None}, 60)
    assert heard == {("has fallen silent",)}
    assert service.restarts == 1
    # Its store is away, so the new one lives and gets nowhere.
    until(lambda: service.is_late, 60)
    service.stop()


def test_an_alarm_ends_with_its_metric_learnt_anew_and_the_others_stay(service):
    tables, key = service.tables, ("p", "shop")
    watch, alarms = AgentWatch(), []
    for point in runs(3, Change(cost=2, tool_share=0.2), LEARNT + 150):
        alarms += [(key, alarm("shop", watch, signal)) for signal in watch.feed(point)]
    with tables.write() as connection:
        tables.save(connection, tables.place(), {key: watch}, alarms)
    raised = {each["metric"]: each for each in tables.alarms("p", "open")}
    assert {"cost_usd", "tools"} <= raised.keys()
    service.acknowledge("p", raised["cost_usd"], "maria", "new prices", "metric")
    still = {each["metric"]: each for each in tables.alarms("p", "open")}
    assert still.keys() == raised.keys() - {"cost_usd"}
    known = service.watch(*key)
    assert known.relearning["cost_usd"].learnt > 0
    assert known.seen(BY_KEY["output_chars"]) == watch.seen(BY_KEY["output_chars"])
    # The same again is the alarm that is open, although the baseline has another version.
    assert known.baseline.version > watch.baseline.version
    assert known.baseline.version_of(BY_KEY["tools"]) == still["tools"]["baseline_version"]
