"""A PostgreSQL server of a test's own, if this machine has one installed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from free_port import free_port
from pipeline import until


def _programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    found = shutil.which("postgres")
    program = versions[-1] if versions else Path(found) if found else None
    return program.parent if program is not None and (program.parent / "initdb").exists() else None


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty database; the test is skipped where there is no server to start."""
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed")
    # It refuses to run as root, so it gets a user and a folder of its own.
    user = {"user": "nobody"} if os.getuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="tachograph-postgres-"))
    if user:
        shutil.chown(folder, "nobody")
    port = free_port()
    data = folder / "data"
    words = [programs / "initdb", "-D", data, "-U", "tacho", "-A", "trust", "-E", "UTF8", "-N"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    subprocess.run(words, check=True, **quiet, **user)
    server = subprocess.Popen(
        [programs / "postgres", "-D", data, "-p", str(port), "-k", folder, "-c", "fsync=off"],
        **quiet,
        **user,
    )
    try:
        until(lambda: _answers(port) or server.poll() is not None)
        assert server.poll() is None, "PostgreSQL did not start"
        yield f"postgresql+psycopg://tacho@127.0.0.1:{port}/postgres"
    finally:
        # At once: asked politely it waits for sessions, of which those of a killed process end when it notices.
        server.send_signal(signal.SIGINT)
        server.wait(120)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(port: int) -> bool:
    import psycopg

    try:
        psycopg.connect(host="127.0.0.1", port=port, user="tacho", dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True
