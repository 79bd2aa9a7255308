"""Ctrl-C, ``kill`` and a terminal that is closed: a command ends what it has started, says one line, and leaves with
the code that shells give, 128 and the number of the signal.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_HEEDED: Final = (signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """Somebody has ended this command by a signal; what heeds Ctrl-C heeds this as well."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        """Of the signal."""


@contextmanager
def heeding() -> Iterator[None]:
    """Raise :class:`Ended` for signals that would end this process at once, with its children left behind.

    What is ignored (``nohup``) stays so. A program that ``tacho record`` becomes begins with handlers of its own.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [number for number in _HEEDED if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _: FrameType | None) -> None:
    raise Ended(number)


def left(interrupt: KeyboardInterrupt) -> int:
    """Say that the command was interrupted or ended; the exit code."""
    if isinstance(interrupt, Ended):
        print("tacho: ended.", file=sys.stderr)
        return 128 + interrupt.number
    # The terminal has shown ^C, and stands behind it.
    begin = "\n" if sys.stderr.isatty() else ""
    print(f"{begin}tacho: interrupted.", file=sys.stderr)
    return 128 + signal.SIGINT
