"""Waiting for recordings: a program gives up at its exit after two seconds, and a busy machine takes longer."""

from __future__ import annotations

import time
from contextlib import suppress

from tachograph_schemas import tapes
from tachograph_schemas.control_client import ControlClient

DEADLINE_S = 60


def stored(up, count):
    """The ids of the recorded runs, oldest first, once so many are stored. No program may be at its end meanwhile."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        rows = up.rows(
            "SELECT DISTINCT run_id, received_at FROM recording_rows ORDER BY received_at"
        )
        if len(rows) >= count:
            return [row[0] for row in rows]
        assert time.monotonic() < deadline, (len(rows), list((up.home / "tapes").iterdir()))
        for left in (up.home / "tapes").glob("*.ta*"):
            with suppress(FileNotFoundError, tapes.PackageError):
                data = left.read_bytes()
                package = data if left.suffix == ".tacho" else tapes.pack(data)
                client = ControlClient(up.url)
                client.send_recording(left.name.partition(".")[0], package, timeout_s=30)
        time.sleep(0.05)
