"""The embedded engine alone: the same requests decoded and stored by the loader's insert, in one process.

No network, no log, no acknowledgement, no runs computed: what remains is the ceiling of our own design.
``python -m benchmarks.peers.engine DIRECTORY SECONDS`` prints one JSON object.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tachograph_schemas import ingest, store
from tachograph_schemas.ingest_signals import TABLES

from . import process_tree
from .bodies import SPANS, templates

BODIES = 100
"""Requests in one insert: 20,000 spans."""
TITLE = "our engine alone (no HTTP, no log)"


@dataclass(frozen=True)
class Alone:
    """What the inserts took."""

    machine_load: float
    turn: int
    spans: int
    queryable_per_s: float
    cpu_s_per_100k: float
    pss_idle_mb: float
    pss_peak_mb: float
    disk_bytes_per_span: float


def insert(directory: Path, seconds: float, turn: int) -> Alone:
    """Insert for ``seconds``; the engine leaves files in the working directory, so that is changed."""
    machine_load = os.getloadavg()[0]
    os.chdir(directory)
    made = templates(0)
    client = store.connect(f"chdb://{directory / 'data'}")
    store.migrate(client)
    idle_mb, disk_before = process_tree.pss_mb(os.getpid()), process_tree.disk_bytes(directory)
    path = directory / "batch.pb"
    batch, wall_s, used_s = 0, 0.0, 0.0
    while wall_s < seconds:
        with path.open("wb") as file:
            for sequence in range(batch * BODIES, batch * BODIES + BODIES):
                now_ns = time.time_ns()
                body = made[sequence % len(made)].body(0, sequence, now_ns)
                file.writelines(ingest.frame("default", sequence, now_ns, body))
        wall, used = time.perf_counter(), time.process_time()
        client.command(
            TABLES["traces"].insert_from_file(str(path)),
            parameters={"writer_id": 1, "batch": batch},
            settings=ingest.insert_settings(),
        )
        batch, wall_s = batch + 1, wall_s + time.perf_counter() - wall
        used_s += time.process_time() - used
    spans = batch * BODIES * SPANS
    stored = client.query("SELECT count() FROM spans").result_rows[0][0]
    assert stored == spans, f"{stored} of {spans} spans are there"
    peak_mb = process_tree.pss_mb(os.getpid())
    path.unlink()
    client.close()
    used_bytes = process_tree.disk_bytes(directory) - disk_before
    return Alone(
        machine_load=machine_load,
        turn=turn,
        spans=spans,
        queryable_per_s=spans / wall_s,
        cpu_s_per_100k=used_s / spans * 1e5,
        pss_idle_mb=idle_mb,
        pss_peak_mb=peak_mb,
        disk_bytes_per_span=used_bytes / spans,
    )


def measure(seconds: float, turn: int) -> Alone:
    """In a process of its own: one process opens one engine."""
    with TemporaryDirectory(prefix="tacho-peer-") as name:
        words = [sys.executable, "-m", "benchmarks.peers.engine", name, str(seconds), str(turn)]
        tests = Path(__file__).parents[2]
        done = subprocess.run(words, cwd=tests, capture_output=True, text=True, check=True)
    return Alone(**json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    print(json.dumps(asdict(insert(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))))
