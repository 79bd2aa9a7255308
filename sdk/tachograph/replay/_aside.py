"""What an engine's threads do with their baton: whether there is one, and putting it down for a while."""

from __future__ import annotations

import asyncio
from _thread import get_ident
from typing import TYPE_CHECKING

from tachograph.replay import _locks
from tachograph.replay._baton import Baton
from tachograph.replay._member import Member
from tachograph.replay._turns import TurnKind

if TYPE_CHECKING:
    from tachograph.replay._engine import Engine


def baton_of(engine: Engine) -> Baton | None:
    """What the threads of a run pass around, which starts one now; None when they take no turns."""
    if not (engine.takes_turns and engine.exact) or engine.over:
        return None
    if engine.baton is None:
        why = _locks.why_not()
        if why:
            engine.takes_turns = False
            engine.gave_up_turns(why)
            return None
        engine.baton = Baton(engine, "")
        loop = asyncio._get_running_loop()
        if loop is not None:
            # It is looked whether the agent has come to rest, which so far nobody wanted to know.
            engine.schedule(loop).probe()
    return engine.baton


class Aside:
    """``with aside(engine, "effect"):`` what happens in the block happens beside other threads of the run."""

    __slots__ = ("_kind", "_me")

    def __init__(self, engine: Engine, kind: TurnKind) -> None:
        self._kind: TurnKind = kind
        self._me: Member | None = None
        baton = engine.baton
        if baton is None or baton.free:
            return
        self._me = baton.me()
        if self._me is None and get_ident() not in _locks.members:
            baton.give_up("its code runs in a thread that was not started through threading")

    def __enter__(self) -> None:
        if self._me is not None:
            self._me.baton.put_down(self._me)

    def __exit__(self, *_: object) -> None:
        if self._me is not None:
            self._me.baton.take(self._me, self._kind)
