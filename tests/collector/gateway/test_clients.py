"""An unmodified clickhouse-connect works through the gateway, sync and async."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import uuid
from decimal import Decimal

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, StreamFailureError


@pytest.fixture
def client(gateway):
    opened = clickhouse_connect.get_client(dsn=gateway.dsn)
    yield opened
    opened.close()


def test_the_handshake_leaves_compression_and_settings_on(client):
    assert client.ping()
    assert client._backend.compression == "lz4,zstd,gzip,deflate"
    assert client.get_client_setting("date_time_input_format") == "best_effort"
    assert client.server_settings["max_execution_time"].readonly == 0
    assert client.server_settings["allow_ddl"].readonly == 1


PARAMETERS = [
    ("UInt64", 2**64 - 1),
    ("Int256", -(2**200)),
    ("Float64", 1.5e300),
    ("Bool", True),
    ("String", 'it\'s "q" \\ \t\n\r\0 {x} $1 %s é 🙂'),
    ("Date", dt.date(2026, 11, 21)),
    ("DateTime64(6, 'UTC')", dt.datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=dt.UTC)),
    ("UUID", uuid.UUID(int=7)),
    ("IPv6", ipaddress.IPv6Address("::1")),
    ("Decimal(20, 5)", Decimal("12.34500")),
    ("Array(String)", ["a'b", "c\\d", ""]),
    ("Array(Array(UInt8))", [[1, 2], []]),
    ("Tuple(UInt8, String)", (1, "x'")),
    ("Nullable(String)", None),
]


@pytest.mark.parametrize(("type_name", "value"), PARAMETERS, ids=[name for name, _ in PARAMETERS])
@pytest.mark.parametrize("form", [False, True], ids=["url", "form"])
def test_parameters_of_every_kind_arrive_unchanged(gateway, type_name, value, form):
    client = clickhouse_connect.get_client(
        dsn=gateway.dsn, form_encode_query_params=form, tz_mode="aware"
    )
    rows = client.query(f"SELECT {{v:{type_name}}}", parameters={"v": value}).result_rows
    client.close()
    got = rows[0][0]
    if isinstance(got, dt.datetime):
        got = got.astimezone(dt.UTC)
    assert got == value


def test_a_map_parameter_arrives_unchanged(client):
    before = clickhouse_connect.common.get_setting("dict_parameter_format")
    clickhouse_connect.common.set_setting("dict_parameter_format", "map")
    try:
        given = {"k'": "v\\"}
        rows = client.query("SELECT {v:Map(String, String)}", parameters={"v": given}).result_rows
    finally:
        clickhouse_connect.common.set_setting("dict_parameter_format", before)
    assert rows == [(given,)]


def test_client_side_and_binary_parameters_work(client):
    assert client.query("SELECT %(a)s, %(b)s", parameters={"a": 1, "b": "x'y"}).result_rows == [
        (1, "x'y")
    ]
    assert client.query("SELECT $x$", parameters={"$x$": b"abc"}).result_rows == [("abc",)]


def test_results_carry_columns_types_summary_and_query_id(client):
    result = client.query("SELECT a, s, m, d, n, l FROM t ORDER BY a LIMIT 4")
    assert result.column_names == ("a", "s", "m", "d", "n", "l")
    assert result.result_rows[3][:3] == (3, "s3", {"k": "3"})
    assert result.result_rows[3][4] is None
    assert result.summary["read_rows"] == "1000"
    assert result.summary["result_rows"] == "4"
    assert uuid.UUID(result.query_id)
    assert client.query("SELECT 1", settings={"query_id": "mine-1"}).query_id == "mine-1"


def test_settings_are_taken_and_cut_to_the_limits(client):
    answer = client.query(
        "SELECT getSetting('max_execution_time'), getSetting('max_block_size'), getSetting('max_threads'),"
        " getSetting('join_use_nulls')",
        settings={
            "max_execution_time": 86400,
            "max_block_size": 10,
            "max_threads": 1,
            "join_use_nulls": 1,
        },
    ).result_rows
    assert answer == [(60, 10, 1, True)]
    lower = client.command(
        "SELECT getSetting('max_execution_time')", settings={"max_execution_time": 3}
    )
    assert lower == 3
    # One query's settings must not be another's.
    assert client.command("SELECT getSetting('join_use_nulls')") in ("false", 0)


def test_a_setting_out_of_reach_is_refused_by_the_client_already(client):
    with pytest.raises(Exception, match="allow_ddl"):
        client.query("SELECT 1", settings={"allow_ddl": 0})


def test_data_frames_and_arrow(client):
    frame = client.query_df("SELECT a, s, d, n FROM t ORDER BY a LIMIT 10")
    assert list(frame.columns) == ["a", "s", "d", "n"]
    assert frame["a"].sum() == 45
    table = client.query_arrow("SELECT * FROM t")
    assert table.num_rows == 1000
    assert client.query_arrow("SELECT a FROM t WHERE 0").num_rows == 0
    with client.query_arrow_stream("SELECT number FROM numbers(300000)") as batches:
        assert sum(batch.num_rows for batch in batches) == 300_000


def test_commands_raw_queries_and_streams(client):
    assert client.command("SELECT count() FROM t") == 1000
    assert client.command("SELECT 1, 'a'") == ["1", "a"]
    assert client.command("EXISTS TABLE t") == 1
    assert client.raw_query("SELECT 1 AS x, 'a' AS y", fmt="CSVWithNames") == b'"x","y"\n1,"a"\n'
    with client.query_row_block_stream(
        "SELECT number, toString(number) FROM numbers(500000)"
    ) as blocks:
        rows = [row for block in blocks for row in block]
    assert rows == [(n, str(n)) for n in range(500_000)]
    with client.query_column_block_stream("SELECT number FROM numbers(500000)") as blocks:
        assert sum(len(block[0]) for block in blocks) == 500_000
    text = client.raw_stream("SELECT number FROM numbers(200000)", fmt="TabSeparated").read()
    assert text == b"".join(b"%d\n" % n for n in range(200_000))


def test_columns_only_probe_and_empty_results(client):
    probe = client.query("SELECT a, s FROM t LIMIT 0")
    assert probe.column_names == ("a", "s")
    assert client.query("SELECT a FROM t WHERE 0").result_rows == []


def test_the_database_is_chosen_by_dsn_argument_and_name(gateway, client):
    other = clickhouse_connect.get_client(dsn=gateway.dsn.removesuffix("default") + "other")
    assert other.query("SELECT sum(x) FROM u").result_rows == [(3,)]
    other.close()
    assert client.query("SELECT sum(x) FROM other.u").result_rows == [(3,)]
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        client.query("SELECT * FROM u")
    with pytest.raises(DatabaseError, match="UNKNOWN_DATABASE"):
        clickhouse_connect.get_client(dsn=gateway.dsn.removesuffix("default") + "nosuch").query(
            "SELECT 1"
        )


def test_a_failed_query_says_why_and_spoils_nothing_after_it(client):
    """The engine keeps rows of a failed query in its session; the next answer must not begin with them."""
    for _ in range(5):
        with pytest.raises(DatabaseError, match="FUNCTION_THROW_IF") as caught:
            client.query(
                "SELECT throwIf(number = 3000), number FROM numbers(10000)",
                settings={"max_block_size": 100},
            )
        assert caught.value.code == 395
        for fmt in ("TabSeparated", "JSONCompact"):
            with pytest.raises(DatabaseError):
                client.raw_query(
                    "SELECT throwIf(number = 3000) FROM numbers(10000)",
                    fmt=fmt,
                    settings={"max_block_size": 100},
                )
            assert (
                client.raw_query("SELECT 'clean'", settings={"max_block_size": 100}) == b"clean\n"
            )


def test_an_error_in_the_middle_of_a_stream_reaches_the_caller(client):
    sql = "SELECT number, throwIf(number = 900000) FROM numbers(1000000)"
    with client.query_row_block_stream(sql) as blocks:
        with pytest.raises(StreamFailureError, match="FUNCTION_THROW_IF"):
            list(blocks)


def test_errors_have_their_code_and_name(client):
    with pytest.raises(DatabaseError) as caught:
        client.query("SELECT * FROM nosuch")
    assert (caught.value.code, caught.value.name) == (60, "UNKNOWN_TABLE")
    with pytest.raises(DatabaseError) as caught:
        client.command("DROP TABLE t")
    assert (caught.value.code, caught.value.name) == (164, "READONLY")
    with pytest.raises(DatabaseError) as caught:
        client.insert("t", [[1]], column_names=["a"])
    assert caught.value.code == 164


def test_a_wrong_token_is_told_at_once(gateway):
    with pytest.raises((DatabaseError, OperationalError), match="516"):
        clickhouse_connect.get_client(dsn=gateway.dsn.replace(gateway.token, "wrong"))


@pytest.mark.parametrize("compress", ["lz4", "zstd", "gzip", "deflate", False])
def test_every_compression_of_the_client_works(gateway, compress):
    client = clickhouse_connect.get_client(dsn=gateway.dsn, compress=compress)
    assert len(client.query("SELECT a, s FROM t").result_rows) == 1000
    with client.query_row_block_stream("SELECT number FROM numbers(300000)") as blocks:
        assert sum(len(block) for block in blocks) == 300_000
    client.close()


def test_the_async_client_runs_many_queries_at_once(gateway):
    pytest.importorskip("aiohttp", reason="clickhouse-connect's async client needs aiohttp")

    async def run():
        async with await clickhouse_connect.get_async_client(dsn=gateway.dsn) as client:
            results = await asyncio.gather(
                *(
                    client.query("SELECT {n:UInt64}, count() FROM t", parameters={"n": n})
                    for n in range(40)
                )
            )
            assert [result.result_rows for result in results] == [[(n, 1000)] for n in range(40)]
            assert (await client.query_df("SELECT a FROM t")).shape == (1000, 1)
            assert (await client.query_arrow("SELECT a FROM t")).num_rows == 1000
            assert await client.command("SELECT 1") == 1
            assert await client.raw_query("SELECT 1", fmt="CSV") == b"1\n"
            stream = await client.query_row_block_stream("SELECT number FROM numbers(300000)")
            count = 0
            async with stream:
                async for block in stream:
                    count += len(block)
            assert count == 300_000
            with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
                await client.query("SELECT * FROM nosuch")

    asyncio.run(run())
