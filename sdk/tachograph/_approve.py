"""A person's decision on a proposed action, with how long it took."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from tachograph._call import through, through_async
from tachograph._facts import fit
from tachograph._failure import safe_text
from tachograph._spans import SpanHandle, open_span
from tachograph._threads import wrap
from tachograph.errors import RunStopped
from tachograph_schemas import names


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided. True in a condition when approved."""

    approved: bool
    approver: str = ""
    reason: str = ""
    waiting_ns: int = 0
    """Nanoseconds between request and decision."""
    timed_out: bool = False

    def __bool__(self) -> bool:
        return self.approved


Approver = Callable[[str, Any], Decision | bool]
"""Asks a person: takes the request and its context, returns the decision. May take long."""
AsyncApprover = Callable[[str, Any], Awaitable[Decision | bool] | Decision | bool]

_NOBODY = Decision(approved=False, reason="no approver is configured")


def approve(
    request: str,
    *,
    context: Any = None,
    approver: Approver | None = None,
    timeout_s: float | None = None,
) -> Decision:
    """Ask a person for approval and record request, context, decision, approver, reason and waiting.

    Args:
        request: What should be allowed, in a sentence.
        context: What the person is shown to decide on; frozen as JSON.
        approver: Called with ``(request, context)``; returns a :class:`Decision` or a bool.
        timeout_s: Seconds to wait; the approver then runs in a thread of its own, which is left to
            itself when the time is over.

    Returns:
        The decision. Refused when there is no approver or the time is over. Blocks until then; what the
        approver raises comes out unchanged.
    """
    handle = _open(request, context)
    started_ns = time.monotonic_ns()
    try:
        with handle.active():
            given = {"request": request, "context": context}
            answer, waited_ns = through(
                "approval", "approve", given, _ask_timed, request, context, approver, timeout_s
            )
    except BaseException as error:
        _fail(handle, error, started_ns)
        raise
    return _close(handle, answer, approver, waited_ns)


async def approve_async(
    request: str,
    *,
    context: Any = None,
    approver: AsyncApprover | None = None,
    timeout_s: float | None = None,
) -> Decision:
    """:func:`approve` for async code: ``approver`` may be async and is cancelled when time is over."""
    handle = _open(request, context)
    started_ns = time.monotonic_ns()
    try:
        with handle.active():
            given = {"request": request, "context": context}
            answer, waited_ns = await through_async(
                "approval",
                "approve",
                given,
                _ask_async_timed,
                request,
                context,
                approver,
                timeout_s,
            )
    except BaseException as error:
        _fail(handle, error, started_ns)
        raise
    return _close(handle, answer, approver, waited_ns)


_Answer = Decision | bool | None


def _ask_timed(
    request: str, context: Any, approver: Approver | None, timeout_s: float | None
) -> tuple[_Answer, int]:
    """The answer, and how many nanoseconds it took."""
    started_ns = time.monotonic_ns()
    return _ask(request, context, approver, timeout_s), time.monotonic_ns() - started_ns


async def _ask_async_timed(
    request: str, context: Any, approver: AsyncApprover | None, timeout_s: float | None
) -> tuple[_Answer, int]:
    started_ns = time.monotonic_ns()
    answer = await _ask_async(request, context, approver, timeout_s)
    return answer, time.monotonic_ns() - started_ns


def _ask(
    request: str, context: Any, approver: Approver | None, timeout_s: float | None
) -> Decision | bool | None:
    if approver is None:
        return _NOBODY
    if timeout_s is None:
        return approver(request, context)
    ask = approver
    answers: list[Decision | bool] = []
    errors: list[BaseException] = []

    def wait_for_person() -> None:
        try:
            answers.append(ask(request, context))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=wrap(wait_for_person), name="tachograph-approval", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if errors:
        raise errors[0]
    return answers[0] if answers else None


async def _ask_async(
    request: str, context: Any, approver: AsyncApprover | None, timeout_s: float | None
) -> Decision | bool | None:
    if approver is None:
        return _NOBODY
    answer = approver(request, context)
    if not inspect.isawaitable(answer):
        return answer
    deadline = asyncio.timeout(timeout_s)
    try:
        async with deadline:
            return await answer
    except TimeoutError:
        if not deadline.expired():
            raise  # the approver's own timeout is an error of its own
        return None


def _open(request: str, context: Any) -> SpanHandle:
    handle = open_span("approval", "approval", fit({names.APPROVAL_REQUEST: request}))
    if context is not None:
        handle.set_input(context)
    return handle


def _fail(handle: SpanHandle, error: BaseException, started_ns: int) -> None:
    # A run that stops instead of waiting is asked about again when it is taken up: nobody has decided yet.
    paused = issubclass(type(error), RunStopped)
    handle.set(
        {
            names.WAITING_NS: time.monotonic_ns() - started_ns,
            names.APPROVAL_DECISION: "pending" if paused else None,
        }
    )
    handle.record_error(error)
    handle.end()


def _close(handle: SpanHandle, answer: _Answer, approver: object, waiting_ns: int) -> Decision:
    if answer is None:
        decision = Decision(approved=False, reason="nobody decided in time", timed_out=True)
    elif isinstance(answer, Decision):
        decision = answer
    else:
        decision = Decision(approved=bool(answer))
    who = safe_text(decision.approver or getattr(approver, "__name__", ""))
    # An approver that asked through another system knows better how long the person took.
    decision = replace(decision, approver=who, waiting_ns=decision.waiting_ns or waiting_ns)
    word = "approved" if decision.approved else "refused"
    handle.set(
        {
            names.APPROVAL_DECISION: "timeout" if decision.timed_out else word,
            names.APPROVAL_APPROVER: who or None,
            names.REASON: safe_text(decision.reason) or None,
            names.WAITING_NS: decision.waiting_ns,
        }
    )
    handle.end()
    return decision
