"""The engine for the parts of the control API that read and write it beside the loader, one at a time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from clickhouse_connect.driver.client import Client

from tachograph_collector.errors import NotNowError
from tachograph_collector.store import is_transient, syncfs
from tachograph_schemas import store
from tachograph_schemas.store import StoreError


class SideDoor:
    """A session of its own for each use. Methods block; call them off the event loop."""

    def __init__(self, dsn: str, ready: threading.Event) -> None:
        """``ready`` is set once the engine is open."""
        self._dsn = dsn
        self._ready = ready
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """A session, nobody else's meanwhile.

        Raises:
            NotNowError: the engine is not open, or busy.
            StoreError: the engine refuses.
        """
        if not self._ready.is_set():
            raise NotNowError("The engine is not open yet.")
        with self._lock:
            try:
                client = store.connect(self._dsn)
                try:
                    yield client
                finally:
                    client.close()
            except StoreError as error:
                if is_transient(error):
                    raise NotNowError(f"The engine cannot take it now: {error}") from error
                raise

    def sync(self) -> None:
        """Make what was written survive a power cut: the embedded engine does not sync by itself."""
        if store.is_embedded(self._dsn):
            syncfs(Path(self._dsn.removeprefix("chdb://")))
