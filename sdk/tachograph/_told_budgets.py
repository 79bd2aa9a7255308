"""What budgets said to a run: written on its tape, so that a replay hears it at the same call.

In a replay no call is made again, so nothing is used up, and the collector that shares a budget is not asked. What a budget
set in code lacked is read call by call. Shared ones come and go while a run is under way: what they said has
the place of its call in its name, and where a recording has none there were none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from tachograph import _prices, _shared_budgets
from tachograph._budget_state import Account, Action, Call, Shortage
from tachograph._frame import Frame

_VERDICT = "~budget"
"""Of a budget, on a run's tape. Tapes from before it was put there go by what is counted in the replay."""
_ACTIONS = ("stop", "ask", "degrade", "warn")


class _Told:
    """A shared budget that was in force when a run was recorded: it has only what it said then."""

    def __init__(self, called: str, scope: str, action: str, *, degraded: bool) -> None:
        self.called = called
        self.scope = scope
        self.action: Action = cast(Action, action) if action in _ACTIONS else "stop"
        self.degraded = degraded
        self.hook = _shared_budgets.on_degrade

    def reserve(self, _call: Call, *, force: bool = False) -> Shortage | dict[str, float]:
        return {}

    def short(self, _call: Call) -> Shortage | None:
        return None

    def settle(self, held: Mapping[str, float], used: Mapping[str, float]) -> None:
        """Nothing is used in a replay."""

    def extend(self) -> None:
        """What came of it is on the tape."""

    def first_warning(self, _about: str) -> bool:
        return True

    def counts(self, _unit: str) -> bool:
        return False

    def spent(self, _unit: str) -> tuple[float, float]:
        return 0.0, 0.0


def shared(frame: Frame, tool: str, asked: str) -> list[Account]:
    """The shared budgets around a call, as they are or as they were.

    Args:
        frame: Where the call is.
        tool: Its name, where a tool is called.
        asked: By whom: those who ask at the same place are answered apart.
    """
    found = _shared_budgets.accounts(frame, tool) if _shared_budgets.in_force else []
    if not (found or _shared_budgets.replays):
        return found
    now = [[each.called, each.scope, each.action, each.degraded] for each in found]
    told = at_place(f"{asked} budgets", lambda: now, is_news=bool(found))
    if told is now:
        return found
    return [_Told(*each[:3], degraded=each[3]) for each in told]


def lacks(account: Account, look: Callable[[], Any]) -> Shortage | None:
    """What a budget lacks; in a replay what it lacked then."""

    def said() -> list[Any] | None:
        found = look()
        return list(found) if isinstance(found, Shortage) else None

    if account.called:
        told = at_place(f"{_VERDICT[1:]} {account.called}", said, is_news=True)
    elif _prices.as_reading is not None:
        told = _prices.as_reading(_VERDICT, said)
    else:
        told = said()
    return None if told is None else Shortage(*told)


def at_place(what: str, real: Callable[[], Any], *, is_news: bool) -> Any:
    """What was decided before the next call at this place; ``real`` where no tape has it. Written only if ``is_news``."""
    look = _prices.at_place
    return real() if look is None else look(what, real, is_news)
