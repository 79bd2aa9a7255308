"""Records sessions of the Claude Agent SDK: tools that the agent ran, and permission prompts as approvals.

The seams are the stream of messages that the SDK reads from its process, the callback that it asks for
permission, and a hook of its own kind before each tool, where budgets and people have their say. The models are called in that process, out of sight; what the session says it cost is charged to the
budgets around it when it ends.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from claude_agent_sdk._internal import query

from tachograph import _consent
from tachograph._clearance import cleared_async
from tachograph._facts import begin
from tachograph._failure import safe_text
from tachograph._guard import guarded
from tachograph._spans import SpanHandle, open_span
from tachograph._spending import add_usage
from tachograph.errors import Refused, RunStopped
from tachograph.instruments._patch import LOCK, unwrap, wrap
from tachograph.instruments._reported import ReportedError
from tachograph_schemas import names

_STOP = "_tachograph_stop"
_LONGEST_WAIT_S = 86_400.0
"""How long the process waits for a person: its own timers end at 24 days, and it would go on without an answer."""


def install() -> None:
    """Record every session that begins from now on. Idempotent."""
    with LOCK:
        wrap(query.Query, "__init__", _recorded_permissions)
        wrap(query.Query, "receive_messages", _recorded_messages)


def uninstall() -> None:
    """Leave the SDK alone; sessions under way are recorded to their end."""
    with LOCK:
        unwrap(query.Query, "__init__", "receive_messages")


def _recorded_permissions(original: Callable[..., Any]) -> Callable[..., Any]:
    def initialise(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if self.can_use_tool is not None:
            self.can_use_tool = _asked(self.can_use_tool)
        with guarded("asking before the tools of a session"):
            before = (self.hooks or {}).get("PreToolUse", [])
            self.hooks = {**(self.hooks or {}), "PreToolUse": [*before, _before_tools(self)]}

    return initialise


def _before_tools(query: Any) -> dict[str, Any]:
    """The hook that the process calls before every tool, its own and those of servers."""
    matcher = {"matcher": None, "hooks": [_cleared(query)], "timeout": _LONGEST_WAIT_S}
    # Where a person has to allow calls, a process that would go on without an answer does not get to start.
    return matcher | ({"on_failure": "block"} if _consent.in_force else {})


def _cleared(query: Any) -> Callable[..., Any]:
    async def before_tool(given: Any, _tool_use_id: Any, _context: Any) -> dict[str, Any]:
        arguments = given.get("tool_input") or {}
        try:
            agreed = await cleared_async(given.get("tool_name"), arguments)
        except Refused as refused:
            return _denied(str(refused))
        except RunStopped as stop:
            # The process ends the session; its next message ends the run here.
            setattr(query, _STOP, stop)
            return _denied(str(stop)) | {"continue_": False, "stopReason": str(stop)}
        if agreed == arguments:
            return {}
        answer = {"permissionDecision": "allow", "updatedInput": agreed}
        return {"hookSpecificOutput": {"hookEventName": "PreToolUse"} | answer}

    return before_tool


def _denied(reason: str) -> dict[str, Any]:
    answer = {"permissionDecision": "deny", "permissionDecisionReason": reason}
    return {"hookSpecificOutput": {"hookEventName": "PreToolUse"} | answer}


def _asked(callback: Callable[..., Any]) -> Callable[..., Any]:
    async def can_use_tool(tool: str, given: Any, context: Any) -> Any:
        facts = {names.APPROVAL_REQUEST: f"use {tool}", names.GEN_AI_TOOL_NAME: tool}
        handle = begin("approval", tool, facts)
        handle.set_input(given)
        started_ns = time.monotonic_ns()
        try:
            with handle.active():
                answer = await callback(tool, given, context)
        except BaseException as error:
            handle.record_error(error)
            handle.end()
            raise
        with guarded("recording a permission"):
            behavior = getattr(answer, "behavior", None)
            handle.set(
                {
                    names.APPROVAL_DECISION: "approved" if behavior == "allow" else "refused",
                    names.APPROVAL_APPROVER: getattr(callback, "__name__", None),
                    names.REASON: safe_text(getattr(answer, "message", "")) or None,
                    names.WAITING_NS: time.monotonic_ns() - started_ns,
                }
            )
        handle.end()
        return answer

    return can_use_tool


def _recorded_messages(original: Callable[..., Any]) -> Callable[..., Any]:
    async def receive_messages(self: Any) -> AsyncIterator[Any]:
        messages, session = original(self), _Session()
        try:
            async for message in messages:
                with guarded("recording a message of a session"):
                    session.heard(message)
                if (stop := getattr(self, _STOP, None)) is not None:
                    raise stop
                yield message
        finally:
            session.end()
            await messages.aclose()

    return receive_messages


class _Session:
    """The tools that are running, by the id of their call."""

    def __init__(self) -> None:
        self._running: dict[str, SpanHandle] = {}

    def heard(self, message: Mapping[str, Any]) -> None:
        kind = message.get("type")
        if kind == "result":
            add_usage(usd=message.get("total_cost_usd"))
            return
        body = message.get("message")
        content = body.get("content") if isinstance(body, Mapping) else None
        for block in content if isinstance(content, list) else ():
            if kind == "assistant" and block.get("type") == "tool_use":
                self._started(block, message.get("parent_tool_use_id"))
            elif kind == "user" and block.get("type") == "tool_result":
                self._ended(block)

    def end(self) -> None:
        """The stream is over; what has no result by now gets none."""
        for handle in self._running.values():
            handle.set({names.ABANDONED: True})
            handle.end()
        self._running.clear()

    def _started(self, block: Mapping[str, Any], parent: Any) -> None:
        name, call_id = safe_text(block.get("name"), 512), str(block.get("id"))
        facts = {
            names.GEN_AI_OPERATION_NAME: "execute_tool",
            names.GEN_AI_TOOL_NAME: name,
            names.GEN_AI_TOOL_CALL_ID: call_id,
        }
        around = self._running.get(str(parent))
        if around is None:
            handle = open_span("tool", f"execute_tool {name}", facts)
        else:
            # A sub-agent is a tool whose tools nest in it.
            with around.active():
                handle = open_span("tool", f"execute_tool {name}", facts)
        handle.set_input(block.get("input"))
        self._running[call_id] = handle

    def _ended(self, block: Mapping[str, Any]) -> None:
        handle = self._running.pop(str(block.get("tool_use_id")), None)
        if handle is None:
            return
        handle.set_output(block.get("content"))
        if block.get("is_error"):
            handle.record_error(ReportedError(safe_text(block.get("content"))))
        handle.end()
