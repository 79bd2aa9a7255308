"""A thread among those of a run that take turns."""

from __future__ import annotations

import threading
from _thread import allocate_lock, get_ident
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from tachograph.replay import _locks
from tachograph.replay._turns import TurnKind

if TYPE_CHECKING:
    from tachograph.replay._baton import Baton

Said = Literal["turn", "timeout", "free"]
"""What comes of waiting for a turn; ``free``: there are no turns any more, do as without a baton."""


class Member:
    """A thread of the run, or one of its event loops."""

    __slots__ = (
        *("baton", "before", "deadline_s", "gate", "holds", "ident", "kind"),
        *("leaving", "name", "notify", "raw", "ready", "said", "submits"),
        *("thread", "timed_out", "unused"),
    )

    def __init__(self, baton: Baton, name: str) -> None:
        self.baton = baton
        self.name = name
        """Its place in the run, as text."""
        self.ident = get_ident()
        self.thread = threading.current_thread()
        """Identifiers are given again to threads that start when one has ended."""
        self.before = _locks.members.get(self.ident)
        self.gate = allocate_lock()
        _locks.ACQUIRE(self.gate)
        self.holds = False
        self.raw = 0
        """Above zero, locks are taken as without a baton: below the interpreter's own thread machinery."""
        self.submits = ""
        """The name of the work that it is giving to a pool."""
        self.leaving = False
        """Work of a pool that is done, while its future is not yet told."""
        self.said: Said | None = None
        self.kind: TurnKind = "begin"
        self.ready: Callable[[], bool] | None = None
        """Whether what it waits for is there; None when it waits for nothing but its turn."""
        self.deadline_s: float | None = None
        self.timed_out = False
        """That time was up is known already."""
        self.notify: Callable[[], object] | None = None
        """Called when its turn comes, for those who cannot wait."""
        self.unused = False
        """Its turn as an event loop has come, and nothing has been delivered since. Written before ``holds``, and read after."""

    def hear(self, said: Said) -> None:
        """What it has waited for has come. Under the mutex."""
        self.said = said
        # It may have seen that already, and left the gate open for the next time.
        if self.gate.locked():
            self.gate.release()
        if self.notify is not None:
            self.notify()
