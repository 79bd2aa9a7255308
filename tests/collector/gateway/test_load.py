"""Many clients, large results, slow clients and clients that leave."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import clickhouse_connect
import pytest
import urllib3

from clickhouse_server import running_server
from pipeline import until

PATIENT = {"queue_timeout_s": 120.0}
"""For what is not about the queue: on a busy machine it stands longer than ten seconds."""
# The engine checks for cancellation between blocks; this runs for minutes unless it is stopped.
ENDLESS = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"


def rss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) << 10
    raise AssertionError("no VmRSS")


def running(client) -> int:
    sql = "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64%' AND query NOT LIKE '%processes%'"
    return client.command(sql)


def send_and_keep(server, sql: str) -> socket.socket:
    """Send a query over a socket of our own, so that we can leave whenever we like."""
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    head = (
        f"POST / HTTP/1.1\r\nHost: {host}:{port}\r\nX-ClickHouse-Key: {server.token}\r\n"
        f"Content-Length: {len(sql)}\r\n\r\n{sql}"
    )
    connection.sendall(head.encode())
    return connection


def occupy(server) -> socket.socket:
    """Hold a reader for certain: bytes of a result have come, and nobody takes the rest of it."""
    connection = send_and_keep(server, "SELECT repeat('x', 1000) FROM numbers(50000000)")
    assert connection.recv(100).startswith(b"HTTP/1.1 200")
    return connection


def test_readers_see_whole_batches_only_while_another_thread_inserts():
    """Sixteen clients read while the process's own loader thread writes: no torn batch, no error, no stall."""
    with running_server(read_only=True, writer=True, limits=PATIENT) as server:
        probe = clickhouse_connect.get_client(dsn=server.dsn)
        until(lambda: probe.command("EXISTS TABLE ticks") == 1)

        def read(_: int) -> int:
            client = clickhouse_connect.get_client(dsn=server.dsn)
            seen = -1
            for _ in range(15):
                rows = client.query(
                    "SELECT count(), uniqExact(batch), countIf(c != 1000) FROM"
                    " (SELECT batch, count() AS c FROM ticks GROUP BY batch)"
                ).result_rows
                batches, _, torn = rows[0]
                assert torn == 0
                assert batches >= seen
                seen = batches
            client.close()
            return seen

        with ThreadPoolExecutor(16) as threads:
            finals = list(threads.map(read, range(16)))
        assert max(finals) > 0
        before = probe.command("SELECT uniqExact(batch) FROM ticks")
        until(lambda: probe.command("SELECT uniqExact(batch) FROM ticks") > before)
        probe.close()


@pytest.mark.slow
@pytest.mark.parametrize("coding", ["", "lz4"])
def test_a_gigabyte_streams_through_without_staying_in_memory(http, coding):
    rows, width = 8_000_000, 128
    sql = f"SELECT number, repeat('x', {width}) FROM numbers({rows})"
    # A busy machine takes longer than the minute that a query may run.
    with running_server(read_only=True, limits={"max_execution_s": 500.0}) as server:
        headers = {"X-ClickHouse-Key": server.token, "Accept-Encoding": coding}
        warm = sql.replace(str(rows), "100000")
        http.request("POST", server.url, body=warm, headers=headers)
        before = rss_bytes(server.process.pid)
        response = http.request(
            "POST",
            server.url,
            body=sql,
            headers=headers,
            preload_content=False,
            decode_content=False,
        )
        size = peak = 0
        while data := response.read(1 << 20):
            size += len(data)
            peak = max(peak, rss_bytes(server.process.pid))
        assert size > (rows * width if not coding else 1 << 20)
        assert peak - before < 200 << 20, f"grew by {(peak - before) >> 20} MiB"


def test_a_waited_for_result_goes_to_disk_not_to_memory(http):
    sql = "SELECT number, repeat('x', 1000) FROM numbers(300000)"
    with running_server(read_only=True) as server:
        headers = {"X-ClickHouse-Key": server.token}
        # One block of 65 MB, so that what is measured is what stays, not what passes.
        warm = sql.replace("300000", "66000")
        http.request("POST", server.url + "/?wait_end_of_query=1", body=warm, headers=headers)
        before = rss_bytes(server.process.pid)
        response = http.request(
            "POST",
            server.url + "/?wait_end_of_query=1",
            body=sql,
            headers=headers,
            preload_content=False,
        )
        assert int(response.headers["Content-Length"]) > 300_000_000
        grown = rss_bytes(server.process.pid) - before
        while response.read(1 << 20):
            pass
        assert grown < 200 << 20, f"grew by {grown >> 20} MiB"


