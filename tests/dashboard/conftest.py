"""Fixtures: a store in a process of its own, the dashboard as its users run it, a browser."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from dashboard_process import a_dashboard, a_store  # noqa: E402


@pytest.fixture(scope="session")
def seeded(tmp_path_factory):
    """A store with the runs of ``stories``."""
    import stories

    with a_store(tmp_path_factory.mktemp("seeded") / "db") as store:
        store.load(
            stories.refund(1),
            stories.every_layer(2),
            stories.hostile(3),
            stories.refund(4, outcome="failure", spans_made=15),
            stories.refund(5, outcome="stopped"),
        )
        yield store


@pytest.fixture(scope="session")
def dashboard(seeded, tmp_path_factory):
    """The address of a dashboard over ``seeded``."""
    with a_dashboard(seeded.dsn, tmp_path_factory.mktemp("dashboard") / "log") as address:
        yield address


@pytest.fixture
def pages(seeded, monkeypatch):
    """The application under ``AppTest``, over ``seeded``."""
    from streamlit.testing.v1 import AppTest

    import tachograph_dashboard
    from tachograph_dashboard import data

    monkeypatch.setenv("TACHO_CLICKHOUSE", seeded.dsn)
    data.forget()
    main = Path(tachograph_dashboard.__file__).parent / "main.py"
    yield AppTest.from_file(main, default_timeout=60)
    data.forget()
