"""Limits on what a block of an agent's work may use: the public face. :mod:`._spending` holds them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import Token
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar, cast, get_args

from opentelemetry.context import Context, attach, detach, set_value

from tachograph._blocks import AsyncToo
from tachograph._budget_state import Action, BudgetState
from tachograph._facts import misused
from tachograph._frame import FRAME_KEY, Frame, frame_of
from tachograph.errors import BudgetExceeded
from tachograph_schemas.budgets import UNITS

F = TypeVar("F", bound=Callable[..., Any])
Hook = Callable[[BudgetExceeded], Any]


class Budget(AsyncToo):
    """A budget as a block or a decorator; see :func:`budget`. A decorated call has one of its own."""

    def __init__(self, make: Callable[[], BudgetState]) -> None:
        self._make = make
        self._entered: list[tuple[BudgetState, Token[Context]]] = []

    def used(self, unit: str) -> float:
        """What the innermost block entered so far has used, in ``unit``; 0 outside of one."""
        return self._entered[-1][0].used.get(unit, 0) if self._entered else 0

    def __enter__(self) -> Self:
        state = self._make()
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
    strict: bool = False,
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
        strict: Also a model call that is alone has to fit whole, by its estimate.
        on_reached: Called once with what ``BudgetExceeded`` would tell, for ``degrade``.

    A budget without limits limits nothing, and one below 0 has nothing to give; both are logged.
    """
    amounts = (usd, tokens, model_calls, tool_calls, steps, wall_s, working_s)
    given = dict(zip(UNITS, amounts, strict=True))
    limits = {unit: float(limit) for unit, limit in given.items() if isinstance(limit, int | float)}
    if not limits or min(limits.values()) < 0:
        misused("budget", f"give at least one limit of 0 or more: {', '.join(given)}")
    if action not in get_args(Action):
        misused("budget", f"action {action!r} is none of {', '.join(get_args(Action))}")
        action = "stop"
    return Budget(lambda: BudgetState(dict(limits), scope, action, strict=strict, hook=on_reached))
