"""Starting and stopping as an operator meets it: one clear sentence and what to do."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError
from collector_process import END_S, Collector

from otlp import plain_body
from tachograph_schemas import store


def refused(home: Path, **environment: str) -> tuple[int, str]:
    """Exit code and what was said of a collector that does not start."""
    collector = Collector(home, **environment)
    result = subprocess.run(
        [sys.executable, "-m", "tachograph.cli", "up", "--no-dashboard", "--json"],
        env=collector.environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert result.stdout == ""
    said = result.stderr.strip().splitlines()
    assert "Traceback" not in result.stderr
    return result.returncode, said[-1] if said else ""


@pytest.fixture
def running(tmp_path):
    collector = Collector(tmp_path / "home").start()
    yield collector
    collector.stop()


def post(url: str, body: bytes, **headers: str) -> int:
    request = urllib.request.Request(
        f"{url}/v1/traces", body, {"Content-Type": "application/x-protobuf"} | headers
    )
    with urllib.request.urlopen(request, timeout=180) as answer:
        return answer.status


def test_a_second_collector_on_the_same_home_says_who_has_it(running):
    code, said = refused(running.home)
    assert code == 1
    assert f"process {running.instance['pid']}" in said
    assert "TACHO_HOME" in said


def test_data_in_use_by_another_home_is_named(running, tmp_path):
    code, said = refused(tmp_path / "other", TACHO_CLICKHOUSE=f"chdb://{running.home / 'data'}")
    assert code == 1
    assert str(running.home / "data") in said
    assert "another process" in said


def test_a_taken_port_is_named_with_its_setting(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = refused(tmp_path / "home", TACHO_HTTP_PORT=str(port))
        assert code == 1
        assert f"Port {port}" in said
        assert "TACHO_HTTP_PORT" in said
        code, said = refused(tmp_path / "home", TACHO_GATEWAY_PORT=str(port))
        assert "TACHO_GATEWAY_PORT" in said


def test_a_home_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    code, said = refused(tmp_path / "file" / "home")
    assert code == 1
    assert "TACHO_HOME" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_home_is_named(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    code, said = refused(home)
    assert code == 1
    assert "TACHO_HOME" in said


def test_beyond_this_machine_only_with_a_key(tmp_path):
    code, said = refused(tmp_path / "home", TACHO_HOST="0.0.0.0")
    assert code == 1
    assert "TACHO_API_KEY" in said


def test_a_wrong_setting_is_usage(tmp_path):
    code, said = refused(tmp_path / "home", TACHO_HTTP_PORT="http")
    assert code == 2
    assert "TACHO_HTTP_PORT" in said


def test_data_of_a_later_version_is_left_alone(tmp_path):
    collector = Collector(tmp_path / "home").start()
    collector.stop()
    engine = store.connect(f"chdb://{collector.home / 'data'}")
    engine.command("INSERT INTO schema_migrations (number, name) SELECT 9999, 'future.sql'")
    engine.close()
    code, said = refused(collector.home)
    assert code == 1
    assert "later version" in said


def test_a_hostile_config_in_the_working_directory_is_not_read(tmp_path):
    (tmp_path / "config.xml").write_text("<clickhouse><path>/nowhere</path></clickhouse>")
    collector = Collector(tmp_path / "home")
    environment = collector.environment
    process = subprocess.Popen(
        [sys.executable, "-m", "tachograph.cli", "up", "--no-dashboard", "--json"],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert "collector" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(END_S) == 0
    process.stdout.close()


def test_it_takes_as_many_open_files_as_it_may(tmp_path):
    up = [sys.executable, "-m", "tachograph.cli", "up", "--no-dashboard", "--json"]
    process = subprocess.Popen(
        ["sh", "-c", 'ulimit -Sn 1024; exec "$@"', "sh", *up],
        env=Collector(tmp_path / "home").environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert "collector" in process.stdout.readline()
    soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    process.send_signal(signal.SIGTERM)
    assert process.wait(END_S) == 0
    process.stdout.close()
    assert 1024 < soft <= hard


def test_an_empty_collector_starts_and_stops_cleanly_twice(tmp_path):
    for number in (signal.SIGINT, signal.SIGTERM):
        collector = Collector(tmp_path / "home").start()
        assert (collector.home / "instance.json").stat().st_mode & 0o077 == 0
        assert collector.signal(number) == 0
        assert not (collector.home / "instance.json").exists()


def test_an_unmodified_client_reads_while_the_collector_writes(running):
    for number in range(1, 6):
        assert post(running.url, plain_body(number, 10)) == 200
    client = clickhouse_connect.get_client(dsn=running.instance["gateway"])
    while client.query("SELECT count() FROM runs").result_rows[0][0] < 5:
        assert post(running.url, plain_body(6, 10)) == 200
    frame = client.query_df(
        "SELECT run_id, agent, span_count FROM runs WHERE span_count > {n:UInt8}",
        parameters={"n": 5},
    )
    assert set(frame["span_count"]) == {10}
    table = client.query_arrow("SELECT trace_id FROM spans LIMIT 3")
    assert table.num_rows == 3
    with pytest.raises(ClickHouseError, match="UNKNOWN_TABLE"):
        client.query("SELECT * FROM nothing")
    client.close()


def test_without_the_token_nobody_reads(running):
    address = running.instance["gateway"].rpartition("@")[2]
    for dsn in (f"http://{address}", f"http://tacho:wrong@{address}"):
        with pytest.raises(ClickHouseError):
            clickhouse_connect.get_client(dsn=dsn)


def test_with_a_key_senders_must_bring_it(tmp_path):
    collector = Collector(tmp_path / "home", TACHO_API_KEY="s3cret").start()
    try:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            post(collector.url, plain_body(1, 1))
        assert post(collector.url, plain_body(1, 1), Authorization="Bearer s3cret") == 200
    finally:
        collector.stop()
