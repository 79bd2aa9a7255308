"""What is asked, whom, and what comes back: a function of the agent's own, or people through the collector."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from tachograph import _control, _inbox
from tachograph._edits import merged
from tachograph._frame import frame_of
from tachograph._given import is_a
from tachograph._spans import SpanHandle
from tachograph._threads import wrap
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

NOBODY = Decision(approved=False, reason="no approver is configured")


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, as ``approve`` was given it."""

    text: str
    params: Any
    context: Any
    reason: str
    risk: str
    approvers_needed: int
    timeout_s: float | None
    requester_may_approve: bool = False
    withheld: bool = False
    """Whether the arguments are not to be recorded: a person decides on the sentence alone."""
    stop_after_s: float | None = None
    """Seconds after which the run stops instead of waiting for the inbox."""
    hurried: bool = False
    """Whether what the run may still wait is less than the question's own time."""

    @property
    def shown(self) -> Any:
        """What the person decides on."""
        if self.params is None or self.context is None:
            return self.context if self.params is None else self.params
        return {"params": self.params, "context": self.context}

    @property
    def given(self) -> dict[str, Any]:
        """What tells this question from others when a run is replayed."""
        return {"request": self.text, "params": self.params, "context": self.context}


_NO_LONGER = "the run has waited for people as long as it may (TACHO_APPROVAL_BUDGET_S)"
Answer = Decision | bool | None
"""``None``: nobody answered in time."""


def ask_timed(asked: Request, approver: Any, handle: SpanHandle) -> tuple[Answer, int]:
    """The answer, and how many nanoseconds it took."""
    started_ns = time.monotonic_ns()
    limited = _limited(asked)
    if isinstance(limited, Decision):
        return limited, 0
    with _waiting():
        answer = _late(limited, _ask(limited, approver, handle))
    return answer, time.monotonic_ns() - started_ns


async def ask_async_timed(asked: Request, approver: Any, handle: SpanHandle) -> tuple[Answer, int]:
    """:func:`ask_timed` for async code."""
    started_ns = time.monotonic_ns()
    limited = _limited(asked)
    if isinstance(limited, Decision):
        return limited, 0
    with _waiting():
        answer = _late(limited, await _ask_async(limited, approver, handle))
    return answer, time.monotonic_ns() - started_ns


def _waiting() -> contextlib.AbstractContextManager[None]:
    run = frame_of().run
    return run.waiting if run is not None else contextlib.nullcontext()


def _limited(asked: Request) -> Request | Decision:
    """The question with the time that the run may still wait; refused when there is none."""
    line, run = _control.line(), frame_of().run
    if line is None or run is None or not line.approval_budget_s:
        return asked
    left_s = line.approval_budget_s - run.waiting.waited_s
    if left_s <= 0:
        return Decision(approved=False, reason=_NO_LONGER, timed_out=True)
    if left_s >= (asked.timeout_s or line.approval_timeout_s):
        return asked
    return replace(asked, timeout_s=left_s, hurried=True)


def _late(asked: Request, answer: Answer) -> Answer:
    """The answer; where the run's own limit ended the wait, it says so."""
    if asked.hurried and (answer is None or (type(answer) is Decision and answer.timed_out)):
        waiting_ns = answer.waiting_ns if type(answer) is Decision else 0
        return Decision(False, reason=_NO_LONGER, timed_out=True, waiting_ns=waiting_ns)
    return answer


def _ask(
    asked: Request, approver: Approver | Inbox | None, handle: SpanHandle
) -> Decision | bool | None:
    if approver is None:
        return NOBODY
    if approver == "inbox":
        found = _question(asked, handle)
        if isinstance(found, Decision):
            return found
        return _answered(asked, found[1], _inbox.ask(*found), handle)
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
    asked: Request, approver: AsyncApprover | Inbox | None, handle: SpanHandle
) -> Decision | bool | None:
    if approver is None:
        return NOBODY
    if approver == "inbox":
        found = _question(asked, handle)
        if isinstance(found, Decision):
            return found
        return _answered(asked, found[1], await _inbox.ask_async(*found), handle)
    answer = approver(asked.text, asked.shown)
    if not is_a(answer, Awaitable):
        return cast(Decision | bool, answer)
    import asyncio

    deadline = asyncio.timeout(asked.timeout_s)
    try:
        async with deadline:
            return await cast(Awaitable[Decision | bool], answer)
    except TimeoutError:
        if not deadline.expired():
            raise  # the approver's own timeout is an error of its own
        return None


def _question(
    asked: Request, handle: SpanHandle
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
        requester_may_approve=asked.requester_may_approve,
        withheld=asked.withheld,
        stop_after_s=asked.stop_after_s,
        timeout_s=asked.timeout_s,
        span_id=handle.span_id,
    )
    if isinstance(found, str):
        return Decision(approved=False, reason=found)
    return line, found


def _answered(
    asked: Request, question: _inbox.Question, reply: _inbox.Reply, handle: SpanHandle
) -> Decision:
    handle.set({names.APPROVAL_ID: reply.id or None, names.APPROVAL_VOUCHED: reply.vouched or None})
    edited = reply.edited_params is not None
    params = asked.params
    if reply.edited_params is not None:
        said = json.loads(reply.edited_params)
        handle.set_json(names.APPROVAL_EDITED, said)
        # What the person left alone is the agent's own: secrets that were masked, objects that are no JSON.
        params = merged(asked.params, json.loads(question.body["params"] or "null"), said)
    return Decision(
        approved=reply.approved,
        approver=reply.approver,
        reason=reply.reason,
        waiting_ns=reply.waiting_ns,
        timed_out=reply.timed_out,
        params=params,
        edited=edited,
    )
