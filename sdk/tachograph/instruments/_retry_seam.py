"""What tenacity does between two attempts, for everything that is built on it.

A retry is a span from the failure it answers to the end of the attempt it leads to: the wait, and then the
outcome. The seams are the decision (``iter``) and the outcome of an attempt (``set_result``), which all forms of
tenacity share: decorated functions, ``Retrying(...)(function)``, loops of attempts, sync and async.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import Any, Final

import tenacity

from tachograph._facts import begin
from tachograph._failure import type_name
from tachograph._guard import guarded
from tachograph._spans import SpanHandle
from tachograph.instruments import _told_elsewhere
from tachograph.instruments._patch import LOCK, unwrap, wrap
from tachograph_schemas import names

STAMINA_NAME: Final = "__tachograph_retry_of__"
"""On the callback of a loop of stamina's: what it retries."""
_PENDING: Final = "__tachograph_retry__"
_LIBRARIES = ("tenacity", "stamina", "tachograph", "contextlib")

_users: set[str] = set()


def install_for(user: str) -> None:
    """Record retries for the hook ``user``: all for ``tenacity``, for ``stamina`` its own."""
    with LOCK:
        _users.add(user)
        wrap(tenacity.BaseRetrying, "iter", _recorded_decision)
        wrap(tenacity.AsyncRetrying, "iter", _recorded_async_decision)
        wrap(tenacity.RetryCallState, "set_result", _recorded_result)


def uninstall_for(user: str) -> None:
    """Leave the seams alone when no hook needs them any more."""
    with LOCK:
        _users.discard(user)
        if not _users:
            unwrap(tenacity.BaseRetrying, "iter")
            unwrap(tenacity.AsyncRetrying, "iter")
            unwrap(tenacity.RetryCallState, "set_result")


def _recorded_decision(original: Callable[..., Any]) -> Callable[..., Any]:
    def decide(self: Any, retry_state: Any) -> Any:
        try:
            decision = original(self, retry_state)
        except BaseException:
            _decided(retry_state, None, failed=True)
            raise
        _decided(retry_state, decision)
        return decision

    return decide


def _recorded_async_decision(original: Callable[..., Any]) -> Callable[..., Any]:
    async def decide(self: Any, retry_state: Any) -> Any:
        try:
            decision = await original(self, retry_state)
        except BaseException:
            _decided(retry_state, None, failed=True)
            raise
        _decided(retry_state, decision)
        return decision

    return decide


def _recorded_result(original: Callable[..., Any]) -> Callable[..., Any]:
    def set_result(self: Any, val: Any) -> None:
        original(self, val)
        with guarded("recording the outcome of a retry"):
            # Where a result may be refused, the decision on it comes next. Else nothing may come: a loop
            # that is left from inside its last attempt is not asked again.
            if isinstance(self.retry_object.retry, tenacity.retry_if_exception):
                _close(self, "succeeded")

    return set_result


def _decided(state: Any, decision: Any, *, failed: bool = False) -> None:
    with guarded("recording a retry"):
        outcome = state.outcome
        if outcome is None:
            return
        if isinstance(decision, tenacity.DoSleep):
            _close(state, "failed")
            _open(state, float(decision))
        else:
            _close(state, "gave_up" if failed or outcome.failed else "succeeded")


def _open(state: Any, wait_s: float) -> None:
    named = getattr(state.retry_object.before_sleep, STAMINA_NAME, None)
    if named is None and "tenacity" not in _users:
        return
    of = named or _name_of(state.fn)
    if of is None:
        return
    facts = {
        names.RETRY_OF: of,
        names.RETRY_ATTEMPT: state.attempt_number,
        names.RETRY_WAIT_MS: wait_s * 1_000,
    }
    handle = begin("retry", of, facts)
    if not handle.recording:
        return
    error = state.outcome.exception()
    if error is not None:
        handle.record_cause(error)
    else:
        handle.set({names.REASON: "its result was not accepted"})
    setattr(state, _PENDING, handle)
    # A loop may be left at any time; then what is known by then is all there is.
    weakref.finalize(state, handle.end).atexit = False


def _close(state: Any, outcome: str) -> None:
    handle: SpanHandle | None = state.__dict__.pop(_PENDING, None)
    if handle is not None:
        handle.set({names.RETRY_OUTCOME: outcome})
        handle.end()


def _name_of(function: Any) -> str | None:
    """What is retried; None for a loop that another hook records."""
    if function is not None:
        name = getattr(function, "__qualname__", None)
        return name if isinstance(name, str) else type_name(function)
    # A loop of attempts has no function; what it stands in has.
    frame = sys._getframe(1)
    while frame.f_back is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package not in _LIBRARIES:
            return None if package in _told_elsewhere.LOOPS else frame.f_code.co_qualname
        frame = frame.f_back
    return frame.f_code.co_qualname
