"""A store in a process of its own, and the dashboard as its users run it."""

import json
import os
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
END_S = 120
"""A process that does not end at all is found; how long a busy machine takes to end one is not asked."""


class Store:
    """An engine behind HTTP; ``load`` stores OTLP bodies the way the collector does."""

    def __init__(self, directory: Path, port: int = 0) -> None:
        self._log = (directory.parent / f"{directory.name}.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "engine_server.py"), str(directory), str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.dsn = self._process.stdout.readline().strip()
        if not self.dsn:
            raise RuntimeError(Path(self._log.name).read_text())
        self.port = int(self.dsn.rsplit(":", 1)[1].split("/")[0])

    def load(self, *traces) -> None:
        # Requests of OTLP one after the other are one request: all traces in one insert.
        body = b"".join(trace.body() for trace in traces)
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/otlp", body, method="POST")
        urllib.request.urlopen(request, timeout=180).read()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(END_S)
        self._process.stdout.close()
        self._log.close()


@contextmanager
def a_store(directory: Path, port: int = 0):
    directory.mkdir(exist_ok=True)
    store = Store(directory, port)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def a_dashboard(dsn: str, log: Path):
    """The dashboard in a process of its own; its address."""
    environ = os.environ | {"TACHO_CLICKHOUSE": dsn, "TACHO_ENDPOINT": "http://127.0.0.1:9"}
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tachograph_dashboard", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environ,
            cwd=log.parent,
        )
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(log.read_text())
            yield json.loads(line)["dashboard"]
        finally:
            process.terminate()
            process.wait(END_S)
            process.stdout.close()
