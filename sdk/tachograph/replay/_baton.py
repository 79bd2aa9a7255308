"""The baton: of a run's threads, one at a time runs code of the agent; who and when is recorded, and replayed.

Pattern: a thread of the run holds the baton while its code runs. It puts it down where it waits: for an effect, for
another thread, for time. When it comes back it takes a turn, and the order of turns is what a tape has. Between two turns
the agent's code depends on nothing but what it was given, so whatever threads share is the same again. Effects themselves
happen side by side as ever. Locks are only tried with the baton in hand (:mod:`._locks`), so who gets one is a matter of
turns too.

Trade-offs: computing is done one after the other. Where the holder waits for something that nobody has declared, the
others would wait with it; so a watch looks at it, gives the baton up for the rest of the run, and the tape says why.

Scope: one run; threads that it starts through ``threading`` and pools of ``concurrent.futures``, and the event loop on
which it runs.
"""

from __future__ import annotations

import os
import time
import weakref
from _thread import get_ident
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tachograph._guard import contain
from tachograph._waits import Background, Bell, Mutex
from tachograph.replay import _locks
from tachograph.replay._member import Member, Said
from tachograph.replay._turns import Turn, TurnKind
from tachograph.replay._watch import Watch

if TYPE_CHECKING:
    from tachograph.replay._engine import Engine

_TICK_S = 0.005
"""How often it is looked whether something has come from elsewhere, or time is up."""
_IDLE_TICK_S = 0.5

_live: weakref.WeakSet[Baton] = weakref.WeakSet()


