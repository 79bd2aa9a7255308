"""Asking people through the collector's inbox: put the question, wait for its answer, survive restarts.

The question's key is made of the run, the action, its arguments and how often the run has asked the same before, so
that a run that is taken up again finds the answer it has got already. Everything that goes wrong is a refusal.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tachograph._control import SHOWN_LIMIT_BYTES, Line, unrecorded
from tachograph._fingerprint import fingerprint
from tachograph._frame import frame_of
from tachograph._threads import not_carried
from tachograph.errors import RunStopped
from tachograph_schemas import names
from tachograph_schemas.control import APPROVALS, MOST_WAIT_S

_CONTEXT_LIMIT_BYTES = 64 << 10
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 2.0
_ANSWER_S = 10.0
_GRACE_S = 2.0
"""The collector's clock decides when time is over; so long its word is waited for."""


class UnansweredError(RunStopped):
    """The run stops, and its question goes on waiting."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a question."""

    approved: bool
    reason: str
    approver: str = ""
    waiting_ns: int = 0
    timed_out: bool = False
    edited_params: str | None = None
    id: str = ""
    vouched: str = ""
    """What vouches for the approvers' names: ``key link self-declared``."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question as it goes to the collector."""

    body: Mapping[str, Any]
    params_hash: str
    timeout_s: float
    stop_after_s: float | None = None
    """Seconds after which the run stops instead of waiting; the question goes on waiting without it."""


def question(
    line: Line,
    request: str,
    *,
    params: Any,
    context: Any,
    reason: str,
    risk: str,
    approvers_needed: int,
    timeout_s: float | None,
    span_id: str,
    requester_may_approve: bool = False,
    withheld: bool = False,
    stop_after_s: float | None = None,
) -> Question | str:
    """The question; or why it cannot be asked, in a sentence."""
    exact, shown, cut_bytes = ("", None, 0)
    if params is not None:
        exact, shown, cut_bytes = line.masked_json("tacho.input", params, SHOWN_LIMIT_BYTES)
    if cut_bytes:
        return f"the arguments are over {SHOWN_LIMIT_BYTES:,} bytes, so nobody could see them whole"
    beside = None
    if withheld or line.capture_policy != "full":
        shown = None
    elif context is not None:
        beside = line.masked_json("tacho.input", context, _CONTEXT_LIMIT_BYTES)[1]
    frame = frame_of()
    run_id = frame.run.id if frame.run is not None else ""
    # What is masked looks alike where it is not; the keyed hash tells, and tells nothing else.
    hidden = "" if shown == (exact or None) else fingerprint(exact, 32)
    asked = [run_id or uuid.uuid4().hex, request, shown or "", hidden]
    ordinal = frame.run.ordinal(json.dumps(asked)) if frame.run is not None else 0
    stamp = frame.run.stamp if frame.run is not None else {}
    body = {
        "idempotency_key": _sha256(json.dumps([*asked, ordinal])),
        "run_id": run_id,
        "span_id": span_id,
        "agent": (frame.agent or "")[:200],
        "action": line.masked(names.APPROVAL_REQUEST, request)[:4_000],
        "params": shown,
        "context": beside,
        "reason": line.masked(names.REASON, reason)[:4_000],
        "risk": risk,
        "requester": stamp.get(names.USER_ID, "")[:200],
        "approvers_needed": max(1, min(approvers_needed, 20)),
    }
    # Named where it says something: older collectors refuse what they do not know.
    body |= {"requester_may_approve": True} if requester_may_approve else {}
    wait_s = timeout_s or line.approval_timeout_s
    return Question(body, _sha256(shown or ""), wait_s, stop_after_s)


def ask(line: Line, asked: Question, abandoned: threading.Event | None = None) -> Reply:
    """Wait for the answer; blocks for the question's timeout at most. Ends early when ``abandoned`` is set.

    Raises:
        RunStopped: the run is not to wait any longer, and the question goes on waiting.
    """
    with unrecorded():
        return _ask(line, asked, abandoned)


