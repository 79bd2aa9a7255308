"""Migrations on a real engine, and the text they become on a cluster."""

from __future__ import annotations

import pytest

from tachograph_schemas import store
from tachograph_schemas.store import Layout, SchemaTooNewError


def test_migrate_runs_everything_once_and_records_it(engine_home):
    client = store.connect(f"chdb://{engine_home / 'data'}")
    names = [migration.name for migration in store.migrations()]
    assert store.migrate(client) == names
    assert store.migrate(client) == []
    rows = client.query("SELECT name FROM schema_migrations ORDER BY number").result_rows
    assert [row[0] for row in rows] == names
    client.close()


def test_a_migration_that_stopped_half_way_is_finished(engine_home):
    client = store.connect(f"chdb://{engine_home / 'data'}")
    store.migrate(client)
    client.command("DROP VIEW runs")
    client.command(
        "ALTER TABLE schema_migrations DELETE WHERE number = 3 SETTINGS mutations_sync = 2"
    )
    assert store.migrate(client) == ["0003_views.sql"]
    assert client.query("SELECT count() FROM runs").result_rows == [(0,)]
    client.close()


def test_data_of_a_later_version_is_left_alone(client):
    client.command("INSERT INTO schema_migrations (number, name) SELECT 9999, 'future.sql'")
    with pytest.raises(SchemaTooNewError, match="Start that version again"):
        store.migrate(client)


def test_numbers_are_unique_and_without_gaps():
    numbers = [migration.number for migration in store.migrations()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_same_files_make_a_cluster():
    layout = Layout(cluster="prod", retention_days=7)
    text = "\n".join(s for m in store.migrations() for s in m.statements(layout))
    assert "CREATE TABLE IF NOT EXISTS span_rows_local ON CLUSTER 'prod'" in text
    assert "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/span_rows'" in text
    assert "Distributed('prod', currentDatabase(), span_rows_local, cityHash64(run_id))" in text
    assert "INTERVAL 7 DAY" in text
    assert "${" not in text


def test_one_machine_gets_no_cluster_statement():
    text = "\n".join(s for m in store.migrations() for s in m.statements(Layout()))
    assert "CLUSTER" not in text
    assert "Distributed" not in text
    assert "${" not in text


def test_the_contracted_columns_exist(client):
    columns = {
        table: {row[0] for row in client.query(f"DESCRIBE TABLE {table}").result_rows}
        for table in ("spans", "runs")
    }
    assert columns["spans"] >= {
        "trace_id",
        "span_id",
        "parent_span_id",
        "start_time",
        "duration_ns",
        "name",
        "layer",
        "service",
        "agent",
        "run_id",
        "session_id",
        "user_id",
        "customer",
        "status",
        "status_message",
        "error_type",
        "model",
        "provider",
        "tool",
        "tool_call_id",
        "input",
        "output",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "cost_usd",
        "cost_status",
        "attributes",
        "resource",
        "events.time",
        "events.name",
        "events.attributes",
        "links.trace_id",
        "links.span_id",
    }
    assert columns["runs"] >= {
        "run_id",
        "agent",
        "service",
        "version",
        "started_at",
        "ended_at",
        "duration_ns",
        "waiting_ns",
        "outcome",
        "stop_reason",
        "goal",
        "input",
        "output",
        "span_count",
        "spans_made",
        "error_count",
        "model_calls",
        "tool_calls",
        "tools",
        "models",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "cost_usd",
        "unpriced_calls",
        "session_id",
        "user_id",
        "customer",
        "tags",
        "layer_counts",
    }


def test_a_subquery_over_a_cluster_means_all_its_shards(client):
    """Without it, a cluster refuses queries that look for runs in spans."""
    (found,) = client.query("SELECT getSetting('distributed_product_mode')").result_rows
    assert found == ("global",)
