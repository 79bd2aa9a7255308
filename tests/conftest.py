"""Fixtures for all: a real embedded engine in a directory of its own."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says nothing on a machine that does other things too.
settings.register_profile(
    "any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any_machine")

# Some machines are told to keep no bytecode. Then each of the hundreds of interpreters that tests start compiles
# every library anew (of `anthropic` alone 2,900 modules), and so does each worker all tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell starts what runs in the background deaf to Ctrl-C, and all that tests start would be deaf too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Test modules import the helpers beside them by name.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "e2e")]

# Every engine that was opened leaves some of its threads, with three open files each, to the process:
# the 1,024 that many systems allow at first are not enough for all tests in one.
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536) if most > 0 else 65_536, most))

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


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
def engine_copied() -> Path | None:
    """The engine's directory that ``client`` gets a copy of; overridden where many tests begin with the same rows."""
    return None


@pytest.fixture
def client(engine_home, engine_copied):
    """A client of an embedded engine of its own with all tables, and no rows but those of ``engine_copied``."""
    import made_tables
    from tachograph_schemas import store

    if engine_copied is None:
        made_tables.put(engine_home / "data")
    else:
        made_tables.copy(engine_copied, engine_home / "data")
    opened = store.connect(f"chdb://{engine_home / 'data'}")
    yield opened
    opened.close()


def pytest_collection_finish():
    """What was imported and collected stays to the end: no collection of garbage need look at it again."""
    gc.collect()
    gc.freeze()


# Hooks and fixtures for all.
from browser import browser, page  # noqa: E402, F401
from clickhouse_server import clickhouse_server  # noqa: E402, F401
from longest_first import pytest_collection_modifyitems, pytest_configure  # noqa: E402, F401
from said_at_once import pytest_runtest_logreport  # noqa: E402, F401
from signal_load import load, load_signal  # noqa: E402, F401
