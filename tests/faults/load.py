"""Clients that send until told to stop and remember what was acknowledged, and the comparison with what is stored."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from otlp import plain_body

HEADERS = {"Content-Type": "application/x-protobuf"}


def post(url: str, body: bytes, timeout_s: float = 10) -> tuple[int, str]:
    """Status and ``Retry-After``; status 0 when there was no answer."""
    try:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout_s)
        try:
            connection.request("POST", "/v1/traces", body, HEADERS)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Retry-After", "")
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return 0, ""


class Load:
    """Bodies of ``spans`` spans, each a trace of its own, numbered from ``first``."""

    def __init__(self, url: str, spans: int = 20, first: int = 1, padding: str = "") -> None:
        self.url = url
        self.spans = spans
        self.acknowledged: set[int] = set()
        self.answers: Counter[int] = Counter()
        self.without_retry_after = 0
        self._padding = padding
        self._next = first
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop()

    def start(self, clients: int) -> Load:
        self._threads = [threading.Thread(target=self._send) for _ in range(clients)]
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def until(self, condition, timeout_s: float = 60) -> None:
        """Wait for a condition over this load; it is looked at after every answer."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), timeout_s), self.answers

    def until_more(self, bodies: int, timeout_s: float = 60) -> None:
        goal = len(self.acknowledged) + bodies
        self.until(lambda load: len(load.acknowledged) >= goal, timeout_s)

    def _send(self) -> None:
        while not self._stop.is_set():
            with self._changed:
                number, self._next = self._next, self._next + 1
            body = plain_body(number, self.spans) if not self._padding else self._padded(number)
            while not self._stop.is_set():
                status, retry_after = post(self.url, body)
                with self._changed:
                    self.answers[status] += 1
                    if status == 503 and not retry_after:
                        self.without_retry_after += 1
                    if status == 200:
                        self.acknowledged.add(number)
                    self._changed.notify_all()
                if status == 200:
                    break
                self._stop.wait(0.02)  # as an exporter does: the same body again, later

    def _padded(self, number: int) -> bytes:
        from otlp import Trace

        made = Trace(number)
        for span in range(1, self.spans + 1):
            made.span(span, padding=self._padding)
        return made.body()


@dataclass
class Verdict:
    """What a harness counted."""

    acknowledged_spans: int
    lost_spans: int
    doubled_spans: int
    wrong_runs: int
    facts: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        numbers = (
            f"acknowledged {self.acknowledged_spans} spans, lost {self.lost_spans}, "
            f"doubled {self.doubled_spans}, wrong runs {self.wrong_runs}"
        )
        return "; ".join([numbers, *(f"{key} {value}" for key, value in self.facts.items())])

    @property
    def is_clean(self) -> bool:
        return not (self.lost_spans or self.doubled_spans or self.wrong_runs)


def settle(collector, timeout_s: float = 120) -> None:
    """Wait until the collector has stored everything it acknowledged."""
    deadline = time.monotonic() + timeout_s
    while health(collector.url).get("unstored_bytes") != 0:
        assert time.monotonic() < deadline, health(collector.url)
        threading.Event().wait(0.1)


def health(url: str) -> dict[str, object]:
    import json

    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        connection.request("GET", "/api/v1/health")
        found: dict[str, object] = json.loads(connection.getresponse().read())
        return found
    except (OSError, http.client.HTTPException):
        return {}
    finally:
        connection.close()


def compare(rows, acknowledged: set[int], spans: int) -> Verdict:
    """Ask with ``rows(sql)`` what is stored, and compare with what was acknowledged.

    Bodies whose answer was lost may be stored too: whole, and once.
    """
    found = {
        trace: (shown, different)
        for trace, shown, different in rows(
            "SELECT trace_id, count(), uniqExact(span_id) FROM spans GROUP BY trace_id"
        )
    }
    runs = {
        trace: (count, stored)
        for trace, count, stored in rows(
            "SELECT run_id, count(), sum(span_count) FROM runs GROUP BY run_id"
        )
    }
    wanted = {number.to_bytes(16, "big").hex() for number in acknowledged}
    lost = sum(spans - min(spans, found.get(trace, (0, 0))[1]) for trace in wanted)
    doubled = sum(shown - different for shown, different in found.values())
    wrong = sum(runs.get(trace) != (1, different) for trace, (_, different) in found.items()) + len(
        runs.keys() - found.keys()
    )
    return Verdict(len(wanted) * spans, lost, doubled, wrong, {"traces stored": len(found)})
