"""Records agents of the OpenAI Agents SDK: agents, their tools, guardrails as gates, handoffs.

The seam is the beginning and the end of the SDK's own trace spans, whatever processors the application has set for
them. Calls of models are the ``openai`` hook's; turns and the like are no layer of a harness. Where the application
switched tracing off there are no such spans, and nothing is recorded.
"""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from typing import Any

from agents.tracing import spans as sdk_spans

from tachograph._facts import begin
from tachograph._failure import safe_text
from tachograph._gate import gate
from tachograph._guard import guarded
from tachograph._on_import import call_after, forget
from tachograph._spans import SpanHandle, open_span
from tachograph.instruments._openai_common import media
from tachograph.instruments._patch import LOCK, unwrap, wrap
from tachograph.instruments._reported import ReportedError
from tachograph_schemas import names

_TOOLS = "agents.run_internal.tool_execution"
_KEPT = "_tachograph_span"


def install() -> None:
    """Record every agent of the process. Idempotent."""
    with LOCK:
        wrap(sdk_spans.SpanImpl, "start", _recorded_start)
        wrap(sdk_spans.SpanImpl, "finish", _recorded_finish)
    # Loaded later than tracing, and by it.
    call_after(_TOOLS, "openai-agents", _install_tools)


def _install_tools() -> None:
    with guarded("asking before an agent's tools"):
        from tachograph.instruments import _openai_agents_tools

        _openai_agents_tools.install()


def uninstall() -> None:
    """Leave the SDK alone."""
    with LOCK:
        unwrap(sdk_spans.SpanImpl, "start", "finish")
    if forget(_TOOLS, "openai-agents"):
        from tachograph.instruments import _openai_agents_tools

        _openai_agents_tools.uninstall()


def _recorded_start(original: Callable[..., Any]) -> Callable[..., Any]:
    def start(self: Any, *args: Any, **kwargs: Any) -> None:
        fresh = self.started_at is None
        original(self, *args, **kwargs)
        with guarded("recording an agent's step"):
            opener = _OPENERS.get(self.span_data.type) if fresh else None
            if opener is not None:
                handle = opener(self.span_data)
                current = args[0] if args else kwargs.get("mark_as_current", False)
                setattr(self, _KEPT, (handle, handle.enter() if current else None))

    return start


def _recorded_finish(original: Callable[..., Any]) -> Callable[..., Any]:
    def finish(self: Any, *args: Any, **kwargs: Any) -> None:
        fresh = self.ended_at is None
        original(self, *args, **kwargs)
        with guarded("recording an agent's step"):
            handle, token = self.__dict__.pop(_KEPT, (None, None))
            if handle is not None:
                # A streamed run may begin in one task and end in another.
                handle.leave(token, closing=True)
                _close(handle, self)
            elif fresh:
                teller = _TELLERS.get(self.span_data.type)
                if teller is not None:
                    teller(self.span_data)

    return finish


def _open_agent(data: Any) -> SpanHandle:
    name = safe_text(data.name, 512)
    facts = {names.GEN_AI_OPERATION_NAME: "invoke_agent", names.GEN_AI_AGENT_NAME: name}
    return open_span("agent", f"invoke_agent {name}", facts, agent=name)


def _open_tool(data: Any) -> SpanHandle:
    name = safe_text(data.name, 512)
    facts = {
        names.GEN_AI_OPERATION_NAME: "execute_tool",
        names.GEN_AI_TOOL_NAME: name,
        names.GEN_AI_TOOL_TYPE: "function",
    }
    return open_span("tool", f"execute_tool {name}", facts)


def _close(handle: SpanHandle, span: Any) -> None:
    data = span.span_data
    if data.type == "agent":
        # Filled in when the first turn was prepared.
        handle.set_input({"tools": data.tools, "handoffs": data.handoffs})
    if data.type == "function":
        if data.input is not None:
            handle.set_input(_read(data.input))
        if data.output is not None:
            handle.set_output(_shown(data.output))
    if span.error:
        details = span.error.get("data") or {}
        said = details.get("error") or span.error.get("message")
        handle.record_error(ReportedError(safe_text(said)))
    handle.end()


def _tell_handoff(data: Any) -> None:
    facts = {names.HANDOFF_FROM: data.from_agent, names.HANDOFF_TO: data.to_agent}
    begin("handoff", data.to_agent, facts).end()


def _tell_guardrail(data: Any) -> None:
    error = _raised_in_block()
    if error is not None:
        # The SDK's own span says "not triggered" of a guardrail that did not come to say anything.
        handle = begin("gate", data.name, {names.GATE_RULE: data.name})
        handle.record_error(error)
        handle.end()
        return
    reason = "the guardrail was triggered" if data.triggered else ""
    gate(data.name, allow=not data.triggered, reason=reason)


def _shown(output: Any) -> Any:
    """What a computer answers is a picture of its screen."""
    is_picture = isinstance(output, str) and output.startswith("data:image/")
    return media("image", output) if is_picture else output


def _raised_in_block() -> BaseException | None:
    """What ends the ``with`` block whose span finishes now; not what a caller of it is dealing with."""
    error = sys.exc_info()[1]
    frame: types.FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_name != "__exit__":
        frame = frame.f_back
    if error is None or error.__traceback__ is None or frame is None:
        return None
    return error if error.__traceback__.tb_frame is frame.f_back else None


def _read(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text


_OPENERS: dict[str, Callable[[Any], SpanHandle]] = {"agent": _open_agent, "function": _open_tool}
_TELLERS: dict[str, Callable[[Any], None]] = {
    "handoff": _tell_handoff,
    "guardrail": _tell_guardrail,
}
"""Kinds of the SDK's spans that are facts: what they say is known at their end."""
