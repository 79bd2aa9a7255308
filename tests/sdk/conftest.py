"""Fixtures for tests of the SDK: recorded spans in memory, a collector on loopback, child processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from otlp_server import Collector, running_collector

from tachograph.testing import SpanList, captured_spans

ROOT = Path(__file__).parents[2]


@pytest.fixture
def spans() -> Iterator[SpanList]:
    with captured_spans() as collected:
        yield collected


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


@pytest.fixture
def run_script(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python source in a process of its own, without the variable that tells pytest is running."""

    def run(
        source: str, *arguments: str, check: bool = True, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "agent.py"
        script.write_text(source)
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PYTEST_", "TACHO_", "OTEL_"))
        }
        path = os.pathsep.join([str(ROOT / "sdk"), str(ROOT / "schemas")])
        return subprocess.run(
            [sys.executable, "-W", "error", str(script), *arguments],
            capture_output=True,
            text=True,
            timeout=180,
            check=check,
            cwd=tmp_path,
            env={**kept, "PYTHONPATH": path, "TACHO_HOME": str(tmp_path / "home"), **environ},
        )

    return run
