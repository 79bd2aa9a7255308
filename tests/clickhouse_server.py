"""Fixture: a ClickHouse *server* for tests, reached over real HTTP from another process.

`clickhouse_server.dsn` takes everything a server takes, inserts with their data in the body included: it is the
read-write form of the gateway over an embedded engine in a child process.
"""

import importlib.util
import sys
from pathlib import Path

import pytest

_PATH = Path(__file__).parent / "collector" / "gateway" / "server.py"
_NAME = "tachograph_test_clickhouse_server"


def _load():
    if _NAME not in sys.modules:
        spec = importlib.util.spec_from_file_location(_NAME, _PATH)
        module = importlib.util.module_from_spec(spec)
        sys.modules[_NAME] = module
        spec.loader.exec_module(module)
    return sys.modules[_NAME]


running_server = _load().running_server


@pytest.fixture
def clickhouse_server():
    """A fresh, empty, writable server for one test."""
    with running_server() as server:
        yield server
