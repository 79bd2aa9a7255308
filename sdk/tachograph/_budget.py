"""Limits on what a block of an agent's work may use, checked before every model, tool and step call.

``before_call`` and ``add_usage`` are the two hooks that decorators and client instruments call. The
budgets around a piece of code travel with its context, so calls made in tasks and threads count too.
"""

from __future__ import annotations

import functools
import inspect
import threading
import time
from collections.abc import Callable
from contextvars import Token
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, cast

from opentelemetry.context import Context, attach, detach, set_value

from tachograph import _orders, _prices
from tachograph._facts import begin, misused
from tachograph._frame import FRAME_KEY, Frame, frame_of
from tachograph._guard import guarded, say_rarely
from tachograph.errors import BudgetExceeded
from tachograph_schemas import names

F = TypeVar("F", bound=Callable[..., Any])
Action = Literal["stop", "warn"]
_CALL_UNITS = {"model": "model_calls", "tool": "tool_calls", "step": "steps"}


@dataclass(slots=True, eq=False)
class BudgetState:
    """One budget in force: its limits, and what was used under it. Guarded by ``lock``."""

    limits: dict[str, float]
    scope: str
    action: Action
    started_s: float = field(default_factory=time.monotonic)
    used: dict[str, float] = field(default_factory=dict)
    warned: set[str] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def charge(self, unit: str, amount: float) -> None:
        """Add to what was used."""
        with self.lock:
            self.used[unit] = self.used.get(unit, 0) + amount

    def exhausted(self, layer: names.Layer) -> tuple[str, float, float] | None:
        """The unit, limit and use that forbid one more call of ``layer``, or None."""
        with self.lock:
            used = {**self.used, "wall_s": time.monotonic() - self.started_s}
            for unit, limit in self.limits.items():
                # Calls of another kind do not use this unit up, so they may go on.
                counts = unit not in _CALL_UNITS.values() or _CALL_UNITS.get(layer) == unit
                if counts and used.get(unit, 0) >= limit:
                    return unit, limit, used.get(unit, 0)
        return None

    def first_warning(self, unit: str) -> bool:
        """True once for each unit."""
        with self.lock:
            if unit in self.warned:
                return False
            self.warned.add(unit)
            return True


def before_call(layer: names.Layer) -> None:
    """Check every budget around the current code and count one call of ``layer``.

    Called before a ``model``, ``tool`` or ``step`` span is opened; free when no budget is in force. A
    model call inside a model span is the same call seen twice and not counted.

    Raises:
        BudgetExceeded: the call must not be made. A ``budget`` span that says why was recorded.
        RunStopped: a person stopped the run. Waits while one paused it.
    """
    if _orders.in_force:
        _orders.obey(layer)
    frame = frame_of()
    unit = _CALL_UNITS.get(layer)
    if not frame.budgets or unit is None or (layer == "model" and frame.layer == "model"):
        return
    for state in frame.budgets:
        found = state.exhausted(layer)
        if found is not None:
            _report(state, *found)
    for state in frame.budgets:
        state.charge(unit, 1)


def _report(state: BudgetState, unit: str, limit: float, used: float) -> None:
    if state.action == "stop":
        error = BudgetExceeded(limit=limit, used=used, unit=unit, scope=state.scope)
        _record(state, unit, limit, used, "stopped", str(error))
        raise error
    if state.first_warning(unit):
        reason = f"{state.scope} budget of {limit:g} {unit} is used up ({used:g} used)"
        _record(state, unit, limit, used, "warned", reason)
        say_rarely(f"budget:{state.scope}:{unit}", "tachograph: %s", reason)


def _record(
    state: BudgetState, unit: str, limit: float | None, used: float | None, action: str, why: str
) -> None:
    begin(
        "budget",
        unit,
        {
            names.BUDGET_SCOPE: state.scope,
            names.BUDGET_UNIT: unit,
            names.BUDGET_LIMIT: limit,
            names.BUDGET_USED: used,
            names.BUDGET_ACTION: action,
            names.REASON: why,
        },
    ).end()


