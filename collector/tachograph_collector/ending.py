"""The end of the process while the engine is still at work.

A stop waits some seconds for what is under way. A thread that comes back from the engine later, while Python ends, would
be ended in the midst of the engine's C++, and the process with it, by a signal. Then the process ends before Python does:
what was under way is in the log, as after a kill.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from weakref import WeakSet

_threads: WeakSet[threading.Thread] = WeakSet()
_code: int | None = None
"""None in a process that is no collector, as one that runs tests."""


def engine_thread(work: Callable[[], None], name: str) -> threading.Thread:
    """A thread that calls the engine, and that the process may end without."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    _threads.add(thread)
    return thread


def ends_with(code: int) -> int:
    """The process is about to end with this exit code; gives it back."""
    global _code
    _code = code
    return code


def _end() -> None:
    if _code is None or not any(thread.is_alive() for thread in _threads):
        return
    # Whoever reads our output may be gone.
    with suppress(OSError, ValueError):
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(_code)


atexit.register(_end)
