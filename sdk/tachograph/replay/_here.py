"""What a recording says of the process that made it."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

from tachograph import _code_version
from tachograph._fingerprint import fingerprint
from tachograph.replay._code import digests

_PYTHON = platform.python_version()
_INSTRUMENTS = "tachograph.instruments"


def environment() -> dict[str, Any]:
    """What a replay has to have in common with the recording."""
    return {
        "python": _PYTHON,
        "hash_seed": os.environ.get("PYTHONHASHSEED", "random"),
        "platform": sys.platform,
        "cwd": os.getcwd(),  # noqa: PTH109 - at the start of every run; a Path costs ten times as much
    }


def instruments() -> list[str]:
    """The hooks into other libraries that are on."""
    package = sys.modules.get(_INSTRUMENTS)
    # What was imported from a package is one of its attributes.
    found = [name for name in vars(package) if not name.startswith("_")] if package else []
    return sorted(name for name in found if f"{_INSTRUMENTS}.{name}" in sys.modules)


def code_facts(entry_file: str) -> dict[str, Any]:
    """Digests of the program's own modules, by file name relative to the working directory, and the commit."""
    commit = _code_version.known_for(entry_file, wait_s=1.0)
    files = digests(Path.cwd(), entry_file)
    return {"files": files, "commit": commit or "", "marks": marks()}


def marks() -> str:
    """By what marks of secrets can be compared: the same in all processes that mark equal secrets equally."""
    return fingerprint("which key marks secrets here", 16)
