"""Shell, editor, computer and custom tools of the OpenAI Agents SDK: what holds for function tools holds for these.

The seam is the application's own callable that does the work, put behind the question in a copy of the tool for the one
call: by then the SDK has settled its own approvals. The model is told of a refusal in the tool's answer, except by a
computer, whose answer is a picture: there the refusal ends the run. The SDK makes an answer of every error, so what
stops the run is raised when the answer is there.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from agents.editor import ApplyPatchResult
from agents.run_internal import tool_actions

from tachograph._clearance import cleared_async, in_force, is_own, under_way
from tachograph._failure import safe_text
from tachograph._spans import open_span
from tachograph.errors import Refused, RunStopped
from tachograph.instruments._patch import LOCK, unwrap, wrap
from tachograph_schemas import names

_EDITS = ("create_file", "update_file", "delete_file")


@dataclasses.dataclass(frozen=True, slots=True)
class _Form:
    """How the arguments of one kind of tool are read and put back; they come last in the call of its callable."""

    read: Callable[[Any], dict[str, Any]]
    write: Callable[[Any, Mapping[str, Any]], Any]
    told: Callable[[str], Any] = str


_SHELL = _Form(
    lambda request: {"commands": list(request.data.action.commands)},
    lambda request, agreed: dataclasses.replace(
        request,
        data=dataclasses.replace(
            request.data,
            action=dataclasses.replace(request.data.action, commands=agreed["commands"]),
        ),
    ),
)
_LOCAL_SHELL = _Form(
    lambda request: {"command": list(request.data.action.command)},
    lambda request, agreed: dataclasses.replace(
        request,
        data=request.data.model_copy(
            update={"action": request.data.action.model_copy(update=dict(agreed))}
        ),
    ),
)
_CUSTOM = _Form(lambda text: {"input": text}, lambda _, agreed: agreed["input"])
_EDIT = _Form(
    lambda edit: {"type": edit.type, "path": edit.path, "diff": edit.diff},
    lambda edit, agreed: dataclasses.replace(edit, path=agreed["path"], diff=agreed["diff"]),
    lambda sentence: ApplyPatchResult(status="failed", output=sentence),
)
_COMPUTER = _Form(
    lambda call: call.model_dump(include={"action", "actions"}, exclude_none=True),
    lambda call, agreed: type(call).model_validate(call.model_dump() | dict(agreed)),
)


def install() -> None:
    """Ask before every such tool. Idempotent."""
    with LOCK:
        for action, tool, guard in _SEAMS:
            if (owner := getattr(tool_actions, action, None)) is not None:
                wrap(owner, "execute", _guarded(tool, guard))
        wrap(tool_actions.ComputerAction, "_execute_action_and_capture", _asked_of_computer)


def uninstall() -> None:
    """Leave the tools alone."""
    with LOCK:
        for action, _, _ in _SEAMS:
            if (owner := getattr(tool_actions, action, None)) is not None:
                unwrap(owner, "execute")
        unwrap(tool_actions.ComputerAction, "_execute_action_and_capture")


def _guarded(
    field: str, guard: Callable[[Any, list[RunStopped]], None]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def guarded(original: Callable[..., Any]) -> Callable[..., Any]:
        async def execute(cls: Any, *, call: Any, **more: Any) -> Any:
            if not in_force():
                return await original(cls, call=call, **more)
            stops: list[RunStopped] = []
            tool = copy.copy(getattr(call, field))
            guard(tool, stops)
            answer = await original(cls, call=dataclasses.replace(call, **{field: tool}), **more)
            if stops:
                raise stops[0]
            return answer

        return execute

    return guarded


def _asking(
    function: Callable[..., Any], tool: str, form: _Form, stops: list[RunStopped]
) -> Callable[..., Any]:
    own = is_own(function)

    async def ask_first(*given: Any) -> Any:
        *before, last = given
        with _kept(stops):
            if own:
                return await _settled(function(*given))
            try:
                arguments, agreed = await _agreed(tool, form.read(last))
            except Refused as refused:
                return form.told(f"Not called: {refused}")
            if agreed != arguments:
                last = form.write(last, agreed)
            with under_way(tool, agreed):
                return await _settled(function(*before, last))

    return ask_first


async def _agreed(tool: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return arguments, await cleared_async(tool, arguments)


@contextmanager
def _kept(stops: list[RunStopped]) -> Iterator[None]:
    try:
        yield
    except RunStopped as stop:
        stops.append(stop)
        raise


async def _settled(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def _guard_shell(tool: Any, stops: list[RunStopped]) -> None:
    # None: the commands run at the provider, out of reach.
    if tool.executor is not None:
        tool.executor = _asking(tool.executor, tool.name, _SHELL, stops)


def _guard_local_shell(tool: Any, stops: list[RunStopped]) -> None:
    ask_first = _asking(tool.executor, tool.name, _LOCAL_SHELL, stops)

    async def recorded(request: Any) -> Any:
        # The one tool that the SDK has no span of its own for.
        facts = {
            names.GEN_AI_OPERATION_NAME: "execute_tool",
            names.GEN_AI_TOOL_NAME: tool.name,
            names.GEN_AI_TOOL_CALL_ID: safe_text(request.data.call_id, 512),
        }
        handle = open_span("tool", f"execute_tool {tool.name}", facts)
        handle.set_input(_LOCAL_SHELL.read(request))
        try:
            with handle.active():
                answer = await ask_first(request)
        except BaseException as error:
            handle.record_error(error)
            handle.end()
            raise
        handle.set_output(answer)
        handle.end()
        return answer

    tool.executor = recorded


def _guard_custom(tool: Any, stops: list[RunStopped]) -> None:
    tool.on_invoke_tool = _asking(tool.on_invoke_tool, tool.name, _CUSTOM, stops)


def _guard_editor(tool: Any, stops: list[RunStopped]) -> None:
    tool.editor = _Editor(tool.editor, tool.name, stops)


class _Editor:
    """The application's editor, asked before each file."""

    def __init__(self, editor: Any, tool: str, stops: list[RunStopped]) -> None:
        self._editor = editor
        for name in _EDITS:
            setattr(self, name, _asking(getattr(editor, name), tool, _EDIT, stops))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._editor, name)


def _asked_of_computer(original: Callable[..., Any]) -> Callable[..., Any]:
    async def _execute_action_and_capture(cls: Any, computer: Any, tool_call: Any) -> Any:
        if in_force():
            arguments, agreed = await _agreed("computer", _COMPUTER.read(tool_call))
            if agreed != arguments:
                tool_call = _COMPUTER.write(tool_call, agreed)
        return await original(cls, computer, tool_call)

    return _execute_action_and_capture


_SEAMS: tuple[tuple[str, str, Callable[[Any, list[RunStopped]], None]], ...] = (
    ("ShellAction", "shell_tool", _guard_shell),
    ("LocalShellAction", "local_shell_tool", _guard_local_shell),
    ("CustomToolAction", "custom_tool", _guard_custom),
    ("ApplyPatchAction", "apply_patch_tool", _guard_editor),
)
"""Class of the SDK that runs a kind of tool, the field of its call that holds the tool, and what guards it."""
