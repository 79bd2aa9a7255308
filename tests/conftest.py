"""Fixtures for all: a real embedded engine in a directory of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says nothing on a machine that does other things too.
settings.register_profile(
    "any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any_machine")

# Test modules import the helpers beside them by name.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "e2e")]

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items):
    """Browser tests come last: Playwright keeps an event loop running in the main thread from then on."""
    items.sort(key=lambda item: "browser" in item.fixturenames)


@pytest.fixture
def shared_data() -> Path:
    """Real runs and captures beside the checkout; they are not part of the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip(
            "../shared/data is not here: this test reads real recordings beside the checkout"
        )
    return SHARED_DATA


@pytest.fixture
def engine_home(tmp_path, monkeypatch) -> Path:
    """A directory for an embedded engine; the engine leaves its cache in the working directory."""
    work = tmp_path / "cwd"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path


@pytest.fixture
def client(engine_home):
    """A client of a fresh embedded engine with all tables."""
    from tachograph_schemas import store

    opened = store.connect(f"chdb://{engine_home / 'data'}")
    store.migrate(opened)
    yield opened
    opened.close()


# Fixtures for all. One browser a session: Playwright cannot be started twice.
from browser import browser, page  # noqa: E402, F401
from clickhouse_server import clickhouse_server  # noqa: E402, F401
from signal_load import load_signal  # noqa: E402, F401