def test_limits_hold_for_rows_bytes_memory_and_time(http):
    limits = {
        "max_result_rows": 1000,
        "max_buffered_bytes": 1 << 20,
        "max_memory_bytes": 64 << 20,
    }
    with running_server(read_only=True, limits=limits) as server:
        for sql, code in (
            ("SELECT number FROM numbers(200000)", 396),
            ("SELECT materialize(repeat('x', 10000)) FROM numbers(900) FORMAT JSON", 396),
            # One value repeated is small in the engine and large as text; memory bounds it.
            ("SELECT repeat('x', 1000000) FROM numbers(900) FORMAT JSON", 241),
            ("SELECT repeat('x', 1000000) FROM numbers(900) FORMAT TSV", 241),
            ("SELECT length(groupArray(number)) FROM numbers(100000000)", 241),
        ):
            assert_limited(server, http, sql, code)
    # By itself: on a busy machine a second is over before any other limit is met.
    with running_server(read_only=True, limits={"max_execution_s": 1.0}) as server:
        assert_limited(server, http, ENDLESS, 159)


def assert_limited(server, http, sql: str, code: int) -> None:
    """The limit is met, whatever the client says of limits, and the next query is answered."""
    for query in ("", "?max_execution_time=0&max_memory_usage=0&max_result_rows=0"):
        response = http.request(
            "POST",
            f"{server.url}/{query}",
            body=sql,
            headers={"X-ClickHouse-Key": server.token},
        )
        assert response.headers["X-ClickHouse-Exception-Code"] == str(code)
    assert client_answer(server, http) == b"1\n"


def test_the_query_of_a_client_that_leaves_is_cancelled(http):
    with running_server(read_only=True, limits={"readers": 2} | PATIENT) as server:
        client = clickhouse_connect.get_client(dsn=server.dsn)
        # One whose result is streamed, and one that is waited for.
        for sql in (ENDLESS, f"{ENDLESS} FORMAT JSON"):
            connection = send_and_keep(server, sql)
            until(lambda: running(client) == 1)
            connection.close()
            until(lambda: running(client) == 0)
        # Both readers are free again.
        with ThreadPoolExecutor(2) as threads:
            assert (
                list(threads.map(lambda _: client_answer(server, http), range(2))) == [b"1\n"] * 2
            )
        client.close()


def test_the_queries_of_clients_that_leave_at_once_are_cancelled():
    """Before the engine has begun with them, there is nothing yet that could be cancelled."""
    limits = {"readers": 8, "max_execution_s": 600.0} | PATIENT
    with running_server(read_only=True, limits=limits) as server:
        client = clickhouse_connect.get_client(dsn=server.dsn)
        for _ in range(4):
            for _ in range(6):
                send_and_keep(server, ENDLESS).close()
            # This one stands behind them.
            assert client.command("SELECT 1") == 1
        until(lambda: running(client) == 0)
        client.close()


def client_answer(server, http) -> bytes:
    headers = {"X-ClickHouse-Key": server.token}
    return http.request("POST", server.url, body="SELECT 1", headers=headers).data


def test_a_client_that_stops_reading_is_let_go(http):
    limits = {"readers": 1, "send_timeout_s": 0.5} | PATIENT
    with running_server(read_only=True, limits=limits) as server:
        stalled = occupy(server)
        # The only reader comes back although the stalled client is still connected.
        assert client_answer(server, http) == b"1\n"
        stalled.close()


def test_too_many_at_once_are_told_so_and_those_in_the_queue_are_served(http):
    limits = {"readers": 1, "queue": 1, "send_timeout_s": 600.0} | PATIENT
    with running_server(read_only=True, limits=limits) as server:
        first = occupy(server)
        answers: list[urllib3.BaseHTTPResponse] = []

        def ask() -> None:
            headers = {"X-ClickHouse-Key": server.token}
            answers.append(http.request("POST", server.url, body="SELECT 1", headers=headers))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: len(answers) == 2)
        assert {answer.status for answer in answers} == {503}
        assert {answer.headers["X-ClickHouse-Exception-Code"] for answer in answers} == {"202"}
        first.close()
        for thread in threads:
            thread.join()
        assert answers[-1].data == b"1\n"


def test_waiting_ends_after_the_queue_timeout(http):
    limits = {"readers": 1, "queue_timeout_s": 0.3, "send_timeout_s": 600.0}
    with running_server(read_only=True, limits=limits) as server:
        first = occupy(server)

        def refused() -> bool:
            response = http.request(
                "POST", server.url, body="SELECT 1", headers={"X-ClickHouse-Key": server.token}
            )
            return response.headers.get("X-ClickHouse-Exception-Code") == "202"

        assert refused()
        first.close()
        until(lambda: not refused())


def test_stopping_cancels_what_still_runs():
    with running_server(read_only=True) as server:
        client = clickhouse_connect.get_client(dsn=server.dsn)
        connection = send_and_keep(server, ENDLESS)
        until(lambda: running(client) == 1)
        client.close()
        connection.close()
        server.process.stdin.close()
        assert server.process.wait(60) == 0
