"""Fixtures of the replay tests: runs recorded onto real tapes in this process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from taped import taping


@pytest.fixture
def tapes(tmp_path):
    with taping(tmp_path / "tapes") as made:
        yield made
