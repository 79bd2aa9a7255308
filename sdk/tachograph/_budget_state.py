"""What is counted under one budget: used, and held for calls that are under way.

A call holds what it may use before it is made, so that calls made at the same time cannot overspend together. When it ends,
what it did use takes the place of what it held.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, Protocol

from tachograph._waits import Mutex
from tachograph_schemas import names

Action = Literal["stop", "ask", "degrade", "warn"]
COUNTED: Final[Mapping[str, str]] = {"model": "model_calls", "tool": "tool_calls", "step": "steps"}
"""The unit that one call of a layer is one of."""
SLACK: Final = 1e-9
"""So much less than the limit is the limit: sums of fractions are never exact."""
_CALL_UNITS = frozenset(COUNTED.values())


class Call(NamedTuple):
    """What a call that is to be made may use."""

    layer: names.Layer
    needs: Mapping[str, float]
    """By unit."""
    is_bounded: bool = True
    """Whether a model cannot use more than that; else the largest call so far may be a better guess."""
    presumed: Mapping[str, float] = {}
    """By unit, what a model that is not named is taken to use until a call has shown it."""

    def need(self, unit: str, largest: float) -> float:
        """How much of ``unit`` is held for it, where the largest call so far used ``largest``."""
        amount = max(self.needs.get(unit, 0.0), 0.0)
        if self.layer != "model" or unit in _CALL_UNITS or (self.is_bounded and amount):
            return amount
        return max(amount, largest or self.presumed.get(unit, 0.0))

    def is_guess(self, unit: str, largest: float) -> bool:
        """Whether :meth:`need` is no more than a presumption: nothing was said, nothing was seen."""
        return not largest and self.need(unit, 0.0) > self.needs.get(unit, 0.0)


class Shortage(NamedTuple):
    """Why one more call does not fit."""

    unit: str
    limit: float
    used: float
    """By calls that have ended, and whoever else spends from the same budget."""
    held: float
    """For calls under way."""
    needed: float
    """For this call, at most; 0 when that is not known."""
    why: str = ""
    """What else is to be said; empty mostly."""


class Account(Protocol):
    """A budget in force around some code."""

    scope: str
    action: Action
    hook: Callable[[Any], Any] | None
    degraded: bool

    def reserve(self, call: Call, *, force: bool = False) -> Shortage | dict[str, float]:
        """Hold what a call may use, and tell what is held; with ``force``, also without room."""

    def short(self, call: Call) -> Shortage | None:
        """What a call would lack; nothing is held or counted."""

    def settle(self, held: Mapping[str, float], used: Mapping[str, float]) -> None:
        """Give back what was held and charge what was used."""

    def extend(self) -> None:
        """Somebody allowed as much again."""

    def first_warning(self, about: str) -> bool:
        """True once for each ``about``."""

    def counts(self, unit: str) -> bool:
        """Whether the budget limits this unit."""

    @property
    def called(self) -> str:
        """The budget's name; empty for one set in code."""

    def spent(self, unit: str) -> tuple[float, float]:
        """The limit in ``unit``, and what is used of it."""


