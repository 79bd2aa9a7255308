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
