"""The one guard around the SDK's internals: a fault of the recorder never becomes a fault of the agent.

Logged, once a minute at most for each place; raised under pytest, so that our faults are loud in tests.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from types import TracebackType

LOGGER = logging.getLogger("tachograph")
QUIET_S = 60.0
"""How long the same complaint is held back after it was logged."""

_last_said_s: dict[str, float] = {}
_held_back: dict[str, int] = {}
_lock = threading.Lock()


def say_rarely(key: str, message: str, *args: object, level: int = logging.WARNING) -> bool:
    """Log ``message`` unless ``key`` was logged in the last minute; tells whether it was logged.

    Complaints held back are counted, and the count is added to the next one that is logged.
    """
    now_s = time.monotonic()
    with _lock:
        last_s = _last_said_s.get(key)
        if last_s is not None and now_s - last_s < QUIET_S:
            _held_back[key] = _held_back.get(key, 0) + 1
            return False
        _last_said_s[key] = now_s
        held = _held_back.pop(key, 0)
    if held:
        message = f"{message} ({held} more like this in the last minutes)"
    LOGGER.log(level, message, *args)
    return True


def under_pytest() -> bool:
    """Whether a test is running, so that faults of the SDK should be raised."""
    return "PYTEST_CURRENT_TEST" in os.environ


class guarded:  # noqa: N801 - read as a keyword: `with guarded("what"):`
    """Keep faults of the block away from the agent: ``with guarded("capturing the input"): ...``.

    Only ``Exception`` is held; KeyboardInterrupt and SystemExit belong to the process.
    """

    __slots__ = ("what",)

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        return error is not None and contain(self.what, error)


def contain(what: str, error: BaseException) -> bool:
    """Log a fault inside the SDK; False when it must be raised (pytest, or no ``Exception``)."""
    if not isinstance(error, Exception) or under_pytest():
        return False
    say_rarely(
        f"guard:{what}",
        "tachograph failed while %s and recorded less; the agent is not affected: %s: %s",
        what,
        type(error).__name__,
        _message_of(error),
    )
    return True


def _message_of(error: Exception) -> str:
    try:
        return str(error)[:500]
    except Exception:
        return "(its message could not be read)"


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
