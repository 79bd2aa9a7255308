"""Records the circuit breakers of pybreaker: changes of state, and calls that an open one refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pybreaker

from tachograph._failure import safe_text, type_name
from tachograph._guard import guarded
from tachograph._layers import breaker_event, breaker_refused
from tachograph.instruments._patch import LOCK, unwrap, wrap


def install() -> None:
    """Record every breaker of the process, those that exist already too. Idempotent."""
    with LOCK:
        wrap(pybreaker.CircuitBreaker, "_create_new_state", _recorded_change)
        wrap(pybreaker.CircuitOpenState, "before_call", _recorded_refusal)


def uninstall() -> None:
    """Leave pybreaker alone."""
    with LOCK:
        unwrap(pybreaker.CircuitBreaker, "_create_new_state")
        unwrap(pybreaker.CircuitOpenState, "before_call")


def _recorded_change(original: Callable[..., Any]) -> Callable[..., Any]:
    def _create_new_state(self: Any, new_state: Any, *args: Any, **kwargs: Any) -> Any:
        made = original(self, new_state, *args, **kwargs)
        # Without a state before it, the breaker is new: nothing changed.
        before = args[0] if args else kwargs.get("prev_state")
        if before is not None:
            with guarded("recording a circuit breaker"):
                breaker_event(_name_of(self), before.name, made.name, _reason(self, made.name))
        return made

    return _create_new_state


def _recorded_refusal(original: Callable[..., Any]) -> Callable[..., Any]:
    def before_call(self: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(self, func, *args, **kwargs)
        except pybreaker.CircuitBreakerError as error:
            # Had its time been over, another state would be the breaker's now, and the call made.
            if self._breaker._state is self:
                with guarded("recording a refused call"):
                    name = getattr(func, "__qualname__", None) or type_name(func)
                    breaker_refused(_name_of(self._breaker), name, reason=safe_text(error))
            raise

    return before_call


def _name_of(breaker: Any) -> str:
    return safe_text(breaker.name or "breaker")


def _reason(breaker: Any, state: str) -> str:
    failures = breaker.fail_counter
    return f"{failures} failures in a row" if state == pybreaker.STATE_OPEN and failures else ""
