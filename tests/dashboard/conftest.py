"""Fixtures: a store in a process of its own, the dashboard as its users run it, a browser."""

import json
import os
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]


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
        urllib.request.urlopen(request, timeout=60).read()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(20)
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
    environ = os.environ | {"TACHO_CLICKHOUSE": dsn}
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
            process.wait(20)
            process.stdout.close()


@pytest.fixture(scope="session")
def seeded(tmp_path_factory):
    """A store with the runs of ``stories``."""
    import stories

    with a_store(tmp_path_factory.mktemp("seeded") / "db") as store:
        store.load(
            stories.refund(1),
            stories.every_layer(2),
            stories.hostile(3),
            stories.refund(4, outcome="failure", spans_made=15),
            stories.refund(5, outcome="stopped"),
        )
        yield store


@pytest.fixture(scope="session")
def dashboard(seeded, tmp_path_factory):
    """The address of a dashboard over ``seeded``."""
    with a_dashboard(seeded.dsn, tmp_path_factory.mktemp("dashboard") / "log") as address:
        yield address


@pytest.fixture
def pages(seeded, monkeypatch):
    """The application under ``AppTest``, over ``seeded``."""
    from streamlit.testing.v1 import AppTest

    import tachograph_dashboard
    from tachograph_dashboard import data

    monkeypatch.setenv("TACHO_CLICKHOUSE", seeded.dsn)
    data.forget()
    main = Path(tachograph_dashboard.__file__).parent / "main.py"
    yield AppTest.from_file(main, default_timeout=60)
    data.forget()
