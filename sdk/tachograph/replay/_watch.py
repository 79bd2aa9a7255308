"""Whose turn is next, and whether anything hinders it: the rules of the baton, while recording and while replaying."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tachograph._stacks import frame_of_thread
from tachograph.replay import _locks
from tachograph.replay._turns import GivenUp, Turn
from tachograph.replay._where import line_of

if TYPE_CHECKING:
    from tachograph.replay._baton import Baton
    from tachograph.replay._member import Member, Said

_SHORT_LOOKS = 4
"""Most turns are over before so many looks, in which nobody asks where their holders are: that has a price."""
_STUCK_S, _STUCK_LOOKS = 0.5, 40
"""A holder that stands at one instruction for so long, while others wait, waits for something undeclared. Looked at so
often at least, as on a busy machine nobody gets on."""
_IDLE_SHARE = 0.2
"""Of the time, in which the process computes less while its holder waits."""
_BUSY_S = 1.0
"""Of the processor: a holder that computes for so long, while others wait, may be waiting for them."""
_LONG_S = 5.0
"""Of the clock: a turn is no longer than that while others wait, whatever the holder does."""
_BUSY_LOOKS, _LONG_LOOKS = 40, 400
"""Looked at so often at least for either, and not while it starts threads, which all of the process computes for."""
_LONGEST_S = 60.0
"""Of the clock, on the busiest machine."""
_STALLED_S, _STALLED_LOOKS = 5.0, 200
"""So long a replay waits for a thread that may still come, or for what others must bring."""
_GIVING_UP_LOOKS = 4
"""A holder that stands still for so many looks is where the recording gave turns up, if it did so after this turn."""


class Watch:
    """Looks on for one baton. All under its mutex."""

    def __init__(self, baton: Baton) -> None:
        self._baton = baton
        self._seen: object = None
        self._turn = -1
        self._looks = self._turn_looks = self._first_looks = 0
        self._since_s = self._turn_s = time.monotonic()
        self._worked_s = self._since_worked_s = 0.0

    def choose(self) -> tuple[Member, Said] | None:
        """Who of those that wait goes on now, and whether because time is up; None: nobody yet."""
        if self._baton.engine.replaying:
            return self._recorded()
        now_s = None
        for member in self._baton.waiting:
            if member.ready is None or member.ready():
                return member, "timeout" if member.timed_out else "turn"
            if member.deadline_s is not None:
                now_s = now_s or time.monotonic()
                if now_s >= member.deadline_s:
                    return member, "timeout"
        return None

    def _recorded(self) -> tuple[Member, Said] | None:
        baton = self._baton
        turn = baton.engine.next_turn()
        if isinstance(turn, GivenUp):
            baton.give_up(turn.why)
            return None
        if turn is None and not baton.engine.replaying:
            return self.choose()  # it goes on live from here
        member = None
        if turn is not None:
            member = next((each for each in baton.waiting if each.name == turn.name), None)
        if turn is None or member is None:
            if self._nobody_comes(turn):
                self._fail(turn)
            return None
        if member.kind != turn.kind:
            self._fail(turn)
        elif turn.timed_out:
            return member, "timeout"
        elif member.ready is None or member.ready():
            return member, "turn"
        elif turn.kind == "join" and self._nobody_comes(None):
            self._fail(turn)  # what it waits for the end of has not come to it
        return None

    def _nobody_comes(self, turn: Turn | None) -> bool:
        """Whether all threads of the run wait, and none that could take the turn is on its way."""
        baton = self._baton
        if len(baton.waiting) < len(baton.members):
            return False
        return not baton.announced if turn is None else turn.name not in baton.announced

    def _fail(self, turn: Turn | None) -> None:
        self._baton.engine.out_of_turn(turn, [(m.name, m.kind) for m in self._baton.waiting])

    def look(self) -> str:
        """Called again and again while somebody waits. Returns why the baton is to be given up; empty: it is not."""
        holder = self._baton.holder
        now_s = time.monotonic()
        if self._turn != self._baton.turns:
            self._turn, self._turn_s, self._worked_s = self._baton.turns, now_s, time.process_time()
            self._seen, self._turn_looks, self._first_looks = None, 0, 0
        if self._first_looks < _SHORT_LOOKS:
            self._first_looks += 1
            return ""
        frame = frame_of_thread(holder.ident) if holder is not None else None
        seen = (id(frame), frame.f_lasti if frame is not None else 0)
        if seen != self._seen:
            self._seen, self._since_s, self._looks = seen, now_s, 0
            self._since_worked_s = time.process_time()
        self._looks += 1
        if self._baton.engine.replaying:
            self._look_replaying(now_s)
            return ""
        if holder is None:
            return ""
        still_s, worked_s = now_s - self._since_s, time.process_time() - self._since_worked_s
        # A short loop stands at one instruction whenever it is looked at, and computes all the time.
        starts = _locks.in_machinery(frame)
        waits = worked_s < _IDLE_SHARE * still_s and not starts
        if waits and still_s >= _STUCK_S and self._looks >= _STUCK_LOOKS:
            return f"a thread of it stays at {line_of(frame)}, in no effect, while others wait"
        self._turn_looks += not starts
        if self._runs_on(now_s - self._turn_s):
            return f"a thread of it runs on at {line_of(frame)} while others wait"
        return ""

    def _runs_on(self, turn_s: float) -> bool:
        """Whether the holder has had its turn for too long."""
        worked_s = time.process_time() - self._worked_s
        if worked_s >= _BUSY_S and self._turn_looks >= _BUSY_LOOKS:
            return True
        return turn_s >= (_LONG_S if self._turn_looks >= _LONG_LOOKS else _LONGEST_S)

    def _look_replaying(self, now_s: float) -> None:
        baton = self._baton
        if baton.free or self._looks < _GIVING_UP_LOOKS:
            return
        turn = baton.engine.next_turn()
        if isinstance(turn, GivenUp):
            baton.give_up(turn.why)
            return
        if now_s - self._since_s < _STALLED_S or self._looks < _STALLED_LOOKS:
            return
        self._fail(turn if isinstance(turn, Turn) else None)
