"""A person's decision on a proposed action, with how long it took."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, TypeVar, get_args

from tachograph import _control
from tachograph._asking import (
    Answer,
    Approver,
    AsyncApprover,
    Decision,
    Inbox,
    Request,
    ask_async_timed,
    ask_timed,
)
from tachograph._call import through, through_async
from tachograph._facts import fit, misused, one_of
from tachograph._failure import safe_text
from tachograph._given import Unreadable, is_a, is_finite, number, read, seconds, text, truth
from tachograph._inbox import UnansweredError
from tachograph._layers import Risk, record_stop
from tachograph._spans import SpanHandle, open_span
from tachograph._spending import waited
from tachograph.errors import RunStopped
from tachograph_schemas import names

A = TypeVar("A")
MOST_APPROVERS = 20
"""Of one question; the collector takes no more."""


def approve(
    request: str,
    *,
    params: Any = None,
    context: Any = None,
    reason: str = "",
    risk: Risk | None = None,
    approver: Approver | Inbox | None = None,
    approvers_needed: int = 1,
    timeout_s: float | None = None,
    stop_after_s: float | None = None,
) -> Decision:
    """Ask a person for approval and record request, arguments, decision, approver, reason and waiting.

    Args:
        request: What should be allowed, in a sentence.
        params: The arguments of the action. The decision holds for exactly these; in the inbox a person
            may change them, and ``decision.params`` is what to go on with.
        context: What else the person is shown to decide on; frozen as JSON.
        reason: Why the agent wants to do it.
        risk: ``low medium high critical``.
        approver: ``"inbox"`` asks people through the collector; a function is called with ``(request,
            context)`` and returns a :class:`Decision` or a bool. Default: ``TACHO_APPROVER``.
        approvers_needed: How many different people have to approve in the inbox; one refusal is enough.
        timeout_s: Seconds to wait; default for the inbox ``TACHO_APPROVAL_TIMEOUT_S``. A function then
            runs in a thread of its own, which is left to itself when the time is over.

        stop_after_s: Seconds to wait for the inbox before the run stops; the request goes on waiting, and the
            run that is taken up with ``@tacho.run(resume=...)`` gets the answer.

    Returns:
        The decision. Refused when there is no approver, the time is over, or the collector cannot be
        reached until then. Blocks until then; what the approver raises comes out unchanged.

    Raises:
        RunStopped: ``stop_after_s`` is over.
    """
    times_s = timeout_s, stop_after_s
    question = asked(request, params, context, reason, risk, approvers_needed, *times_s)
    return decide(question, approver)


async def approve_async(
    request: str,
    *,
    params: Any = None,
    context: Any = None,
    reason: str = "",
    risk: Risk | None = None,
    approver: AsyncApprover | Inbox | None = None,
    approvers_needed: int = 1,
    timeout_s: float | None = None,
    stop_after_s: float | None = None,
) -> Decision:
    """:func:`approve` for async code: ``approver`` may be async and is cancelled when time is over."""
    times_s = timeout_s, stop_after_s
    question = asked(request, params, context, reason, risk, approvers_needed, *times_s)
    return await decide_async(question, approver)


def decide(question: Request, approver: Approver | Inbox | None) -> Decision:
    """:func:`approve` for a question that is made already."""
    handle = _open(question)
    started_ns = time.monotonic_ns()
    try:
        with handle.active():
            answer, waited_ns = through(
                "approval",
                "approve",
                question.given,
                ask_timed,
                question,
                _chosen(approver),
                handle,
            )
    except BaseException as error:
        _fail(handle, error, started_ns)
        raise
    return _close(handle, question, answer, approver, waited_ns)


async def decide_async(question: Request, approver: AsyncApprover | Inbox | None) -> Decision:
    """:func:`approve_async` for a question that is made already."""
    handle = _open(question)
    started_ns = time.monotonic_ns()
    try:
        with handle.active():
            answer, waited_ns = await through_async(
                "approval",
                "approve",
                question.given,
                ask_async_timed,
                question,
                _chosen(approver),
                handle,
            )
    except BaseException as error:
        _fail(handle, error, started_ns)
        raise
    return _close(handle, question, answer, approver, waited_ns)


def asked(
    request: str,
    params: Any,
    context: Any,
    reason: str,
    risk: str | None,
    approvers_needed: int,
    timeout_s: float | None,
    stop_after_s: float | None = None,
    *,
    requester_may_approve: bool = False,
    withheld: bool = False,
) -> Request:
    """A question, made of what an agent gave to :func:`approve`.

    ``requester_may_approve``: the person that the run works for may be the one. ``withheld``: the arguments stay
    out of record and inbox; the decision still holds for these alone.
    """
    danger = one_of("approve", "risk", risk, get_args(Risk))
    return Request(
        safe_text(request),
        params,
        context,
        safe_text(reason),
        danger if danger in get_args(Risk) and danger else "",
        _people(approvers_needed),
        _wait_s("timeout_s", timeout_s),
        requester_may_approve,
        withheld,
        _wait_s("stop_after_s", stop_after_s),
    )


def _people(needed: object) -> int:
    found = number(needed)
    if found is not None and is_finite(found):
        return int(max(1, min(found, MOST_APPROVERS)))
    # What cannot be understood must not let fewer people decide than somebody wanted.
    misused("approve", f"approvers_needed is {text(needed)}, which is no number")
    return MOST_APPROVERS


def _wait_s(name: str, given: object) -> float | None:
    found = seconds(given)
    if found is None and given is not None:
        misused("approve", f"{name} is {text(given)}; it should be seconds")
    return found


def _chosen(approver: A | Inbox | None) -> A | Inbox | None:
    if callable(approver):
        return approver
    if approver is None:
        line = _control.line()
        return "inbox" if line is not None and line.approver == "inbox" else None
    if text(approver) == "inbox":
        return "inbox"
    misused("approve", "approver is neither a function nor 'inbox': nobody is asked")
    return None


def _open(asked: Request) -> SpanHandle:
    attributes = fit({names.APPROVAL_REQUEST: asked.text, names.APPROVAL_RISK: asked.risk})
    handle = open_span("approval", "approval", attributes)
    if asked.shown is not None and not asked.withheld:
        handle.set_input(asked.shown)
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
    if isinstance(error, UnansweredError):
        record_stop(error.rule, error.reason, kind="approval", needs=error.needs)


def _close(
    handle: SpanHandle, asked: Request, answer: Answer, approver: object, waiting_ns: int
) -> Decision:
    if answer is None:
        decision = Decision(approved=False, reason="nobody decided in time", timed_out=True)
    elif type(answer) is Decision:
        decision = answer
    elif is_a(answer, Awaitable):
        # Not awaited it is true, and a yes that nobody gave.
        decision = Decision(approved=False, reason="an async approver cannot answer in sync code")
    else:
        decision = Decision(approved=truth(answer) is True)
    who = safe_text(decision.approver) or _name_of(approver)
    if decision.params is None and not decision.edited:
        decision = replace(decision, params=asked.params)
    # An approver that asked through another system knows better how long the person took.
    decision = replace(decision, approver=who, waiting_ns=decision.waiting_ns or waiting_ns)
    waited(decision.waiting_ns / 1e9)
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


def _name_of(approver: object) -> str:
    found = read(getattr, approver, "__name__", "")
    return "" if isinstance(found, Unreadable) else safe_text(found)
