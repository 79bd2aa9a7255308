"""Limits on what a block of an agent's work may use: the public face. :mod:`._spending` holds them."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from contextvars import Token
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar, cast, get_args

from opentelemetry.context import Context, attach, detach, set_value

from tachograph import _price_list
from tachograph._blocks import AsyncToo
from tachograph._budget_state import Action, BudgetState
from tachograph._facts import misused
from tachograph._frame import FRAME_KEY, Frame, frame_of
from tachograph._given import number, text, truth
from tachograph.errors import BudgetExceeded
from tachograph_schemas.budgets import UNITS

F = TypeVar("F", bound=Callable[..., Any])
Hook = Callable[[BudgetExceeded], Any]
_MOST = 1e300
"""In any unit: what a float holds, and as good as no limit."""


class Budget(AsyncToo):
    """A budget as a block or a decorator; see :func:`budget`. A decorated call has one of its own."""

    def __init__(self, make: Callable[[], BudgetState]) -> None:
        self._make = make
        self._entered: list[tuple[BudgetState, Token[Context]]] = []

    def used(self, unit: str) -> float:
        """What the innermost block entered so far has used, in ``unit``; 0 outside of one."""
        return self._entered[-1][0].used.get(text(unit) or "", 0) if self._entered else 0

    def __enter__(self) -> Self:
        state = self._make()
        if state.counts("usd"):
            _price_list.want()
        frame: Frame = frame_of()
        inside = replace(frame, budgets=(*frame.budgets, state))
        self._entered.append((state, attach(set_value(FRAME_KEY, inside))))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _, token = self._entered.pop()
        detach(token)

    def __call__(self, function: F) -> F:
        """Give every call of ``function`` a budget of its own.

        Raises:
            TypeError: for generators, whose body runs in pieces between other code.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("tacho.budget cannot decorate a generator; use `with` inside it")
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def limited_async(*args: Any, **kwargs: Any) -> Any:
                with Budget(self._make):
                    return await function(*args, **kwargs)

            return cast(F, limited_async)

        @functools.wraps(function)
        def limited(*args: Any, **kwargs: Any) -> Any:
            with Budget(self._make):
                return function(*args, **kwargs)

        return cast(F, limited)


def budget(
    *,
    usd: float | None = None,
    tokens: int | None = None,
    model_calls: int | None = None,
    tool_calls: int | None = None,
    steps: int | None = None,
    wall_s: float | None = None,
    working_s: float | None = None,
    scope: str = "run",
    action: Action = "stop",
    strict: bool = True,
    on_reached: Hook | None = None,
) -> Budget:
    """Limit what a block (``with``, ``async with``) or each call of a function may use.

    Checked before every model, tool and step call made inside, also in tasks and threads: when a limit is
    reached the next such call raises :class:`BudgetExceeded` and is not made. A model call holds what its request
    may use at most until it ends, so that calls at the same time cannot overspend together. Works only while
    the SDK is on: with ``TACHO_DISABLED=1`` nothing is counted.

    Args:
        usd: US dollars, from the price list of the ``server`` extra or what ``usd`` usage reports.
        tokens: Input and output tokens together.
        model_calls: How many model calls.
        tool_calls: How many tool calls.
        steps: How many steps.
        wall_s: Seconds since the block was entered, waiting included.
        working_s: The same without the time spent waiting for people.
        scope: What the budget is for, in the record: ``run``, ``task``, a customer ...
        action: ``stop`` raises; ``ask`` asks the inbox, and a yes allows as much again; ``degrade`` calls
            ``on_reached``, makes :func:`degraded` true and goes on; ``warn`` records once for each limit.
        strict: A model call has to fit whole, by its estimate, into what is left. False: one that is alone may be
            made as long as anything is left, and may cross the limit by what it costs.
        on_reached: Called once with what ``BudgetExceeded`` would tell, for ``degrade``.

    A budget without limits limits nothing; one below 0, or no number, has nothing to give. All of this is logged.
    """
    amounts = (usd, tokens, model_calls, tool_calls, steps, wall_s, working_s)
    limits = _limits(dict(zip(UNITS, amounts, strict=True)))
    chosen: Action = next((word for word in get_args(Action) if word == text(action)), "stop")
    if chosen != text(action):
        misused("budget", f"action {text(action)!r} is none of {', '.join(get_args(Action))}")
    if on_reached is not None and not callable(on_reached):
        misused("budget", "on_reached is no function")
        on_reached = None
    about, is_strict = text(scope) or "run", truth(strict) is not False
    return Budget(
        lambda: BudgetState(dict(limits), about, chosen, strict=is_strict, hook=on_reached)
    )


def _limits(given: Mapping[str, object]) -> dict[str, float]:
    found = {unit: number(limit) for unit, limit in given.items() if limit is not None}
    unread = [
        unit
        for unit, limit in found.items()
        if limit is None or (type(limit) is float and math.isnan(limit))
    ]
    if unread:
        # Whoever gives one means to limit something; without a limit it would be found out by the bill.
        misused(
            "budget",
            f"{', '.join(unread)}: no number, so it is taken for 0 and nothing may be used",
        )
    limits = {
        unit: 0.0 if limit is None or unit in unread else float(max(min(limit, _MOST), -1.0))
        for unit, limit in found.items()
    }
    if not limits or min(limits.values()) < 0:
        misused("budget", f"give at least one limit of 0 or more: {', '.join(given)}")
    return limits
