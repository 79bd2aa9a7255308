"""Fixtures: the gateway as the product runs it, over a small engine in a child process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import urllib3

# Test modules import the helpers of the tests by name, wherever pytest was started.
sys.path.insert(0, str(Path(__file__).parents[2]))

from clickhouse_server import clickhouse_server, running_server  # noqa: F401

SETUP = [
    """CREATE TABLE t (a UInt64, s String, m Map(String, String), d DateTime64(9, 'UTC'), n Nullable(Float64),
    l LowCardinality(String)) ENGINE = MergeTree ORDER BY a""",
    """INSERT INTO t SELECT number, concat('s', toString(number)), map('k', toString(number)),
    toDateTime64('2026-01-01 00:00:00', 9, 'UTC') + number, if(number % 3 = 0, NULL, number / 2),
    toString(number % 7) FROM numbers(1000)""",
    "CREATE DATABASE other",
    "CREATE TABLE other.u (x UInt8) ENGINE = MergeTree ORDER BY x",
    "INSERT INTO other.u VALUES (1), (2)",
]


@pytest.fixture(scope="session")
def gateway():
    """A read-only gateway over table `t` of 1,000 rows; shared, because nobody can change it."""
    with running_server(read_only=True, sql=SETUP) as server:
        yield server


@pytest.fixture
def http():
    """Plain HTTP, for what clients do not show."""
    pool = urllib3.PoolManager(timeout=60, retries=False)
    yield pool
    pool.clear()


@pytest.fixture
def ask(gateway, http):
    """Send one statement to the gateway with the token; returns the response."""

    def send(sql: str | bytes = b"", *, method="POST", path="/", headers=None, **fields):
        from urllib.parse import urlencode

        url = gateway.url + path + ("?" + urlencode(fields) if fields else "")
        given = {"X-ClickHouse-Key": gateway.token, **(headers or {})}
        body = sql.encode() if isinstance(sql, str) else sql
        return http.request(method, url, body=body or None, headers=given, decode_content=False)

    return send
