"""What a span takes on disk: recorded runs of real agents, stored and merged.

Without ``../shared/data/runs`` beside the checkout there is nothing to measure, and that is said.
"""

from __future__ import annotations

import gzip
import os
import tempfile
import time
from pathlib import Path

from tachograph_collector.canonical import canonical
from tachograph_schemas import ingest, store
from tachograph_schemas.ingest_signals import TABLES

RUNS = Path(__file__).parents[3] / "shared" / "data" / "runs"
_BATCH_BYTES = 16 << 20


def run() -> None:
    """Print bytes a span, sent and stored, for each collection of runs."""
    if not RUNS.is_dir():
        print(f"{RUNS} is not there: nothing was measured.")
        return
    print("| runs | spans | bytes a span, sent | stored | of it indexes |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)  # the engine leaves its cache in the working directory
        for collection in sorted(path for path in RUNS.iterdir() if path.is_dir()):
            _measure(collection, Path(name))


def _measure(collection: Path, directory: Path) -> None:
    client = store.connect(f"chdb://{directory / collection.name}")
    store.migrate(client)
    sent_bytes = 0
    batch: list[bytes] = []
    for number, path in enumerate(sorted(collection.glob("*.pb.gz"))):
        batch.append(canonical(gzip.decompress(path.read_bytes())).data)
        if sum(map(len, batch)) > _BATCH_BYTES:
            sent_bytes += _store(client, directory, number, batch)
            batch = []
    sent_bytes += _store(client, directory, 1_000_000, batch) if batch else 0
    client.command("OPTIMIZE TABLE span_rows FINAL")
    rows, stored, indexes = client.query(
        "SELECT sum(rows), sum(bytes_on_disk), sum(secondary_indices_compressed_bytes)"
        " FROM system.parts WHERE active AND table = 'span_rows' AND database = currentDatabase()"
    ).result_rows[0]
    client.close()
    print(
        f"| {collection.name} | {rows:,} | {sent_bytes / rows:,.0f} | {stored / rows:,.0f}"
        f" | {indexes / rows:,.0f} |"
    )


def _store(client, directory: Path, number: int, bodies: list[bytes]) -> int:
    path = directory / "batch.pb"
    with path.open("wb") as file:
        for at, body in enumerate(bodies):
            file.writelines(ingest.frame("default", number * 1000 + at, time.time_ns(), body))
    client.command(
        TABLES["traces"].insert_from_file(str(path)),
        parameters={"writer_id": 1, "batch": number},
        settings=ingest.insert_settings(),
    )
    return sum(map(len, bodies))
