"""What tests ask of a real engine."""

from __future__ import annotations

import pytest


@pytest.fixture
def ask(client):
    """A function that gives the rows of a query."""
    return lambda sql, **values: client.query(sql, parameters=values).result_rows
