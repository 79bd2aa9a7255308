"""Storage on a ClickHouse server: the same migrations, the same insert, the same queries, over HTTP."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from collector_process import END_S, Collector
from test_start import post

from otlp import Trace, plain_body
from pipeline import until
from tachograph_schemas import store


@pytest.fixture
def collector(clickhouse_server, tmp_path):
    running = Collector(tmp_path / "home", TACHO_CLICKHOUSE=clickhouse_server.dsn).start()
    yield running
    running.stop()


def ask(dsn: str, sql: str):
    client = store.connect(dsn)
    try:
        return client.query(sql).result_rows
    finally:
        client.close()


def test_spans_and_runs_reach_the_server(collector, clickhouse_server):
    assert collector.instance["gateway"] == "", "the server is the place to read from"
    for number in range(1, 11):
        assert post(collector.url, plain_body(number, 8)) == 200
    dsn = clickhouse_server.dsn
    until(lambda: ask(dsn, "SELECT count() FROM runs") == [(10,)])
    assert ask(dsn, "SELECT count(), uniqExact(span_id, trace_id) FROM spans") == [(80, 80)]
    assert ask(dsn, "SELECT sum(tool_calls) FROM runs") == [(70,)]


def test_the_command_line_reads_from_the_server(collector, clickhouse_server):
    body = Trace(5).span(1, "run", tacho__layer="run", tacho__run__goal="count sheep").body()
    assert post(collector.url, body) == 200
    until(lambda: ask(clickhouse_server.dsn, "SELECT count() FROM runs") == [(1,)])

    def tacho(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "tachograph.cli", *words],
            env=collector.environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    (run,) = json.loads(tacho("runs", "--json"))
    assert run["goal"] == "count sheep"
    assert "count sheep" in tacho("show", "last")
    assert tacho("dsn").strip() == clickhouse_server.dsn


def test_a_killed_collector_stores_the_rest_on_the_server_exactly_once(
    collector, clickhouse_server
):
    for number in range(1, 31):
        assert post(collector.url, plain_body(number, 8)) == 200
    collector.signal(signal.SIGKILL)
    collector.start()
    dsn = clickhouse_server.dsn
    until(lambda: ask(dsn, "SELECT count() FROM spans") == [(240,)])
    until(
        lambda: (
            ask(dsn, "SELECT count(), min(span_count), max(span_count) FROM runs") == [(30, 8, 8)]
        )
    )


def test_an_unreachable_server_is_named_and_waited_for(tmp_path):
    collector = Collector(
        tmp_path / "home",
        TACHO_CLICKHOUSE="http://nobody:x@127.0.0.1:9/db",
        TACHO_HTTP_PORT="0",
    )
    words = [sys.executable, "-m", "tachograph.cli", "up", "--no-dashboard", "--json"]
    collector.home.mkdir()
    errors = (collector.home / "err").open("w+")
    process = subprocess.Popen(
        words, env=collector.environment, stdout=subprocess.PIPE, stderr=errors
    )
    try:
        until(lambda: "cannot be reached" in (collector.home / "err").read_text())
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(END_S) == 0
        process.stdout.close()
        errors.close()
