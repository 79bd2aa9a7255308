"""Records the circuit breakers of purgatory: changes of state, and calls that an open one refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from purgatory.domain import model

from tachograph._failure import safe_text
from tachograph._guard import guarded
from tachograph._layers import breaker_event, breaker_refused
from tachograph.instruments._patch import LOCK, unwrap, wrap

_WORDS = {"opened": "open", "half-opened": "half_open"}


def install() -> None:
    """Record every breaker of the process, sync and async, whatever stores its state. Idempotent."""
    with LOCK:
        wrap(model.Context, "set_state", _recorded_change)
        wrap(model.OpenedState, "handle_new_request", _recorded_refusal)


def uninstall() -> None:
    """Leave purgatory alone."""
    with LOCK:
        unwrap(model.Context, "set_state")
        unwrap(model.OpenedState, "handle_new_request")


def _recorded_change(original: Callable[..., Any]) -> Callable[..., Any]:
    def set_state(self: Any, state: Any) -> None:
        before, failures = self.state, self.failure_count
        original(self, state)
        with guarded("recording a circuit breaker"):
            reason = f"{failures} failures in a row" if self.state == "opened" and failures else ""
            old, new = (_WORDS.get(word, word) for word in (before, self.state))
            breaker_event(safe_text(self.name), old, new, reason)

    return set_state


def _recorded_refusal(original: Callable[..., Any]) -> Callable[..., Any]:
    def handle_new_request(self: Any, context: Any) -> None:
        try:
            original(self, context)
        except model.OpenedState as refusal:
            # The state of a breaker that is open is the very exception that it raises.
            if refusal is self:
                with guarded("recording a refused call"):
                    breaker_refused(safe_text(context.name), reason=safe_text(refusal))
            raise

    return handle_new_request
