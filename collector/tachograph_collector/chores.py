"""What the collector does in the background: a thread of its own that is started once and told to stop."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

from tachograph_collector.ending import engine_thread


class Chore(ABC):
    """A background thread. What derives from it says in :meth:`_run` what is done until ``_stop`` is set."""

    def __init__(self, name: str, stop_s: float) -> None:
        """``stop_s``: how long :meth:`stop` waits for the thread at most; the process may end with it."""
        self._stop = threading.Event()
        self._stop_s = stop_s
        self._thread = engine_thread(self._run, name)

    def start(self) -> None:
        """Begin; the engine's tables must be there."""
        self._thread.start()

    def stop(self) -> None:
        """End after the step under way; waits for a few seconds at most. Harmless when it was never started."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(self._stop_s)

    @abstractmethod
    def _run(self) -> None:
        """The thread."""