@dataclass(slots=True, eq=False)
class BudgetState:
    """One budget of this process. Guarded by ``lock``."""

    limits: dict[str, float]
    scope: str
    action: Action
    strict: bool = False
    hook: Callable[[Any], Any] | None = None
    called: str = ""
    degraded: bool = False
    started_s: float = field(default_factory=time.monotonic)
    waited_s: float = 0.0
    used: dict[str, float] = field(default_factory=dict)
    held: dict[str, float] = field(default_factory=dict)
    largest: dict[str, float] = field(default_factory=dict)
    """What one model call used at most so far: the estimate for calls that say nothing beforehand."""
    extended: int = 0
    warned: set[str] = field(default_factory=set)
    lock: Mutex = field(default_factory=Mutex)

    def reserve(self, call: Call, *, force: bool = False) -> Shortage | dict[str, float]:
        held: dict[str, float] = {}
        with self.lock:
            needs = self._expected(call)
            if not force and (found := self._shortage(call, needs)) is not None:
                return found
            for unit, amount in needs.items():
                if unit in _CALL_UNITS:
                    # A call that was made counts, however it ends.
                    self.used[unit] = self.used.get(unit, 0) + amount
                else:
                    self.held[unit] = self.held.get(unit, 0) + amount
                    held[unit] = amount
        return held

    def short(self, call: Call) -> Shortage | None:
        with self.lock:
            return self._shortage(call, self._expected(call))

    def _expected(self, call: Call) -> dict[str, float]:
        return {unit: call.need(unit, self.largest.get(unit, 0.0)) for unit in call.needs}

    def _shortage(self, call: Call, needs: Mapping[str, float]) -> Shortage | None:
        wall_s = time.monotonic() - self.started_s
        used = {**self.used, "wall_s": wall_s, "working_s": max(wall_s - self.waited_s, 0.0)}
        for unit, first_limit in self.limits.items():
            # Calls of another kind do not use this unit up, so they may go on.
            if unit in _CALL_UNITS and COUNTED.get(call.layer) != unit:
                continue
            limit = first_limit * (1 + self.extended)
            spent, held, need = used.get(unit, 0), self.held.get(unit, 0), needs.get(unit, 0)
            crosses = spent + held + need > limit + SLACK
            # Not strict, a call that is alone may go as long as anything is left; so may one of which nothing is known.
            strict = self.strict and not call.is_guess(unit, self.largest.get(unit, 0.0))
            if (
                spent >= limit - SLACK
                or spent + held >= limit - SLACK
                or (crosses and (held > 0 or strict))
            ):
                return Shortage(unit, limit, spent, held, 0 if unit in _CALL_UNITS else need)
        return None

    def settle(self, held: Mapping[str, float], used: Mapping[str, float]) -> None:
        with self.lock:
            for unit, amount in held.items():
                self.held[unit] = max(self.held.get(unit, 0) - amount, 0.0)
            for unit, said in used.items():
                amount = max(said, 0.0)
                self.used[unit] = self.used.get(unit, 0) + amount
                # What a tool cost says nothing about the next model call.
                if "tokens" in used:
                    self.largest[unit] = max(self.largest.get(unit, 0), amount)

    def extend(self) -> None:
        with self.lock:
            self.extended += 1

    def counts(self, unit: str) -> bool:
        return unit in self.limits

    def spent(self, unit: str) -> tuple[float, float]:
        return self.limits.get(unit, 0.0) * (1 + self.extended), self.used.get(unit, 0.0)

    def first_warning(self, about: str) -> bool:
        with self.lock:
            if about in self.warned:
                return False
            self.warned.add(about)
            return True

    def waited(self, seconds: float) -> None:
        """The agent waited for a person: no work."""
        with self.lock:
            self.waited_s += seconds


class Hold:
    """What one call holds in every budget around it, until it ends. Single operations on a dictionary need no lock."""

    __slots__ = ("_held", "due_usd")

    def __init__(self) -> None:
        self._held: dict[Account, dict[str, float]] = {}
        self.due_usd = 0.0
        """What is charged when the call ends, unless a cache answered it: the price of a tool."""

    def add(self, account: Account, held: Mapping[str, float]) -> None:
        """``account`` holds so much for the call."""
        self._held[account] = dict(held)

    def take(self, account: Account) -> dict[str, float]:
        """What was held in ``account``; the second time nothing."""
        return self._held.pop(account, {})

    @property
    def is_any(self) -> bool:
        """Whether anything is held at all."""
        return any(list(self._held.values()))

    @property
    def accounts(self) -> list[Account]:
        """Where something is still held."""
        return list(self._held)

    def release(self) -> None:
        """The call is over, whatever became of it."""
        used = {"usd": self.due_usd} if self.due_usd else {}
        for account in self.accounts:
            account.settle(self.take(account), used)