def _ask(line: Line, asked: Question, abandoned: threading.Event | None) -> Reply:
    gone = abandoned or threading.Event()
    started_s = time.monotonic()
    deadline_s = started_s + asked.timeout_s
    patience_s = math.inf if asked.stop_after_s is None else started_s + asked.stop_after_s
    pause_s, found, why = _FIRST_PAUSE_S, None, ""
    while not gone.is_set():
        left_s = deadline_s - time.monotonic()
        if left_s <= (0 if found is None else -_GRACE_S):
            break
        if found is None:
            body = dict(asked.body) | {"timeout_s": left_s}
            answer = line.client.call("POST", APPROVALS, body, timeout_s=min(_ANSWER_S, left_s))
        else:
            patient_s = patience_s - time.monotonic()
            if patient_s <= 0:
                needs = f"a decision on request {found['id']}"
                raise UnansweredError(
                    "approval", f"nobody has decided yet: {_about(asked)}", needs=needs
                )
            wait_s = max(0.0, min(MOST_WAIT_S, left_s + _GRACE_S, patient_s))
            path, query = f"{APPROVALS}/{found['id']}", {"wait_s": f"{wait_s:.3f}"}
            answer = line.client.call("GET", path, query=query, timeout_s=wait_s + _ANSWER_S)
        if answer:
            found, why, pause_s = answer.data, "", _FIRST_PAUSE_S
            if found.get("status") != "pending":
                return _reply(found, asked.params_hash)
            continue
        why = answer.why
        if answer.status == 404 and found is not None:
            found = None  # the collector's memory was lost: ask again
        elif not answer.may_change:
            return Reply(approved=False, reason=f"the inbox refused the question: {why}")
        gone.wait(max(0.0, min(pause_s, left_s)))
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    return Reply(approved=False, reason=why or "nobody decided in time", timed_out=True)


def _about(asked: Question) -> str:
    return str(asked.body["action"])[:200]


async def ask_async(line: Line, asked: Question) -> Reply:
    """:func:`ask` on a thread of its own, so that the event loop goes on; cancelled, it is left to itself."""
    import asyncio

    loop = asyncio.get_running_loop()
    future: asyncio.Future[Reply] = loop.create_future()
    abandoned = threading.Event()

    def settle(reply: Reply | BaseException) -> None:
        if future.done():
            return
        if isinstance(reply, BaseException):
            future.set_exception(reply)
        else:
            future.set_result(reply)

    def wait() -> None:
        outcome: Reply | BaseException
        try:
            outcome = ask(line, asked, abandoned)
        except BaseException as error:
            outcome = error
        if not abandoned.is_set():
            loop.call_soon_threadsafe(settle, outcome)

    with not_carried():
        threading.Thread(target=wait, name="tachograph-inbox", daemon=True).start()
    try:
        return await future
    finally:
        abandoned.set()


def _reply(found: Mapping[str, Any], params_hash: str) -> Reply:
    status, approval_id = str(found.get("status")), str(found.get("id"))
    waiting_ns = max(0, int(found.get("decided_ns") or 0) - int(found.get("created_ns") or 0))
    if status == "expired":
        why = "nobody decided in time"
        return Reply(False, why, waiting_ns=waiting_ns, timed_out=True, id=approval_id)
    if found.get("params_hash") != params_hash:
        return Reply(False, "the answer is about other arguments", id=approval_id)
    wanted = "allow" if status == "approved" else "deny"
    said = [each for each in found.get("decisions") or () if each.get("decision") == wanted]
    return Reply(
        approved=status == "approved",
        reason="; ".join(each["reason"] for each in said if each.get("reason")),
        approver=", ".join(str(each.get("approver")) for each in said),
        waiting_ns=waiting_ns,
        edited_params=found.get("edited_params"),
        id=approval_id,
        vouched=", ".join(dict.fromkeys(str(each.get("vouched")) for each in said)),
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
