"""`tacho demo`: which collector it records into."""

from __future__ import annotations

import os

import pytest

from tachograph.cli.demo import _endpoint
from tachograph_schemas.instance import Instance
from tachograph_schemas.settings import DEFAULT_ENDPOINT

OURS = Instance(os.getpid(), "http://127.0.0.1:5001", None, "", None, "2026-11-21T00:00:00Z")
CHOSEN = "http://recorder.example:4318"


@pytest.mark.parametrize(
    ("given", "running", "up", "found"),
    [
        (CHOSEN, OURS, True, CHOSEN),
        (CHOSEN, None, False, CHOSEN),
        (DEFAULT_ENDPOINT, OURS, True, OURS.collector),
        (DEFAULT_ENDPOINT, OURS, False, OURS.collector),
        (DEFAULT_ENDPOINT, None, False, DEFAULT_ENDPOINT),
        (DEFAULT_ENDPOINT, None, True, ""),
    ],
)
def test_demo_that_starts_everything_does_not_record_into_a_strangers_collector(
    given, running, up, found
):
    """Another user of the machine may have one on the usual port: `make demo` is to start its own."""
    assert _endpoint(given, running, up=up) == found
