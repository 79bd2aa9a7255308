"""What is done to the stored data now and then, on the real engine."""

from __future__ import annotations

import threading

import pytest

from otlp import Trace
from pipeline import Pipeline, until
from tachograph_collector.housekeeping import Housekeeping
from tachograph_collector.metrics import Metrics
from tachograph_schemas import store
from tachograph_schemas.store import Layout
from tachograph_schemas.word_index import WordIndex


@pytest.fixture
def stored(engine_home):
    """The DSN of an engine with two runs that say something."""
    pipeline = Pipeline(engine_home).start()
    for number in (1, 2):
        said = {"tacho__input": f"the words of run {number}"}
        pipeline.send(Trace(number).span(1, "invoke_agent", tacho__layer="run", **said).body())
    pipeline.stop()
    return f"chdb://{engine_home / 'data'}"


def asked(dsn: str, sql: str):
    client = store.connect(dsn)
    try:
        return client.query(sql).result_rows
    finally:
        client.close()


def indexed_bytes(dsn: str) -> int:
    return asked(
        dsn,
        "SELECT sum(data_compressed_bytes) FROM system.data_skipping_indices WHERE name = 'words_text'",
    )[0][0]


def test_inserts_leave_the_index_of_words_to_housekeeping(stored):
    assert indexed_bytes(stored) == 0
    chores = Housekeeping(stored, Layout(), 0, Metrics())
    client = store.connect(stored)
    try:
        chores.complete_index(client)
    finally:
        client.close()
    assert indexed_bytes(stored) > 0


def test_the_size_of_what_is_stored_is_told(stored):
    metrics = Metrics()

    def told() -> float:
        rows = [row.split() for row in metrics.text().splitlines()]
        return max(float(row[1]) for row in rows if row[0] == "tacho_collector_stored_bytes")

    chores = Housekeeping(stored, Layout(), 0, metrics)
    chores.start()
    try:
        until(lambda: told() > 1000)
    finally:
        chores.stop()


def test_a_fault_is_logged_and_ends_nothing(tmp_path, caplog):
    dsn = "http://nobody:nothing@127.0.0.1:9/none"
    chores = Housekeeping(dsn, Layout(), 0, Metrics())
    chores.start()
    until(lambda: "keep_size did not work" in caplog.text)
    assert "nothing" not in caplog.text.replace("keep_size did not work", "")
    chores.stop()
    assert not any(thread.name == "housekeeping" for thread in threading.enumerate())


@pytest.fixture
def halted(stored):
    """A session on an engine that has what :func:`stored` has, and builds nothing for now."""
    client = store.connect(stored)
    client.command("SYSTEM STOP MERGES span_rows")
    yield client
    client.command("SYSTEM START MERGES span_rows")
    client.close()


def test_an_index_that_cannot_be_finished_keeps_nothing_else_waiting(stored, halted, monkeypatch):
    monkeypatch.setattr("tachograph_collector.housekeeping._SIZE_EVERY_S", 0.3)
    metrics = Metrics()
    chores = Housekeeping(stored, Layout(), 0, metrics)
    for _ in range(2):
        chores.complete_index(halted)
    under_way = "SELECT count(), sum(is_done) FROM system.mutations WHERE table = 'span_rows'"
    assert asked(stored, under_way) == [(1, 0)]
    halted.command("SYSTEM START MERGES span_rows")
    monkeypatch.undo()
    chores.complete_index(halted)
    assert indexed_bytes(stored) > 0


def test_what_came_while_the_index_was_built_is_indexed_the_next_time(stored, halted):
    index = WordIndex()

    def more_comes(wait_s: float) -> bool:
        halted.command("INSERT INTO span_rows SELECT * FROM span_rows LIMIT 1")
        halted.command("SYSTEM START MERGES span_rows")
        return threading.Event().wait(wait_s)

    days = index.catch_up(halted, more_comes)
    assert len(days) == 1
    assert index.catch_up(halted, threading.Event().wait) == days
    assert index.catch_up(halted, threading.Event().wait) == []
    assert not index.is_behind
