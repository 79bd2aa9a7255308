"""`tacho runs`."""

import json
import os
import subprocess
import sys
from dataclasses import fields
from datetime import UTC, datetime

import pytest

from tachograph.cli.runs import moment
from tachograph.cli.terminal import cells
from tachograph_schemas.rows import RunRow


def test_runs_lists_what_is_recorded_newest_first(recorded):
    result = recorded("runs")
    assert (result.code, result.err) == (0, "")
    heading, *rows = result.out.splitlines()
    assert heading.split()[:3] == ["RUN", "OUTCOME", "AGENT"]
    assert len(rows) == 3
    assert any("✗ failure" in row and "nightly" in row for row in rows)
    assert sum("✓ success" in row and "support" in row and "$0.00125" in row for row in rows) == 2


def test_runs_gives_ids_that_can_be_shown(recorded):
    for row in recorded("runs").out.splitlines()[1:]:
        assert recorded("show", row.split()[0]).code == 0


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_runs_fits_the_width_it_is_given(recorded, width):
    lines = recorded("runs", "--width", str(width)).out.splitlines()
    assert max(map(cells, lines)) <= width
    assert len(lines) == 4


def test_runs_shows_no_character_that_steers_a_terminal(recorded):
    out = recorded("runs", "--width", "200").out
    assert not set(out) & set("\x1b\x07\u202e")
    assert "␛]0;owned␇" in out


def test_runs_as_json_has_exactly_the_columns(recorded):
    rows = recorded("runs", "--json").json
    assert [set(row) for row in rows] == [{column.name for column in fields(RunRow)}] * 3
    assert all(
        datetime.fromisoformat(row["started_at"]).utcoffset().total_seconds() == 0 for row in rows
    )
    assert {row["outcome"] for row in rows} == {"success", "failure"}
    assert recorded("runs", "--json").out.isascii()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--agent", "support"], 2),
        (["--agent", "support", "--agent", "nightly"], 3),
        (["--outcome", "failure"], 1),
        (["--customer", "Acme"], 2),
        (["--text", "order a-1"], 1),
        (["--since", "1h"], 3),
        (["--since", "2100-01-01"], 0),
        (["--until", "2020-01-01"], 0),
        (["--limit", "1"], 1),
        (["--order", "most-expensive"], 3),
    ],
)
def test_runs_filters(recorded, words, found):
    assert len(recorded("runs", "--json", *words).json) == found


def test_runs_says_that_more_match_than_are_shown(recorded):
    assert "1 of 3 runs; --limit shows more." in recorded("runs", "--limit", "1").out


def test_runs_without_a_match_says_how_many_there_are(recorded):
    result = recorded("runs", "--agent", "nobody")
    assert (result.code, result.out) == (0, "No run matches. Without the filters there are 3.\n")


def test_times_are_durations_back_or_dates():
    assert moment("2026-11-01") == datetime(2026, 11, 1, tzinfo=UTC)
    assert moment("2026-11-01T10:00+02:00") == datetime(2026, 11, 1, 8, tzinfo=UTC)
    assert 86_399 < (datetime.now(UTC) - moment("24h")).total_seconds() < 86_460
    assert round((datetime.now(UTC) - moment("2w")).total_seconds() / 86_400) == 14


@pytest.mark.parametrize(
    "words",
    [["--since", "soon"], ["--since", "99999999999999d"], ["--limit", "0"], ["--outcome", "good"]],
)
def test_runs_refuses_what_it_cannot_use(tacho, words):
    result = tacho("runs", *words)
    assert result.code == 2
    assert "Traceback" not in result.err


def test_runs_without_a_collector_says_what_to_do(tacho, home):
    result = tacho("runs")
    assert (result.code, result.out) == (3, "")
    assert result.err == (
        f"tacho: No collector runs with TACHO_HOME {home}. Start one with `tacho up`, or set TACHO_HOME or "
        "TACHO_CLICKHOUSE to where your runs are.\n"
    )


def test_runs_of_another_collector_are_not_shown_as_if_they_were_its_own(recorded, environment):
    environment.setenv("TACHO_ENDPOINT", "http://recorder.example:4318")
    result = recorded("runs")
    assert result.code == 3
    assert (
        "TACHO_ENDPOINT is http://recorder.example:4318, but the collector of this machine is"
        in result.err
    )


def test_runs_takes_the_endpoint_of_this_machine_under_any_of_its_names(
    recorded, environment, collector
):
    environment.setenv("TACHO_ENDPOINT", collector.url.replace("127.0.0.1", "localhost") + "/")
    assert recorded("runs").code == 0


def test_runs_of_a_server_that_does_not_answer_says_so_without_its_password(tacho, environment):
    environment.setenv("TACHO_CLICKHOUSE", "http://ann:hidden@127.0.0.1:9/db")
    result = tacho("runs")
    assert result.code == 3
    assert "The storage at http://127.0.0.1:9/db does not answer" in result.err
    assert "hidden" not in result.err
    assert len(result.err.splitlines()) == 1


def test_a_command_says_what_is_wrong_once(environment):
    """In a process of its own, where nobody else has set up logging."""
    done = subprocess.run(
        [sys.executable, "-m", "tachograph.cli", "runs"],
        env=os.environ | {"TACHO_CLICKHOUSE": "http://127.0.0.1:9/db"},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1


def test_runs_with_a_wrong_token_says_where_to_get_one(recorded, environment, collector):
    environment.setenv(
        "TACHO_CLICKHOUSE", collector.instance["gateway"].replace("://tacho:", "://tacho:0")
    )
    result = recorded("runs")
    assert result.code == 3
    assert "does not accept the user or token" in result.err


def test_runs_of_an_older_collector_are_there_once_it_has_migrated(
    tacho, environment, clickhouse_server, monkeypatch
):
    """The command line was upgraded, the collector still runs; then it is restarted."""
    from tachograph_schemas import store

    environment.setenv("TACHO_CLICKHOUSE", clickhouse_server.dsn)
    client = store.connect(clickhouse_server.dsn)
    every = store.migrations()
    with monkeypatch.context() as before:
        before.setattr(store, "migrations", lambda: every[:7])
        store.migrate(client)
    client.command(
        "INSERT INTO run_rows (run_id, project, agent, outcome, started_at, ended_at, last_seen_at) "
        "VALUES ('aa11', 'default', 'kept', 'success', now64(9), now64(9), now64(9))"
    )
    result = tacho("runs")
    assert result.code == 3
    assert f"is of an older version (tables 7, here {len(every)})" in result.err
    assert "Restart the collector" in result.err
    store.migrate(client)
    assert "kept" in tacho("runs").out
    client.command("INSERT INTO schema_migrations (number, name) SELECT 9999, 'future.sql'")
    client.command("DROP VIEW runs")
    assert "is of a later version" in tacho("runs").err
    client.close()


def test_runs_in_an_empty_store_says_how_to_record_one(tacho, environment, clickhouse_server):
    from tachograph_schemas import store

    environment.setenv("TACHO_CLICKHOUSE", clickhouse_server.dsn)
    before = tacho("runs")
    assert before.code == 3
    assert "has no Tachograph tables yet" in before.err
    client = store.connect(clickhouse_server.dsn)
    store.migrate(client)
    client.close()
    result = tacho("runs")
    assert result.code == 0
    assert "import tachograph as tacho" in result.out
    assert "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318" in result.out
    environment.setenv("TACHO_ENDPOINT", "http://127.0.0.1:5000")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:5000" in tacho("runs").out
    assert json.loads(tacho("runs", "--json").out) == []
