"""Loading bodies into a real engine, as the loader does."""

from __future__ import annotations

import itertools
import time

import pytest

from tachograph_schemas import ingest, pricing, store
from tachograph_schemas.ingest_signals import TABLES
from tachograph_schemas.shapes import Shape, insert_growing


@pytest.fixture
def load(client, tmp_path):
    """A function that stores bodies as one batch and computes their runs."""
    batches = itertools.count(1)
    shape = Shape()

    def store_bodies(*bodies: bytes) -> None:
        nonlocal shape
        batch = next(batches)
        path = tmp_path / "batch.pb"
        with path.open("wb") as file:
            for number, body in enumerate(bodies):
                file.writelines(
                    ingest.frame("default", batch * 1000 + number, time.time_ns(), body)
                )
        values = {"writer_id": 1, "batch": batch}
        settings = ingest.insert_settings()

        def insert(shape: Shape) -> None:
            # An embedded session that failed hands its leftover rows to the next query.
            with store.connect(f"chdb://{tmp_path / 'data'}") as session:
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


@pytest.fixture
def ask(client):
    """A function that gives the rows of a query."""
    return lambda sql, **values: client.query(sql, parameters=values).result_rows
