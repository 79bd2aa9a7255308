"""A 200 means stored: killed under load, started again, every acknowledged span is there exactly once."""

from __future__ import annotations

import http.client
import signal
import threading
from urllib.parse import urlsplit

import pytest
from collector_process import Collector

from faults.load import settle
from otlp import plain_body

KILLS = 4
CLIENTS = 4
SPANS = 20


class Load:
    """Clients that send until told to stop, and remember what was acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: set[int] = set()
        self.url = ""
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._next = 1
        self._enough = threading.Condition(self._lock)

    def run(self, clients: int) -> None:
        self._threads = [threading.Thread(target=self._send) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def until(self, more: int) -> None:
        """Wait until that many more bodies were acknowledged."""
        with self._enough:
            goal = len(self.acknowledged) + more
            assert self._enough.wait_for(lambda: len(self.acknowledged) >= goal, 180)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                number, self._next = self._next, self._next + 1
            body = plain_body(number, SPANS)
            while not self._stop.is_set() and not self._post(body):
                self._stop.wait(0.02)  # as an exporter does: the same body again
            if self._stop.is_set():
                return
            with self._enough:
                self.acknowledged.add(number)
                self._enough.notify_all()

    def _post(self, body: bytes) -> bool:
        try:
            connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=10)
            try:
                connection.request(
                    "POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"}
                )
                return connection.getresponse().status == 200
            finally:
                connection.close()
        except (OSError, http.client.HTTPException):
            return False


def stored(collector: Collector) -> dict[str, tuple[int, int]]:
    """By trace: spans shown, and different spans among them."""
    rows = collector.rows(
        "SELECT trace_id, count(), uniqExact(span_id) FROM spans GROUP BY trace_id"
    )
    return {trace_id: (count, distinct) for trace_id, count, distinct in rows}


@pytest.mark.slow
def test_acknowledged_spans_survive_sigkill_under_load_exactly_once(tmp_path):
    collector = Collector(tmp_path / "home", TACHO_LOG_SEGMENT_BYTES="1MiB").start()
    load = Load()
    load.url = collector.url
    load.run(CLIENTS)
    try:
        for _ in range(KILLS):
            load.until(more=120)
            assert collector.signal(signal.SIGKILL) == -signal.SIGKILL
            load.url = collector.start().url
        load.until(more=20)
    finally:
        load.stop()
    assert collector.stop() == 0, "a clean stop"

    collector.start()
    # What it had no time for before it stopped is stored after the start.
    settle(collector)
    found = stored(collector)
    runs = collector.rows(
        "SELECT count(), min(span_count), max(span_count), sum(tool_calls) FROM runs"
    )
    acknowledged = {number.to_bytes(16, "big").hex() for number in load.acknowledged}
    assert collector.stop() == 0

    lost = acknowledged - found.keys()
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged bodies are gone"
    assert set(found.values()) == {(SPANS, SPANS)}, "every trace is whole, no span is doubled"
    assert runs == [(len(found), SPANS, SPANS, len(found) * (SPANS - 1))]
    assert len(acknowledged) >= KILLS * 120
