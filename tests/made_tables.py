"""An engine's directory with all tables, made once in each process of tests and copied for each test.

Making the tables anew costs a fifth of a second of the processor and half a second of waiting for the disk; a copy
costs a hundredth. That the migrations make them from nothing is what ``schemas/test_store.py`` is there for.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tachograph_schemas import store


def put(data: Path) -> None:
    """Make ``data``, which must not be there yet, the directory of an engine with all tables and no rows."""
    copy(_made(), data)


def copy(stored: Path, data: Path) -> None:
    """Copy the directory of an engine that nobody has open."""
    # Links from tables to their parts are relative; followed, there would be two copies of each part.
    shutil.copytree(stored, data, symlinks=True)


@functools.cache
def _made() -> Path:
    home = Path(tempfile.mkdtemp(prefix="tacho-tables-"))
    atexit.register(_remove, home, os.getpid())
    # In a process of its own: this one may have an engine open already, and can have but one.
    subprocess.run([sys.executable, __file__, str(home / "data")], cwd=home, check=True)
    return home / "data"


def _remove(home: Path, made_by: int) -> None:
    # A forked child ends with what its parent registered.
    if os.getpid() == made_by:
        shutil.rmtree(home, ignore_errors=True)


def _make(data: Path) -> None:
    client = store.connect(f"chdb://{data}")
    store.migrate(client)
    client.close()


if __name__ == "__main__":
    _make(Path(sys.argv[1]))
