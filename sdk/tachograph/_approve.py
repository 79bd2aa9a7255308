"""A person's decision on a proposed action, with how long it took."""

from __future__ import annotations

import inspect
import json
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args

from tachograph import _control, _inbox
from tachograph._call import through, through_async
from tachograph._facts import fit, one_of
from tachograph._failure import safe_text
from tachograph._layers import Risk
from tachograph._spans import SpanHandle, open_span
from tachograph._spending import waited
from tachograph._threads import wrap
from tachograph.errors import RunStopped
from tachograph_schemas import names

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided. True in a condition when approved."""

    approved: bool
    approver: str = ""
    reason: str = ""
    waiting_ns: int = 0
    """Nanoseconds between request and decision."""
    timed_out: bool = False
    params: Any = None
    """The arguments to go on with: those proposed, or what the approver made of them."""
    edited: bool = False
    """Whether the approver changed them."""

    def __bool__(self) -> bool:
        return self.approved


Approver = Callable[[str, Any], Decision | bool]
"""Asks a person: takes the request and its context, returns the decision. May take long."""
AsyncApprover = Callable[[str, Any], Awaitable[Decision | bool] | Decision | bool]
Inbox = Literal["inbox"]
"""People, through the collector."""

_NOBODY = Decision(approved=False, reason="no approver is configured")


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked for, as ``approve`` was given it."""

    text: str
    params: Any
    context: Any
    reason: str
    risk: str
    approvers_needed: int
    timeout_s: float | None

    @property
    def shown(self) -> Any:
        """What the person decides on."""
        if self.params is None or self.context is None:
            return self.context if self.params is None else self.params
        return {"params": self.params, "context": self.context}


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

    Returns:
        The decision. Refused when there is no approver, the time is over, or the collector cannot be
        reached until then. Blocks until then; what the approver raises comes out unchanged.
    """
    asked = _asked(request, params, context, reason, risk, approvers_needed, timeout_s)
    handle = _open(asked)
    started_ns = time.monotonic_ns()
    try:
        with handle.active():
            given = {"request": request, "params": params, "context": context}
            answer, waited_ns = through(
                "approval", "approve", given, _ask_timed, asked, _chosen(approver), handle
            )
    except BaseException as error:
        _fail(handle, error, started_ns)
        raise
    return _close(handle, asked, answer, approver, waited_ns)


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
) -> Decision:
    """:func:`approve` for async code: ``approver`` may be async and is cancelled when time is over."""
    asked = _asked(request, params, context, reason, risk, approvers_needed, timeout_s)
    handle = _open(asked)
    started_ns = time.monotonic_ns()
    try:
        with handle.active():
            given = {"request": request, "params": params, "context": context}
            answer, waited_ns = await through_async(
                "approval",
                "approve",
                given,
                _ask_async_timed,
                asked,
                _chosen(approver),
                handle,
            )
    except BaseException as error:
        _fail(handle, error, started_ns)
        raise
    return _close(handle, asked, answer, approver, waited_ns)


def _asked(
    request: str,
    params: Any,
    context: Any,
    reason: str,
    risk: str | None,
    approvers_needed: int,
    timeout_s: float | None,
) -> _Request:
    danger = one_of("approve", "risk", risk, get_args(Risk))
    known = danger if danger in get_args(Risk) else ""
    said = safe_text(request), safe_text(reason)
    return _Request(said[0], params, context, said[1], known or "", approvers_needed, timeout_s)


def _chosen(approver: A | Inbox | None) -> A | Inbox | None:
    if approver is None:
        line = _control.line()
        return "inbox" if line is not None and line.approver == "inbox" else None
    return approver


_Answer = Decision | bool | None


def _ask_timed(asked: _Request, approver: Any, handle: SpanHandle) -> tuple[_Answer, int]:
    """The answer, and how many nanoseconds it took."""
    started_ns = time.monotonic_ns()
    return _ask(asked, approver, handle), time.monotonic_ns() - started_ns


async def _ask_async_timed(
    asked: _Request, approver: Any, handle: SpanHandle
) -> tuple[_Answer, int]:
    started_ns = time.monotonic_ns()
    answer = await _ask_async(asked, approver, handle)
    return answer, time.monotonic_ns() - started_ns


def _ask(
    asked: _Request, approver: Approver | Inbox | None, handle: SpanHandle
) -> Decision | bool | None:
    if approver is None:
        return _NOBODY
    if approver == "inbox":
        found = _question(asked, handle)
        if isinstance(found, Decision):
            return found
        return _answered(asked, _inbox.ask(*found), handle)
    if asked.timeout_s is None:
        return approver(asked.text, asked.shown)
    ask = approver
    answers: list[Decision | bool] = []
    errors: list[BaseException] = []

    def wait_for_person() -> None:
        try:
            answers.append(ask(asked.text, asked.shown))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=wrap(wait_for_person), name="tachograph-approval", daemon=True)
    thread.start()
    thread.join(asked.timeout_s)
    if errors:
        raise errors[0]
    return answers[0] if answers else None


async def _ask_async(
    asked: _Request, approver: AsyncApprover | Inbox | None, handle: SpanHandle
) -> Decision | bool | None:
    if approver is None:
        return _NOBODY
    if approver == "inbox":
        found = _question(asked, handle)
        if isinstance(found, Decision):
            return found
        return _answered(asked, await _inbox.ask_async(*found), handle)
    answer = approver(asked.text, asked.shown)
    if not inspect.isawaitable(answer):
        return answer
    import asyncio

    deadline = asyncio.timeout(asked.timeout_s)
    try:
        async with deadline:
            return await answer
    except TimeoutError:
        if not deadline.expired():
            raise  # the approver's own timeout is an error of its own
        return None


def _question(
    asked: _Request, handle: SpanHandle
) -> tuple[_control.Line, _inbox.Question] | Decision:
    line = _control.line()
    if line is None:
        return Decision(approved=False, reason="there is no collector: call tacho.init()")
    found = _inbox.question(
        line,
        asked.text,
        params=asked.params,
        context=asked.context,
        reason=asked.reason,
        risk=asked.risk,
        approvers_needed=asked.approvers_needed,
        timeout_s=asked.timeout_s,
        span_id=handle.span_id,
    )
    if isinstance(found, str):
        return Decision(approved=False, reason=found)
    return line, found


def _answered(asked: _Request, reply: _inbox.Reply, handle: SpanHandle) -> Decision:
    handle.set({names.APPROVAL_ID: reply.id or None})
    edited = reply.edited_params is not None
    params = asked.params
    if reply.edited_params is not None:
        params = json.loads(reply.edited_params)
        handle.set_json(names.APPROVAL_EDITED, params)
    return Decision(
        approved=reply.approved,
        approver=reply.approver,
        reason=reply.reason,
        waiting_ns=reply.waiting_ns,
        timed_out=reply.timed_out,
        params=params,
        edited=edited,
    )


def _open(asked: _Request) -> SpanHandle:
    attributes = fit({names.APPROVAL_REQUEST: asked.text, names.APPROVAL_RISK: asked.risk})
    handle = open_span("approval", "approval", attributes)
    if asked.shown is not None:
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


def _close(
    handle: SpanHandle, asked: _Request, answer: _Answer, approver: object, waiting_ns: int
) -> Decision:
    if answer is None:
        decision = Decision(approved=False, reason="nobody decided in time", timed_out=True)
    elif isinstance(answer, Decision):
        decision = answer
    else:
        decision = Decision(approved=bool(answer))
    who = safe_text(decision.approver or getattr(approver, "__name__", ""))
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
