"""Function tools of the OpenAI Agents SDK: nobody runs one that a budget or a person does not allow.

The seam is where the SDK has settled its own approvals and guardrails and calls the tool: servers' tools and agents that
are used as tools pass there too. The model is told of a refusal, as of one by the SDK's own approvals; a budget that
stops and a person who stops end the run, so they must not become an answer to the model on their way.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from agents import tool as sdk_tool
from agents.exceptions import ModelBehaviorError
from agents.run_internal import tool_execution, turn_resolution

from tachograph._clearance import cleared_async, in_force, is_own, under_way
from tachograph._guard import guarded
from tachograph._layers import tool_refused
from tachograph.errors import Refused, RunStopped
from tachograph.instruments import _openai_agents_native as native
from tachograph.instruments._patch import LOCK, unwrap, wrap

_INVOKE = "_invoke_function_tool_with_metadata"
_TEXT = "arguments"


def install() -> None:
    """Ask before every function tool. Idempotent."""
    with LOCK:
        for module in (sdk_tool, tool_execution):
            # Before the SDK told errors of its own apart, it had the plain one alone.
            if not wrap(module, _INVOKE, _asked(_told_with_metadata)):
                wrap(module, "invoke_function_tool", _asked(_told))
            wrap(module, "maybe_invoke_function_tool_failure_error_function", _letting_stops_pass)
        executor = getattr(tool_execution, "_FunctionToolBatchExecutor", None)
        if executor is not None:
            wrap(executor, "_run_single_tool", _unpacking_stops)
        wrap(turn_resolution, "process_model_response", _telling_of_unknown_tools)
    native.install()


def uninstall() -> None:
    """Leave the tools alone."""
    with LOCK:
        for module in (sdk_tool, tool_execution):
            unwrap(module, _INVOKE, "invoke_function_tool")
            unwrap(module, "maybe_invoke_function_tool_failure_error_function")
        executor = getattr(tool_execution, "_FunctionToolBatchExecutor", None)
        if executor is not None:
            unwrap(executor, "_run_single_tool")
        unwrap(turn_resolution, "process_model_response")
    native.uninstall()


def _asked(told: Callable[[str], Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def asked(original: Callable[..., Any]) -> Callable[..., Any]:
        async def invoke(*, function_tool: Any, context: Any, arguments: str, **more: Any) -> Any:
            call = {"function_tool": function_tool, "context": context, **more}
            if not in_force() or is_own(getattr(function_tool, "__wrapped__", None)):
                return await original(arguments=arguments, **call)
            name, (given, by_name) = function_tool.name, _read(arguments)
            try:
                agreed = await cleared_async(name, given)
            except Refused as refused:
                return told(f"Not called: {refused}")
            if agreed != given:
                arguments = json.dumps(agreed) if by_name else agreed[_TEXT]
                # Made of the arguments as the model gave them.
                context._function_tool_arguments = None
            with under_way(name, agreed):
                return await original(arguments=arguments, **call)

        return invoke

    return asked


def _told(sentence: str) -> str:
    return sentence


def _told_with_metadata(sentence: str) -> Any:
    """What the SDK makes of errors of its own: text, whatever the tool's type of result."""
    return sdk_tool._FunctionToolInvocationResult(sentence, is_sdk_generated_error=True)


def _letting_stops_pass(original: Callable[..., Any]) -> Callable[..., Any]:
    async def maybe_invoke(*, error: BaseException, **more: Any) -> Any:
        if isinstance(error, RunStopped):
            return None
        return await original(error=error, **more)

    return maybe_invoke


def _unpacking_stops(original: Callable[..., Any]) -> Callable[..., Any]:
    async def _run_single_tool(self: Any, **given: Any) -> Any:
        try:
            return await original(self, **given)
        except Exception as error:
            # The SDK wraps what is none of its own errors.
            if isinstance(error.__cause__, RunStopped):
                raise error.__cause__ from None
            raise

    return _run_single_tool


def _telling_of_unknown_tools(original: Callable[..., Any]) -> Callable[..., Any]:
    def process_model_response(*, all_tools: Any, response: Any, **more: Any) -> Any:
        missing: list[Any] = []
        try:
            result = original(all_tools=all_tools, response=response, **more)
            # Where the application wants the model to be told instead of an error.
            missing = [call.tool_call for call in getattr(result, "function_tools_not_found", ())]
        except ModelBehaviorError as error:
            calls = [item for item in response.output if getattr(item, "call_id", None)]
            missing = [call for call in calls if f"{_name(call)} not found in agent" in str(error)]
            raise
        else:
            return result
        finally:
            with guarded("recording calls of unknown tools"):
                for call in missing:
                    _tell_unknown(call, all_tools)

    return process_model_response


def _name(call: Any) -> str:
    return str(getattr(call, "name", ""))


def _tell_unknown(call: Any, all_tools: Any) -> None:
    given = getattr(call, "arguments", None) or getattr(call, "input", None) or ""
    tool_refused(
        _name(call),
        arguments=_read(given)[0],
        offered=[tool.name for tool in all_tools],
        call_id=call.call_id,
    )


def _read(arguments: str) -> tuple[dict[str, Any], bool]:
    """The arguments by name, and whether they were a JSON object: a tool may take any text."""
    try:
        given = json.loads(arguments) if arguments else {}
    except ValueError:
        given = None
    return (given, True) if isinstance(given, dict) else ({_TEXT: arguments}, False)
