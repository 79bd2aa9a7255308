"""Types survive decoration: strict users of the SDK keep theirs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tachograph as tacho
from tachograph import testing

HERE = Path(__file__).parent
API = HERE / "typing_api.py"
ROOT = HERE.parents[1]


def test_public_calls_keep_their_types():
    """mypy --strict over typing_api.py, which asserts the inferred types."""
    pytest.importorskip("mypy")
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(API)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_pyright_infers_the_same_types(tmp_path):
    """Pyright in standard mode, by its fork that comes as a wheel with its own runtime."""
    pytest.importorskip("basedpyright")
    config = {
        "include": [str(API)],
        "typeCheckingMode": "standard",
        "pythonVersion": "3.11",
        "extraPaths": [str(ROOT / "sdk"), str(ROOT / "schemas")],
        # An ignored line is one that must be wrong: it says so when it is not.
        "enableTypeIgnoreComments": True,
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    path = tmp_path / "pyrightconfig.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    found = subprocess.run(
        [sys.executable, "-m", "basedpyright", "-p", str(path), "--pythonpath", sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_public_name_is_used():
    """What is exported and not in the file is not checked by anybody."""
    text = API.read_text(encoding="utf-8")
    used = set(re.findall(r"\btacho\.(\w+)", text))
    assert set(tacho.__all__) <= used, set(tacho.__all__) - used
    assert {name for name in testing.__all__ if name not in text} == set()
