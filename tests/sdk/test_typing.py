"""Types survive decoration: strict users of the SDK keep theirs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def test_public_calls_keep_their_types():
    """mypy --strict over typing_api.py, which asserts the inferred types."""
    pytest.importorskip("mypy")
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(HERE / "typing_api.py")],
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE.parents[1],
    )
    assert found.returncode == 0, found.stdout + found.stderr
