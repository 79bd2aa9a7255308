"""The read-write gateway passes for a ClickHouse server: tables, inserts and bodies over real HTTP."""

from __future__ import annotations

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from clickhouse_server import running_server


@pytest.fixture(scope="module")
def server():
    with running_server() as started:
        yield started


@pytest.fixture
def client(server):
    opened = clickhouse_connect.get_client(dsn=server.dsn, autogenerate_session_id=False)
    opened.command("CREATE OR REPLACE TABLE w (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
    yield opened
    opened.close()


def rows(client):
    return client.query("SELECT a, s FROM w ORDER BY a").result_rows


def test_tables_are_made_filled_changed_and_dropped(client):
    summary = client.insert("w", [[1, "x"], [2, "it's\n"]], column_names=["a", "s"])
    assert summary.written_rows == 2
    assert rows(client) == [(1, "x"), (2, "it's\n")]
    client.command("INSERT INTO w VALUES (3, 'v'), (4, 'w')")
    client.command("ALTER TABLE w DELETE WHERE a = 1 SETTINGS mutations_sync = 2")
    client.command("INSERT INTO w SELECT number + 10, 'n' FROM numbers(2)")
    assert [a for a, _ in rows(client)] == [2, 3, 4, 10, 11]
    client.command("TRUNCATE TABLE w")
    assert rows(client) == []
    client.command("DROP TABLE w")
    assert client.command("EXISTS TABLE w") == 0


@pytest.mark.parametrize("compression", [None, "gzip", "lz4", "zstd"])
def test_raw_inserts_with_the_data_in_the_body(client, compression):
    import gzip

    import lz4.frame
    from backports import zstd

    encode = {None: bytes, "gzip": gzip.compress, "lz4": lz4.frame.compress, "zstd": zstd.compress}
    body = encode[compression](b"1\tx\n2\ty\n")
    client.raw_insert("w", ["a", "s"], body, fmt="TabSeparated", compression=compression)
    client.raw_insert("w", ["s", "a"], '{"a": 3, "s": "z"}\n', fmt="JSONEachRow")
    assert rows(client) == [(1, "x"), (2, "y"), (3, "z")]


def test_a_body_is_read_through_input_with_parameters_and_settings(client):
    """The way the collector loads a batch into a server."""
    client.command(
        "INSERT INTO w SELECT a + {add:UInt64}, upper(s) FROM input('a UInt64, s String') FORMAT JSONEachRow",
        parameters={"add": 100},
        data=b'{"a": 1, "s": "x", "extra": 1}\n{"a": 2, "s": "y"}\n',
        settings={"input_format_skip_unknown_fields": 1},
    )
    assert rows(client) == [(101, "X"), (102, "Y")]


def test_protobuf_with_an_inline_schema(client):
    schema = 'syntax = "proto3"; message Row { uint64 a = 1; string s = 2; }'
    body = b"".join(
        bytes([len(row)]) + row for row in (b"\x08\x07\x12\x02hi", b"\x08\x08\x12\x03yes")
    )
    client.command(
        "INSERT INTO w SELECT a, s FROM input('a UInt64, s String') FORMAT Protobuf",
        data=body,
        settings={
            "format_schema": schema,
            "format_schema_source": "string",
            "format_schema_message_name": "Row",
        },
    )
    assert rows(client) == [(7, "hi"), (8, "yes")]


def test_inserts_with_settings_and_data_frames(client):
    import pandas as pd

    client.insert_df("w", pd.DataFrame({"a": [1, 2], "s": ["p", "q"]}))
    client.command("INSERT INTO w (a, s) SETTINGS async_insert = 0 FORMAT CSV", data='3,"r"\n')
    client.insert("w", [[4, "t"]], column_names=["a", "s"], settings={"insert_deduplicate": 0})
    assert rows(client) == [(1, "p"), (2, "q"), (3, "r"), (4, "t")]


def test_a_bad_body_fails_and_stores_nothing(client):
    with pytest.raises(DatabaseError):
        client.raw_insert("w", ["a", "s"], b"1\tx\nnot a number\ty\n", fmt="TabSeparated")
    assert rows(client) == []


def test_views_databases_and_several_clients(server, client):
    client.command("CREATE OR REPLACE VIEW v AS SELECT count() AS n FROM w")
    client.command("CREATE DATABASE IF NOT EXISTS second")
    client.insert("w", [[1, "x"]], column_names=["a", "s"])
    other = clickhouse_connect.get_client(dsn=server.dsn)
    assert other.query("SELECT n FROM v").result_rows == [(1,)]
    other.close()


def test_get_cannot_write(server, client, http):
    response = http.request(
        "GET", server.url + "/?query=DROP+TABLE+w", headers={"X-ClickHouse-Key": server.token}
    )
    assert response.headers["X-ClickHouse-Exception-Code"] == "164"
    assert client.command("EXISTS TABLE w") == 1


def test_settings_of_one_request_do_not_stay(client):
    client.command("SET max_threads = 7")
    assert client.command("SELECT getSetting('max_threads')") != 7


def test_the_migrations_and_the_writable_token_work_on_it(server):
    from tachograph_schemas import store

    opened = store.connect(server.dsn)
    assert store.migrate(opened)
    assert store.migrate(opened) == []
    assert opened.query("SELECT count() FROM runs").result_rows == [(0,)]
    assert opened.query("SELECT count() FROM spans").result_rows == [(0,)]
    opened.close()


def test_the_fixture_gives_a_fresh_server(clickhouse_server):
    client = clickhouse_connect.get_client(dsn=clickhouse_server.dsn)
    assert client.command("SHOW TABLES") in ("", [""])
    client.close()
