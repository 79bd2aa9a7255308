"""The control API's part on approvals."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from tachograph_collector.control.access import (
    Access,
    Document,
    Name,
    Sentence,
    actor,
)
from tachograph_collector.control.allowance import Allowance
from tachograph_collector.control.approvals import (
    Approvals,
    ConflictError,
    NotAllowedError,
    Request,
    Said,
    Status,
)
from tachograph_collector.control.news import News
from tachograph_collector.keys import Caller
from tachograph_schemas.control import APPROVALS, MOST_WAIT_S

_ROW_BYTES = 4_096
"""What a request without arguments takes, with its names, its entry in the audit log and in the indexes."""
_MOST_TIMEOUT_S = 30 * 86_400.0
Id = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Asked(BaseModel):
    """A request for approval."""

    model_config = ConfigDict(extra="forbid")

    idempotency_key: Hash
    """The same for the same question, so that a restarted agent finds the answer it has got already."""
    run_id: Name = ""
    span_id: Annotated[str, Field(pattern="^([0-9a-f]{16})?$")] = ""
    agent: Name = ""
    action: Sentence
    params: Document | None = None
    """The arguments as JSON text, redacted; null when they are not recorded."""
    context: Document | None = None
    reason: Sentence = ""
    risk: Literal["", "low", "medium", "high", "critical"] = ""
    requester: Name = ""
    approvers_needed: Annotated[int, Field(ge=1, le=20)] = 1
    requester_may_approve: bool = False
    """Whether ``requester`` may be among those who approve."""
    timeout_s: Annotated[float, Field(gt=0, le=_MOST_TIMEOUT_S, allow_inf_nan=False)] = 3_600.0


class Decided(BaseModel):
    """A person's decision."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["allow", "deny", "escalate"]
    params_hash: Hash
    """Of the arguments that were decided on, as the request has it."""
    approver: Name = ""
    """Who decides, as they say; with a key that was made, its name counts and not this one."""
    reason: Sentence = ""
    params: Document | None = None
    """Other arguments to go on with, as JSON text."""


def add_approvals(
    api: FastAPI,
    approvals: Approvals,
    news: News,
    access: Access,
    allowance: Allowance | None = None,
) -> None:
    """Add ``/api/v1/approvals``; ``allowance`` is for what is asked."""
    allowed = allowance or Allowance()
    asking = Depends(access.needs("ask"))
    looking = Depends(access.needs("look"))
    either = Depends(access.needs("ask", "look"))

    @api.post(APPROVALS)
    def ask(asked: Asked, caller: Caller = asking) -> dict[str, Any]:
        """Put a request into the inbox; asked again, the request there is, decided or not."""
        for document in (asked.params, asked.context):
            _readable(document)
        _afford(allowed, caller.project, asked)
        request = Request(**asked.model_dump())
        return approvals.ask(request, caller.project, caller.key, actor(asked.agent, caller))

    @api.get(APPROVALS)
    def listed(
        caller: Caller = looking,
        status: Annotated[list[Status] | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
        offset: Annotated[int, Query(ge=0, le=1 << 31)] = 0,
    ) -> dict[str, Any]:
        """Requests without their arguments, those that wait the oldest first; and how many there are."""
        rows, total = approvals.listed(caller.project, status or ["pending"], limit, offset)
        return {"approvals": rows, "total": total}

    @api.get(APPROVALS + "/{approval_id}")
    async def one(
        approval_id: Id,
        caller: Caller = either,
        wait_s: Annotated[float, Query(ge=0, le=MOST_WAIT_S)] = 0,
    ) -> dict[str, Any]:
        """One request, whole; with ``wait_s``, once it is decided or that time is over."""
        asked_by = None if "look" in caller.rights else caller.key

        async def look() -> dict[str, Any] | None:
            return await asyncio.to_thread(
                approvals.get, approval_id, caller.project, asked_by=asked_by
            )

        found = await news.until(approval_id, look, _is_settled, wait_s)
        return _there(found)


def _afford(allowed: Allowance, project: str, asked: Asked) -> None:
    size_bytes = _ROW_BYTES + sum(
        len((text or "").encode()) for text in (asked.params, asked.context)
    )
    wait_s = allowed.take(project, size_bytes)
    if wait_s:
        sentence = "This project has asked for too much; its requests are kept. Ask again later."
        raise HTTPException(429, sentence, {"Retry-After": str(math.ceil(wait_s))})


def add_decisions(api: FastAPI, approvals: Approvals, access: Access) -> None:
    """Add what people say to requests."""
    deciding = Depends(access.needs("operate"))

    @api.post(APPROVALS + "/{approval_id}/decision")
    def decide(approval_id: Id, decided: Decided, caller: Caller = deciding) -> dict[str, Any]:
        """Allow, deny or escalate. 409 when it is decided already, or about other arguments."""
        said = Said(
            decision=decided.decision,
            # A name that anybody could type is worth less than the key that was given to a person.
            approver=caller.name if caller.key else decided.approver.strip() or caller.name,
            approver_key=caller.key,
            params_hash=decided.params_hash,
            reason=decided.reason,
            edited_params=_readable(decided.params) if decided.decision == "allow" else None,
        )
        try:
            found = approvals.decide(
                approval_id, caller.project, said, actor(decided.approver.strip(), caller)
            )
        except ConflictError as error:
            raise HTTPException(409, str(error)) from error
        except NotAllowedError as error:
            raise HTTPException(403, str(error)) from error
        return _there(found)


def _is_settled(found: dict[str, Any] | None) -> bool:
    return found is None or found["status"] != "pending"


def _there(found: dict[str, Any] | None) -> dict[str, Any]:
    if found is None:
        raise HTTPException(404, "There is no such request in this project.")
    return found


def _readable(document: str | None) -> str | None:
    if document is not None:
        try:
            json.loads(document, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise HTTPException(422, f"Arguments are sent as JSON text: {error}") from error
    return document


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
