"""Where Python 3.11 collects garbage in the midst of its own work: looking at threads, setting context variables."""

from __future__ import annotations

import contextvars
import gc
import sys
from collections import deque
from types import FrameType

_COLLECTS_INSIDE = sys.version_info < (3, 12)
_COLLECTIONS_INSIDE = 8
"""At most so many happen while one variable is set: one for each object that is made for it."""
_kept: deque[contextvars.Context] = deque(maxlen=_COLLECTIONS_INSIDE)


def frame_of_thread(ident: int) -> FrameType | None:
    """The innermost frame of the thread with that identifier (``threading.get_ident``); None when it runs no Python code.

    Until Python 3.11 making the frames may collect garbage while the interpreter's list of threads is locked. What is
    collected may let go of the interpreter, another thread then starts or ends and waits for the list with the interpreter
    in its hand, and the process stands still for ever (https://github.com/python/cpython/issues/106883). So nothing is
    collected meanwhile. A program that switches collecting off in these very microseconds finds it on; there is no lock
    for that.
    """
    if not _COLLECTS_INSIDE or not gc.isenabled():
        return sys._current_frames().get(ident)
    gc.disable()
    try:
        return sys._current_frames().get(ident)
    finally:
        gc.enable()


def keep_contexts() -> None:
    """Let finalisers set context variables, as everything that records does. Idempotent.

    Setting one makes objects, and until Python 3.11 the collector may run there. A finaliser that sets one too then has the
    values freed that the interpreter is copying, and the process crashes. So collections keep what the context had before them,
    for a while.
    """
    if _COLLECTS_INSIDE and _keep not in gc.callbacks:
        gc.callbacks.append(_keep)


def _keep(phase: str, _: object) -> None:
    if phase == "start":
        _kept.append(contextvars.copy_context())
