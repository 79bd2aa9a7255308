"""SIGTERM with a full queue: what was acknowledged is kept, and whoever comes meanwhile is told to come back."""

from __future__ import annotations

import http.client
import signal
import threading
from collections import Counter
from urllib.parse import urlsplit

import grpc
import pytest
from collector_process import Collector

from otlp import plain_body
from pipeline import until
from signal_bodies import all_points, log_body
from tachograph_collector.signals import TRACES

SPANS = 400


def post(url: str, path: str, body: bytes) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


class Load:
    """Clients that send until the collector is gone, and remember what they were told."""

    def __init__(self, url: str, address: str) -> None:
        self.acknowledged: set[int] = set()
        self.told: Counter[str] = Counter()
        self._url, self._address = url, address
        self._threads = [threading.Thread(target=self._http, args=(start,)) for start in (1, 2, 3)]
        self._threads.append(threading.Thread(target=self._grpc, args=(4,)))
        for thread in self._threads:
            thread.start()

    def _http(self, trace: int) -> None:
        while True:
            try:
                status = post(self._url, "/v1/traces", plain_body(trace, SPANS))
            except (OSError, http.client.HTTPException):
                return
            self._note(trace, str(status), is_taken=status == 200)
            trace += 4

    def _grpc(self, trace: int) -> None:
        with grpc.insecure_channel(self._address) as channel:
            export = channel.unary_unary(f"/{TRACES.service}/Export")
            while True:
                try:
                    export(plain_body(trace, SPANS), timeout=60)
                except grpc.RpcError as error:
                    self._note(trace, error.code().name, is_taken=False)
                    if "stopping" not in error.details():
                        return
                else:
                    self._note(trace, "OK", is_taken=True)
                trace += 4

    def _note(self, trace: int, told: str, *, is_taken: bool) -> None:
        self.told[told] += 1
        if is_taken:
            self.acknowledged.add(trace)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive()


@pytest.mark.slow
def test_a_stop_under_load_loses_nothing_and_says_not_now(tmp_path):
    collector = Collector(tmp_path / "home").start()
    assert post(collector.url, "/v1/logs", log_body("before")) == 200
    load = Load(collector.url, collector.instance["grpc"])
    until(lambda: len(load.acknowledged) >= 40, 120)
    assert post(collector.url, "/v1/metrics", all_points()) == 200
    assert collector.signal(signal.SIGTERM) == 0
    load.join()
    assert set(load.told) <= {"200", "OK", "503", "UNAVAILABLE"}
    assert load.told["503"] > 0
    assert load.told["UNAVAILABLE"] > 0

    again = Collector(tmp_path / "home").start()
    try:
        wanted = {trace.to_bytes(16, "big").hex() for trace in load.acknowledged}
        sql = "SELECT trace_id, count(), uniqExact(span_id) FROM spans GROUP BY trace_id"
        until(lambda: wanted <= {row[0] for row in again.rows(sql)}, 120)
        found = {row[0]: row[1:] for row in again.rows(sql)}
        assert {found[trace] for trace in wanted} == {(SPANS, SPANS)}
        assert again.rows("SELECT body FROM logs") == [("before",)]
        assert again.rows("SELECT count() FROM metrics") == [(6,)]
    finally:
        again.stop()
