"""The collector as users run it, for harnesses that end it in every way."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Self

from collector_process import Collector as Started

from free_port import free_port


class Collector(Started):
    """At the same address after every start, with small files so that many are made."""

    def __init__(self, home: Path, **environment: str) -> None:
        small = {
            "TACHO_HTTP_PORT": str(free_port()),
            "TACHO_LOG_SEGMENT_BYTES": "1MiB",
            "TACHO_LOG_KEEP_S": "0",
            "TACHO_MIN_FREE_BYTES": "0",
        }
        super().__init__(home, **(small | environment))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        """Whatever became of the test, no process and no pipe is left."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()

    @property
    def address(self) -> str:
        """Where it listens once it is up; known before."""
        return f"http://127.0.0.1:{self.environment['TACHO_HTTP_PORT']}"

    def start_and_kill(self, after_s: float) -> bool:
        """Start it and kill it so much later, ready or not; whether it was killed before it was ready."""
        words = [sys.executable, "-m", "tachograph.cli", "up", "--json", "--no-dashboard"]
        with (self.home / "up.err").open("a", encoding="utf-8") as errors:
            process = subprocess.Popen(
                words, env=self.environment, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(after_s)
        process.kill()
        said, _ = process.communicate()
        return not said

    def errors(self) -> str:
        """What it logged since the home was made."""
        return (self.home / "up.err").read_text(encoding="utf-8")
