"""Loading bodies into a real engine, as the loader does."""

from __future__ import annotations

import contextlib
import itertools
import time

import pytest

import made_tables
from tachograph_collector.signals import FACES
from tachograph_schemas import ingest, pricing, store
from tachograph_schemas.ingest_signals import TABLES
from tachograph_schemas.shapes import Shape, insert_growing


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


@pytest.fixture
def load(client, tmp_path):
    """A function that stores bodies as one batch and computes their runs."""
    return loader(client, tmp_path)


@contextlib.contextmanager
def a_loaded_engine(home):
    """Store what many tests read, once; the directory of the engine, to be copied for each, is closed at the end.

    Yields:
        The function of the fixture ``load``.
    """
    made_tables.put(home / "data")
    # The engine leaves its cache in the working directory.
    with contextlib.chdir(home), store.connect(f"chdb://{home / 'data'}") as client:
        yield loader(client, home)


def loader(client, home):
    """A function that stores bodies as one batch into the engine at ``home / "data"`` and computes their runs."""
    batches = itertools.count(1)
    shape = Shape()

    def store_bodies(*bodies: bytes) -> None:
        nonlocal shape
        batch = next(batches)
        path = home / "batch.pb"
        with path.open("wb") as file:
            for number, body in enumerate(bodies):
                file.writelines(
                    ingest.frame("default", batch * 1000 + number, time.time_ns(), body)
                )
        values = {"writer_id": 1, "batch": batch}
        settings = ingest.insert_settings()

        def insert(shape: Shape) -> None:
            # An embedded session that failed hands its leftover rows to the next query.
            with store.connect(f"chdb://{home / 'data'}") as session:
                session.command(
                    TABLES["traces"].insert_from_file(str(path), shape),
                    parameters=values,
                    settings=settings,
                )

        def held() -> list[list[int]]:
            sql = TABLES["traces"].from_file("shape", str(path))
            return client.query(sql, parameters=values, settings=settings).result_rows[0]

        shape = insert_growing(shape, insert, held)
        pricing.price_pending(client, 1, [batch])
        ingest.roll_up(client, 1, [batch])

    return store_bodies
