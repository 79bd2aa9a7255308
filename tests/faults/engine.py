"""A ClickHouse server that is gone, and one that does not answer: the log absorbs, then clients are told to wait."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from clickhouse_server import running_server
from faults.load import Load, Verdict, compare, health, settle
from faults.process import Collector
from tachograph_schemas import store

CLIENTS = 2
ROUNDS = 6
REFUSALS = 10
TROUBLES = ("gone", "stopped", "gone at start")


class Road:
    """A TCP forwarder to the server, which can be closed: connections break, and new ones are not taken."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._accept()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        if self._thread.is_alive():
            self.close()

    def close(self) -> None:
        """The server is gone."""
        # Closing alone would not wake the thread that accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        with self._lock:
            for pair in self._pairs:
                for end in pair:
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
                    end.close()
            self._pairs = []

    def open(self) -> None:
        """The server is back."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._accept()

    def _accept(self) -> None:
        self._thread = threading.Thread(target=self._take, args=(self._listener,), daemon=True)
        self._thread.start()

    def _take(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target)
            except OSError:
                near.close()
                continue
            with self._lock:
                self._pairs.append((near, far))
            # The server only answers to its own name; both ports have five digits.
            names = (f"127.0.0.1:{self.port}".encode(), f"127.0.0.1:{self._target[1]}".encode())
            for source, sink, words in ((near, far, names), (far, near, (b"", b""))):
                ends = (source, sink, *words)
                threading.Thread(target=self._copy, args=ends, daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket, old: bytes, new: bytes) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data.replace(old, new, 1) if old else data)
            sink.shutdown(socket.SHUT_WR)


def run(directory: Path, rounds: int = ROUNDS) -> Verdict:
    """Take the server away ``rounds`` times, by turns: no connection, no answer, none at the collector's start."""
    back_s: list[float] = []
    settings = {"TACHO_LOG_SEGMENT_BYTES": "64KiB", "TACHO_LOG_MAX_BYTES": "1MiB"}
    with running_server() as server, Road(urlsplit(server.dsn).port) as road:
        dsn = server.dsn.replace(f":{urlsplit(server.dsn).port}/", f":{road.port}/")
        home = directory / "home"
        with (
            Collector(home, TACHO_CLICKHOUSE=dsn, **settings) as collector,
            Load(collector.address) as load,
        ):
            collector.start()
            load.start(CLIENTS)
            for number in range(rounds):
                load.until_more(20)
                with _trouble(TROUBLES[number % 3], road, server, collector):
                    taken, refused = len(load.acknowledged), load.answers[503]
                    load.until(lambda load, r=refused: load.answers[503] >= r + REFUSALS, 120)
                    assert len(load.acknowledged) > taken, "the log takes bodies without the engine"
                    assert health(collector.address)["unstored_bytes"] > 0
                freed = time.monotonic()
                load.until_more(20, 120)
                back_s.append(time.monotonic() - freed)
            load.stop()
            settle(collector)
            client = store.connect(server.dsn)
            verdict = compare(
                lambda sql: client.query(sql).result_rows, load.acknowledged, load.spans
            )
            client.close()
            assert collector.stop() == 0
    assert load.without_retry_after == 0, "a 503 says when to come back"
    verdict.facts |= {
        "outages": rounds,
        "refusals with Retry-After": load.answers[503],
        "taking again after s max": round(max(back_s), 2),
    }
    return verdict


@contextlib.contextmanager
def _trouble(kind: str, road: Road, server, collector: Collector) -> Iterator[None]:
    if kind == "stopped":
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        return
    road.close()
    if kind == "gone at start":
        collector.signal(signal.SIGKILL)
        restart = threading.Thread(target=collector.start)  # returns when the engine is there
        restart.start()
    try:
        yield
    finally:
        road.open()
        if kind == "gone at start":
            restart.join()
