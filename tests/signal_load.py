"""Loading bodies of any signal into a real engine, as the loader does."""

from __future__ import annotations

import itertools
import time

import pytest

from tachograph_collector.signals import FACES
from tachograph_schemas import ingest
from tachograph_schemas.ingest_signals import TABLES


@pytest.fixture
def load_signal(client, tmp_path):
    """A function that stores bodies of a signal as one batch."""
    batches = itertools.count(1)

    def store_bodies(signal: str, *bodies: bytes) -> None:
        batch = next(batches)
        path = tmp_path / "signal.pb"
        with path.open("wb") as file:
            for number, body in enumerate(bodies):
                canonical = FACES[signal].read_protobuf(body).data
                file.writelines(
                    ingest.frame("default", batch * 1000 + number, time.time_ns(), canonical)
                )
        table = TABLES[signal]
        client.command(
            table.insert_from_file(str(path)),
            parameters={"writer_id": 1, "batch": batch},
            settings=table.insert_settings(),
        )

    return store_bodies
