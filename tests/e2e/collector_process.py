"""The collector as users run it: a process started with the command line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline import until
from tachograph_schemas import store

END_S = 120
"""A collector gives what is under way up to half a minute already; on a busy machine it takes longer."""


class Collector:
    """``tacho up`` on free ports over a home; can be killed and started again."""

    def __init__(self, home: Path, *, dashboard: bool = False, **environment: str) -> None:
        self.home = home
        self._dashboard = dashboard
        free = {f"TACHO_{name}_PORT": "0" for name in ("HTTP", "GRPC", "GATEWAY", "DASHBOARD")}
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith("TACHO_")
        }
        self.environment = inherited | free | {"TACHO_HOME": str(home)} | environment
        self.process: subprocess.Popen[str] | None = None
        self.instance: dict[str, Any] = {}

    def start(self) -> Collector:
        words = [sys.executable, "-m", "tachograph.cli", "up", "--json"]
        if not self._dashboard:
            words.append("--no-dashboard")
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "up.err").open("a", encoding="utf-8") as errors:
            self.process = subprocess.Popen(
                words, env=self.environment, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        line = self.process.stdout.readline()
        if not line:
            # It may be started again.
            self.process.stdout.close()
            raise AssertionError(f"did not start: {(self.home / 'up.err').read_text()}")
        self.instance = json.loads(line)
        return self

    @property
    def url(self) -> str:
        return self.instance["collector"]

    @contextlib.contextmanager
    def client(self) -> Iterator[Any]:
        opened = store.connect(self.instance["gateway"])
        try:
            yield opened
        finally:
            opened.close()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.client() as client:
            return client.query(sql).result_rows

    def until_ended(self, run_id: str) -> None:
        """Wait until the end of a run can be read. The demo waits itself, but not for as long as a busy machine takes."""
        until(
            lambda: self.rows(
                f"SELECT 1 FROM runs WHERE run_id = '{run_id}' AND isNotNull(ended_at)"
            )
        )

    def signal(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(END_S)
        self.process.stdout.close()
        return code

    def stop(self) -> int:
        return (
            self.signal(signal.SIGINT) if self.process.poll() is None else self.process.returncode
        )
