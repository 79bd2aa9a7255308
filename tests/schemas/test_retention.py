"""Data goes when it is too old, and when it is too much."""

from __future__ import annotations

import logging

import pytest

from tachograph_schemas import retention, store
from tachograph_schemas.store import Layout


def ttl_days(client, table):
    text = client.query(
        "SELECT create_table_query FROM system.tables"
        " WHERE database = currentDatabase() AND name = {name:String}",
        parameters={"name": table},
    ).result_rows[0][0]
    return int(text.split("toIntervalDay(")[1].split(")")[0])


@pytest.fixture
def fill(client):
    """A function that stores a day's spans and runs, ``ago`` days old."""

    def days(*agos: int, spans: int = 2000) -> None:
        for ago in agos:
            client.command(
                "INSERT INTO span_rows (project, run_id, trace_id, span_id, received_at, start_time, input)"
                f" SELECT 'default', 'r{ago}', 't', toString(number), now64(9) - toIntervalDay({ago}),"
                f" now64(9) - toIntervalDay({ago}), randomPrintableASCII(500) FROM numbers({spans})"
            )
            client.command(
                "INSERT INTO run_rows (project, run_id, computed_at_ns, last_seen_at, started_at)"
                f" SELECT 'default', 'r{ago}', 1, now64(9) - toIntervalDay({ago}), now64(9) - toIntervalDay({ago})"
            )

    return days


def stored(client):
    return sorted(row[0] for row in client.query("SELECT run_id FROM run_rows FINAL").result_rows)


def test_every_table_with_rows_in_time_gets_the_retention(client):
    for kept in retention.KEPT:
        assert ttl_days(client, kept.table) == 30


def test_no_table_with_rows_in_time_is_forgotten(client):
    ours = client.query(
        "SELECT DISTINCT table FROM system.columns WHERE database = currentDatabase()"
        " AND name IN ('received_at', 'last_seen_at') AND table LIKE '%_rows'"
    ).result_rows
    assert {row[0] for row in ours} == {kept.table for kept in retention.KEPT}


def test_a_changed_retention_takes_effect_at_the_next_start_and_only_then(client, fill):
    fill(1, 10)
    assert retention.apply_ttl(client, Layout()) == []
    store.migrate(client, Layout(retention_days=7))
    assert {ttl_days(client, kept.table) for kept in retention.KEPT} == {7}
    assert retention.apply_ttl(client, Layout(retention_days=7)) == []
    client.command("OPTIMIZE TABLE span_rows FINAL")
    client.command("OPTIMIZE TABLE run_rows FINAL")
    assert stored(client) == ["r1"]
    assert client.query("SELECT DISTINCT run_id FROM span_rows").result_rows == [("r1",)]


def test_the_oldest_days_go_first_until_the_rest_fits(client, fill, caplog):
    fill(0, 1, 2, 3)
    before = retention.stored_bytes(client)
    assert retention.keep_size(client, before).days == ()
    with caplog.at_level(logging.WARNING):
        dropped = retention.keep_size(client, before * 6 // 10)
    assert len(dropped.days) == 2
    assert list(dropped.days) == sorted(dropped.days)
    assert dropped.stored_bytes <= before * 6 // 10
    assert dropped.freed_bytes > 0
    assert stored(client) == ["r0", "r1"]
    assert client.query("SELECT DISTINCT run_id FROM span_rows ORDER BY 1").result_rows == [
        ("r0",),
        ("r1",),
    ]
    assert "TACHO_MAX_DISK_BYTES" in caplog.text


def test_the_day_being_written_stays_however_large(client, fill, caplog):
    fill(0, 1)
    with caplog.at_level(logging.WARNING):
        dropped = retention.keep_size(client, 1)
    assert len(dropped.days) == 1
    assert stored(client) == ["r0"]
    assert "raise the limit" in caplog.text


def test_today_stays_although_a_clock_was_ahead_once(client, fill):
    fill(1, 0, -3)
    assert len(retention.keep_size(client, 1).days) == 1
    assert stored(client) == ["r-3", "r0"]


def test_without_a_limit_nothing_goes(client, fill):
    fill(0, 20)
    assert retention.keep_size(client, 0) == retention.Dropped((), 0, 0)
    assert stored(client) == ["r0", "r20"]


def test_the_embedded_engine_keeps_no_logs_of_its_own(client):
    client.query("SELECT 1")
    client.command("SYSTEM FLUSH LOGS")
    logs = client.query(
        "SELECT name FROM system.tables WHERE database = 'system' AND name LIKE '%\\_log'"
        " AND engine LIKE '%MergeTree%'"
    ).result_rows
    assert logs == []