def add_usage(
    *,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    usd: float | None = None,
    model: str | None = None,
    provider: str | None = None,
    cache_read_tokens: int | None = None,
    cache_write_tokens: int | None = None,
) -> None:
    """Charge a finished model call to every budget around the current code. Never raises.

    Args:
        input_tokens: All prompt tokens, cache reads and writes included.
        output_tokens: All output tokens, reasoning included.
        usd: What the call cost, when the caller knows; otherwise it is priced by ``model``.
        model: The model that answered, for the price.
        provider: The provider's name, for the price.
        cache_read_tokens: The part of ``input_tokens`` read from a cache, for the price.
        cache_write_tokens: The part of ``input_tokens`` written to a cache, for the price.
    """
    budgets = frame_of().budgets
    if not budgets:
        return
    with guarded("charging a budget"):
        tokens = (input_tokens or 0) + (output_tokens or 0)
        wants_price = usd is None and any("usd" in state.limits for state in budgets)
        if wants_price:
            counted = _prices.Usage(
                input_tokens or 0, output_tokens or 0, cache_read_tokens, cache_write_tokens
            )
            usd = _prices.usd_of(model, provider, counted) if tokens else None
        for state in budgets:
            state.charge("tokens", tokens)
            if usd is not None:
                state.charge("usd", usd)
            elif "usd" in state.limits and state.first_warning("unpriced"):
                why = f"no price is known for {model or 'this model'}: its calls are not in this budget"
                _record(state, "usd", state.limits["usd"], state.used.get("usd"), "warned", why)
                say_rarely(f"unpriced:{model}", "tachograph: %s", why)


class Budget:
    """A budget as a block or a decorator; see :func:`budget`. A decorated call has one of its own."""

    def __init__(self, limits: dict[str, float], scope: str, action: Action) -> None:
        self._limits = limits
        self._scope = scope
        self._action = action
        self._entered: list[tuple[BudgetState, Token[Context]]] = []

    def used(self, unit: str) -> float:
        """What the innermost block entered so far has used, in ``unit``; 0 outside of one."""
        return self._entered[-1][0].used.get(unit, 0) if self._entered else 0

    def __enter__(self) -> Self:
        state = BudgetState(dict(self._limits), self._scope, self._action)
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

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

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
                with Budget(self._limits, self._scope, self._action):
                    return await function(*args, **kwargs)

            return cast(F, limited_async)

        @functools.wraps(function)
        def limited(*args: Any, **kwargs: Any) -> Any:
            with Budget(self._limits, self._scope, self._action):
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
    scope: str = "run",
    action: Action = "stop",
) -> Budget:
    """Limit what a block (``with``, ``async with``) or each call of a function may use.

    Checked before every model, tool and step call made inside, also in tasks and threads: when a
    limit is reached the next such call raises :class:`BudgetExceeded` and is not made. Works only while
    the SDK is on: with ``TACHO_DISABLED=1`` nothing is counted.

    Args:
        usd: US dollars, from the price list of the ``server`` extra or what ``usd`` usage reports.
        tokens: Input and output tokens together.
        model_calls: How many model calls.
        tool_calls: How many tool calls.
        steps: How many steps.
        wall_s: Seconds since the block was entered, waiting included.
        scope: What the budget is for, in the record: ``run``, ``task``, a customer ...
        action: ``stop`` raises; ``warn`` records once for each limit and goes on.

    A budget without limits limits nothing, and one below 0 has nothing to give; both are logged.
    """
    given = {
        "usd": usd,
        "tokens": tokens,
        "model_calls": model_calls,
        "tool_calls": tool_calls,
        "steps": steps,
        "wall_s": wall_s,
    }
    limits = {unit: float(limit) for unit, limit in given.items() if isinstance(limit, int | float)}
    if not limits or min(limits.values()) < 0:
        misused("budget", f"give at least one limit of 0 or more: {', '.join(given)}")
    if action not in {"stop", "warn"}:
        misused("budget", f"action {action!r} is neither stop nor warn")
    return Budget(limits, scope, "warn" if action == "warn" else "stop")
