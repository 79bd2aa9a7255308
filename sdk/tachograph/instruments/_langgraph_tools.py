"""Tools that a ``ToolNode`` of LangGraph runs (agents of LangChain's ``create_agent`` too), asked about and recorded.

The seam is one call of one tool, before the node's own treatment of errors: the model is told of a refusal in the
message that is the tool's answer, and what stops the run is not turned into such a message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.messages import ToolMessage
from langgraph.errors import GraphBubbleUp
from langgraph.prebuilt.tool_node import ToolNode

from tachograph._clearance import cleared, cleared_async, in_force, is_own, under_way
from tachograph._failure import safe_text
from tachograph._guard import guarded
from tachograph._layers import tool_refused
from tachograph._spans import SpanHandle, open_span
from tachograph.errors import Refused
from tachograph.instruments._patch import LOCK, unwrap, wrap
from tachograph.instruments._reported import ReportedError
from tachograph_schemas import names


def install() -> None:
    """Record every tool node, and ask before its tools. Idempotent."""
    with LOCK:
        wrap(ToolNode, "_run_one", _asked)
        wrap(ToolNode, "_arun_one", _asked_async)
        wrap(ToolNode, "_validate_tool_call", _telling_of_unknown_tools)


def uninstall() -> None:
    """Leave tool nodes alone."""
    with LOCK:
        unwrap(ToolNode, "_run_one", "_arun_one", "_validate_tool_call")


def _asked(original: Callable[..., Any]) -> Callable[..., Any]:
    def _run_one(self: Any, call: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        if not _is_ours_to_ask(self, call):
            return original(self, call, *args, **kwargs)
        try:
            agreed = {**call, "args": cleared(call["name"], call["args"])}
        except Refused as refused:
            return _told(call, refused)
        handle = _open_tool(agreed)
        try:
            with under_way(agreed["name"], agreed["args"]), handle.active():
                result = original(self, agreed, *args, **kwargs)
        except BaseException as error:
            _failed(handle, error)
            raise
        _finished(handle, result)
        return result

    return _run_one


def _asked_async(original: Callable[..., Any]) -> Callable[..., Any]:
    async def _arun_one(self: Any, call: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        if not _is_ours_to_ask(self, call):
            return await original(self, call, *args, **kwargs)
        try:
            agreed = {**call, "args": await cleared_async(call["name"], call["args"])}
        except Refused as refused:
            return _told(call, refused)
        handle = _open_tool(agreed)
        try:
            with under_way(agreed["name"], agreed["args"]), handle.active():
                result = await original(self, agreed, *args, **kwargs)
        except BaseException as error:
            _failed(handle, error)
            raise
        _finished(handle, result)
        return result

    return _arun_one


def _is_ours_to_ask(node: Any, call: Mapping[str, Any]) -> bool:
    """A name that the node does not know is answered by the node; a tool of ours asks itself."""
    tool = node.tools_by_name.get(call["name"])
    functions = (getattr(tool, name, None) for name in ("func", "coroutine"))
    return tool is not None and in_force() and not any(map(is_own, functions))


def _telling_of_unknown_tools(original: Callable[..., Any]) -> Callable[..., Any]:
    def _validate_tool_call(self: Any, call: Mapping[str, Any]) -> Any:
        answer = original(self, call)
        if answer is not None:
            with guarded("recording a call of an unknown tool"):
                tool_refused(
                    call["name"],
                    arguments=call["args"],
                    offered=list(self.tools_by_name),
                    call_id=call["id"],
                    reason=answer.content,
                )
        return answer

    return _validate_tool_call


def _told(call: Mapping[str, Any], refused: Refused) -> ToolMessage:
    sentence = f"Not called: {refused}"
    return ToolMessage(sentence, name=call["name"], tool_call_id=call["id"], status="error")


def _open_tool(call: Mapping[str, Any]) -> SpanHandle:
    name = safe_text(call["name"], 512)
    facts = {
        names.GEN_AI_OPERATION_NAME: "execute_tool",
        names.GEN_AI_TOOL_NAME: name,
        names.GEN_AI_TOOL_TYPE: "function",
        names.GEN_AI_TOOL_CALL_ID: safe_text(call["id"], 512),
    }
    handle = open_span("tool", f"execute_tool {name}", facts)
    handle.set_input(call["args"])
    return handle


def _failed(handle: SpanHandle, error: BaseException) -> None:
    if not isinstance(error, GraphBubbleUp):
        # What bubbles up is a question to a person or a command to the graph around, not a failure.
        handle.record_error(error)
    handle.end()


def _finished(handle: SpanHandle, result: Any) -> None:
    with guarded("recording a tool's answer"):
        handle.set_output(getattr(result, "content", result))
        if getattr(result, "status", "") == "error":
            handle.record_error(ReportedError(safe_text(result.content)))
    handle.end()
