"""The thread of the tapes: it writes what is queued, and closes what has ended. It waits for nobody else."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition
from typing import TYPE_CHECKING

from tachograph._guard import guarded
from tachograph._waits import Background, Bell, Mutex

if TYPE_CHECKING:
    from tachograph.replay._tape import Tape

DRAIN_S = 0.05
"""Records are gathered so long before they are written."""


class Drain:
    """The thread that writes queued records of all tapes. It starts with the first and never holds up an exit."""

    def __init__(self) -> None:
        self._tapes: list[Tape] = []
        self._after: deque[Callable[[], None]] = deque()
        self.begin_too: Callable[[], None] | None = None
        """Begins a thread that will be needed once a tape is finished. At the end of the process, when the tape of a short
        program is, Python 3.12 begins none any more."""
        self.is_idle = True
        """Whether it has to be woken to write."""
        self._work = Bell()
        self._lock = Mutex()
        self._idle = Condition(self._lock)
        self._busy = False
        self._thread: Background | None = None
        self._hurry = Bell()
        self._waiting: set[object] = set()
        """Who waits for it at this moment."""

    def start(self, tape: Tape) -> None:
        """Write for this tape from now on."""
        self._tapes.append(tape)
        with self._lock:
            if self._thread is not None:
                return
            self._thread = Background(self._run, "tachograph-tape")
        with guarded("starting the tape's thread"):
            self._thread.start()
        if self.begin_too is not None:
            self.begin_too()

    def write_out(self) -> None:
        """Write what is queued for all tapes, on this thread."""
        for tape in list(self._tapes):
            tape.write_out()

    def finish(self, tape: Tape, then: Callable[[], None]) -> None:
        """Close the tape and do ``then``, on the thread."""

        def closing() -> None:
            tape.close()
            if tape in self._tapes:
                self._tapes.remove(tape)
            then()

        self.later(closing)

    def later(self, work: Callable[[], None]) -> None:
        """Do ``work`` on the thread, after what was asked before."""
        self._after.append(work)
        self._work.ring()

    def wake(self) -> None:
        """There is something to write."""
        self.is_idle = False
        self._work.ring()

    def wait(self, timeout_s: float) -> bool:
        """Wait until everything asked so far is done; whether it was in time."""
        if self._thread is None or not self._thread.is_alive():
            return not self._after
        self._work.ring()
        me = object()
        self._waiting.add(me)
        self._hurry.ring()
        try:
            with self._lock:
                return self._idle.wait_for(lambda: not self._after and not self._busy, timeout_s)
        finally:
            self._waiting.discard(me)

    def _run(self) -> None:
        from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context, attach

        attach(Context({_SUPPRESS_INSTRUMENTATION_KEY: True}))
        while True:
            self._work.wait()
            # A group of records in one write; an exit does not wait for the group.
            if not self._waiting:
                self._hurry.wait(DRAIN_S)
            # Before the queues are looked at: what comes later wakes it again.
            self.is_idle = True
            self._busy = True
            self.write_out()
            while self._after:
                work = self._after.popleft()
                with guarded("finishing a tape"):
                    work()
            with self._lock:
                self._busy = False
                self._idle.notify_all()