class Baton:
    """Passes turns among the threads of one run. Made by the thread that is its only one so far, which holds it."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self._is_free = False
        self._pid = os.getpid()
        self.turns = 0
        self.members: list[Member] = []
        self.waiting: list[Member] = []
        self.holder: Member | None = None
        self.announced: set[str] = set()
        """Threads that were asked for and have not begun."""
        # Lets the same thread in again: a signal's handler may come to a boundary too.
        self.mutex = Mutex()
        self._bell = Bell()
        self._watch = Watch(self)
        # First: where no thread can be had, nothing is put in place that nobody would take away.
        Background(self._tick, "tachograph-baton").start()
        _locks.install()
        _live.add(self)
        me = Member(self, name)
        me.holds, self.holder = True, me
        self._enrol(me)

    @property
    def free(self) -> bool:
        """Given up: everybody runs as they like. So they do in a forked child, from its first instruction on.

        Hooks of other libraries (OpenTelemetry's) run before ours there, and start threads.
        """
        return self._is_free or os.getpid() != self._pid

    # --- members -----------------------------------------------------------------------------------

    def _enrol(self, me: Member) -> None:
        self.members.append(me)
        _locks.members[me.ident] = me

    def me(self) -> Member | None:
        """This thread as a member that has the baton; None otherwise."""
        found = _locks.members.get(get_ident())
        return found if found is not None and found.holds and found.baton is self else None

    def announce(self, name: str, *, pooled: bool) -> None:
        """A thread of that name is asked for; ``pooled``: of a pool, by a future that is made next."""
        self.announced.add(name)
        me = self.me()
        if pooled and me is not None:
            me.submits = name

    def run(self, name: str, work: Callable[[], Any], *, pooled: bool) -> Any:
        """Do the work of a thread in its turns. ``pooled``: the baton is put down when its future is told."""
        if self.free:
            self.engine.stop_if_failed()
            return work()
        me = _locks.members.get(get_ident())
        if me is None or me.baton is not self:
            me = self.enter(name)
        elif me.name != name:
            return work()  # called on the spot
        try:
            return work()
        finally:
            if me is not None and pooled and me.holds:
                me.leaving = True
            elif me is not None:
                self.leave(me)

    def enter(self, name: str) -> Member | None:
        """This thread begins, in its turn; None when there are no turns any more."""
        if self.free:
            return None
        me = Member(self, name)
        with self.mutex:
            self.announced.discard(name)
            self._enrol(me)
        try:
            self.take(me, "begin")
        finally:
            if not me.holds:
                self.leave(me)
        return me if me.holds else None

    def leave(self, me: Member) -> None:
        """The thread has nothing more to do in the run."""
        me.holds = me.leaving = False
        if me.before is None:
            _locks.members.pop(me.ident, None)
        else:
            _locks.members[me.ident] = me.before
        with self.mutex:
            if me in self.members:
                self.members.remove(me)
            if self.holder is me:
                self.holder = None
            self._pass_on()

    # --- turns -------------------------------------------------------------------------------------

    def put_down(self, me: Member) -> None:
        """Let others run; :meth:`take` comes after."""
        if self.free:
            me.holds = False
            return
        with self.mutex:
            me.holds = False
            if self.holder is me:
                self.holder = None
            self._pass_on()

    def take(
        self,
        me: Member,
        kind: TurnKind,
        ready: Callable[[], bool] | None = None,
        deadline_s: float | None = None,
        *,
        timed_out: bool = False,
    ) -> Said:
        """Wait for a turn; whoever has the baton puts it down for that.

        Args:
            me: Who waits.
            kind: For what.
            ready: Whether what is waited for is there; asked by other threads.
            deadline_s: When waiting for it ends, by the clock of ``time.monotonic``.
            timed_out: That it did not come in time is known already.

        Raises:
            Diverged: while replaying, when the replay has ended.
        """
        if not self.free:
            me.notify = None
            try:
                self._queue(me, kind, ready, deadline_s, timed_out)
                while me.said is None:
                    _locks.ACQUIRE(me.gate)
            except BaseException:
                # Ctrl-C: its handlers run at once, so whose turn it is, is known no more.
                self.give_up("it was interrupted while its threads waited for each other")
                raise
        if self.free:
            self.engine.stop_if_failed()
            return "timeout" if timed_out else "free"
        return me.said or "free"

    def _queue(
        self,
        me: Member,
        kind: TurnKind,
        ready: Callable[[], bool] | None,
        deadline_s: float | None,
        timed_out: bool,
    ) -> None:
        me.kind, me.ready, me.deadline_s, me.timed_out = kind, ready, deadline_s, timed_out
        with self.mutex:
            me.said, me.holds = None, False
            if self.holder is me:
                self.holder = None
            if self.free:
                me.said = "free"
                return
            if me in self.waiting:  # its event loop had asked, and is not waited for any more
                self.waiting.remove(me)
            self.waiting.append(me)
            self._pass_on()
            if me.said is None:
                self._bell.ring()

    def take_up(self) -> None:
        """This thread's event loop has ended; its thread goes on, in its turn."""
        me = _locks.members.get(get_ident())
        if me is not None and me.baton is self:
            self.take(me, "ended")

    def ask(self, notify: Callable[[], object]) -> bool:
        """Whether code of the agent may run on this thread's event loop now; else ``notify`` is called in its turn."""
        me = _locks.members.get(get_ident())
        if self.free or me is None or me.baton is not self:
            return True
        with self.mutex:
            # Looked at under the mutex: its turn may be coming just now, and would be lost by asking once more.
            if me.holds or me in self.waiting:
                return me.holds
            me.notify = None
            self._queue(me, "loop", None, None, timed_out=False)
            me.notify = notify
            return me.said is not None

    def others_go_on(self) -> bool:
        """While replaying, on a loop at rest: whether the next recorded turn may still be taken by another thread."""
        me = _locks.members.get(get_ident())
        with self.mutex:
            turn = None if self.free else self.engine.next_turn()
            if not isinstance(turn, Turn) or me is None or turn.name == me.name:
                return False
            comes = turn.name in self.announced or any(m.name == turn.name for m in self.waiting)
            return comes or any(m is not me and m not in self.waiting for m in self.members)

    def until(
        self,
        me: Member,
        attempt: Callable[[], bool],
        ready: Callable[[], bool],
        timeout_s: float | None,
    ) -> bool | None:
        """Try again with each turn, until it works. False when time was up, None when there are no turns any more."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            said = self.take(me, "wait", ready, deadline_s)
            if said != "turn":
                return False if said == "timeout" else None
            if attempt():
                return True

    def _pass_on(self) -> None:
        """Give the baton to whose turn it is, if it is anybody's now. Under the mutex."""
        if self.holder is not None or not self.waiting or self.free:
            return
        try:
            found = self._watch.choose()
            if found is None or self.free:
                return
            member, said = found
            self.engine.took_turn(
                Turn(member.name, member.kind, said == "timeout", self.engine.delivered)
            )
        except BaseException as fault:
            self.give_up("a fault of the recorder")
            if not contain("passing turns", fault):
                raise
            return
        self.waiting.remove(member)
        member.unused = member.kind == "loop"
        self.holder, member.holds = member, True
        self.turns += 1
        member.hear(said)

    # --- the end -----------------------------------------------------------------------------------

    def give_up(self, why: str) -> None:
        """From here on the threads of the run go as they like; the tape says why. Empty: the run is over."""
        with self.mutex:
            if self.free:
                return
            self._is_free = True
            if why:
                self.engine.gave_up_turns(why)
            for member in self.members:
                member.holds = False
            waiting, self.waiting, self.holder = self.waiting, [], None
            for member in waiting:
                if member.said is None:
                    member.hear("free")
            self._bell.ring()

    def close(self) -> None:
        """The run is over."""
        self.give_up("")
        for member in list(self.members):
            if _locks.members.get(member.ident) is member:
                self.leave(member)
        # The watch may close it at the same time, and users of the locks are counted.
        with self.mutex:
            if self in _live:
                _live.discard(self)
                _locks.uninstall()

    # --- what comes from elsewhere -----------------------------------------------------------------

    def _tick(self) -> None:
        """Runs in a thread of its own: time that is up, locks that strangers let go, a holder that is stuck."""
        while not self.free:
            if self.engine.over:
                self.close()  # a Ctrl-C came in the midst of the run's end
                return
            self._bell.wait(_TICK_S if self.waiting else _IDLE_TICK_S)
            if self.waiting:
                time.sleep(_TICK_S)
                with self.mutex:
                    self._pass_on()
                    why = self._watch.look()
                if why:
                    self.give_up(why)


def _after_fork() -> None:
    """A forked child has one thread, and none of its parent's turns."""
    for baton in list(_live):
        # Whoever held it is not in this process.
        baton.mutex = Mutex()
    _live.clear()
    _locks.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
