"""Loading bodies into a real engine, as the loader does."""

from __future__ import annotations

import itertools
import time

import pytest

from tachograph_schemas import ingest, pricing


@pytest.fixture
def load(client, tmp_path):
    """A function that stores bodies as one batch and computes their runs."""
    batches = itertools.count(1)

    def store_bodies(*bodies: bytes) -> None:
        batch = next(batches)
        path = tmp_path / "batch.pb"
        with path.open("wb") as file:
            for number, body in enumerate(bodies):
                file.writelines(
                    ingest.frame("default", batch * 1000 + number, time.time_ns(), body)
                )
        values = {"writer_id": 1, "batch": batch}
        client.command(
            ingest.insert_from_file(str(path)), parameters=values, settings=ingest.insert_settings()
        )
        pricing.price_pending(client, 1, batch)
        client.command(ingest.statement("rollup_runs"), parameters=values)

    return store_bodies


@pytest.fixture
def ask(client):
    """A function that gives the rows of a query."""
    return lambda sql, **values: client.query(sql, parameters=values).result_rows
