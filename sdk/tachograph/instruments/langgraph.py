"""Records graphs of LangGraph: nodes as steps, interrupts as approvals, checkpoints saved and restored.

The seams are inside the loop that runs a graph: where it runs a node with its retries, where it puts a checkpoint,
and where it looks at its first input; for tools, the node of the library that runs them. Subgraphs nest in the node that runs them. An interrupt is a question to a
person: the step that asks has an approval that is ``pending``, and the resume one with the answer. Nodes of the library's own (``__start__``) are no steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.pregel import _loop, _runner
from langgraph.types import Command

from tachograph import _orders, _spending
from tachograph._facts import begin
from tachograph._failure import safe_text
from tachograph._guard import guarded
from tachograph._layers import checkpoint
from tachograph._on_import import call_after, forget
from tachograph._spans import SpanHandle, open_span
from tachograph._spending import before_call
from tachograph.instruments._patch import LOCK, unwrap, wrap
from tachograph_schemas import names

_TOOLS = "langgraph.prebuilt.tool_node"
_INTERRUPT = "__interrupt__"
_APPROVED = {"true", "approve", "approved", "accept", "accepted", "allow", "yes", "y", "ok"}
_REFUSED = {"false", "reject", "rejected", "deny", "denied", "refuse", "refused", "no", "n"}


def install() -> None:
    """Record every graph, those that are compiled already too. Idempotent."""
    with LOCK:
        wrap(_runner, "run_with_retry", _recorded_node)
        wrap(_runner, "arun_with_retry", _recorded_async_node)
        wrap(_loop.PregelLoop, "_put_checkpoint", _recorded_save)
        wrap(_loop.PregelLoop, "_first", _recorded_start)
    # Loaded when the program uses it, with what of LangChain it needs.
    call_after(_TOOLS, "langgraph", _install_tools)


def _install_tools() -> None:
    with guarded("asking before the tools of a graph"):
        from tachograph.instruments import _langgraph_tools

        _langgraph_tools.install()


def uninstall() -> None:
    """Leave LangGraph alone."""
    with LOCK:
        unwrap(_runner, "run_with_retry", "arun_with_retry")
        unwrap(_loop.PregelLoop, "_put_checkpoint", "_first")
    if forget(_TOOLS, "langgraph"):
        from tachograph.instruments import _langgraph_tools

        _langgraph_tools.uninstall()


def _recorded_node(original: Callable[..., Any]) -> Callable[..., Any]:
    def run_with_retry(task: Any, *args: Any, **kwargs: Any) -> Any:
        if task.name.startswith("__"):
            return original(task, *args, **kwargs)
        before_call("step")
        handle = _open_step(task)
        try:
            with handle.active():
                result = original(task, *args, **kwargs)
        except BaseException as error:
            _failed(handle, error)
            raise
        _finished(handle, task)
        return result

    return run_with_retry


def _recorded_async_node(original: Callable[..., Any]) -> Callable[..., Any]:
    async def arun_with_retry(task: Any, *args: Any, **kwargs: Any) -> Any:
        if task.name.startswith("__"):
            return await original(task, *args, **kwargs)
        if _orders.in_force:
            await _orders.obey_async("step")
        if _spending.asks():
            await _spending.ask_first("step")
        before_call("step")
        handle = _open_step(task)
        try:
            with handle.active():
                result = await original(task, *args, **kwargs)
        except BaseException as error:
            _failed(handle, error)
            raise
        _finished(handle, task)
        return result

    return arun_with_retry


def _open_step(task: Any) -> SpanHandle:
    handle = open_span("step", safe_text(task.name, 512))
    handle.set_input(task.input)
    return handle


def _finished(handle: SpanHandle, task: Any) -> None:
    with guarded("recording a node"):
        # Routing is written beside the state; its channels are the library's own.
        written = {name: value for name, value in task.writes if ":" not in str(name)}
        handle.set_output(written)
    handle.end()


def _failed(handle: SpanHandle, error: BaseException) -> None:
    with guarded("recording a node"):
        if isinstance(error, GraphInterrupt):
            with handle.active():
                for interrupt in error.args[0] if error.args else ():
                    _approval(interrupt.value, {names.APPROVAL_DECISION: "pending"})
        elif not isinstance(error, GraphBubbleUp):
            # What bubbles up is a command to the graph around, not a failure.
            handle.record_error(error)
    handle.end()


def _approval(request: Any, facts: dict[str, Any], answer: Any = None) -> None:
    asked = request if isinstance(request, str) else "to go on"
    handle = begin("approval", "", {names.APPROVAL_REQUEST: asked, **facts})
    handle.rename("approval")
    handle.set_input(request)
    if answer is not None:
        handle.set_output(answer)
    handle.end()


def _recorded_save(original: Callable[..., Any]) -> Callable[..., Any]:
    def _put_checkpoint(self: Any, metadata: Any) -> Any:
        before = _saved_id(self)
        result = original(self, metadata)
        with guarded("recording a checkpoint"):
            if self.checkpointer and _saved_id(self) != before:
                tasks = getattr(self, "tasks", None) or {}
                checkpoint(_label(self), done=[task.name for task in tasks.values()])
        return result

    return _put_checkpoint


def _recorded_start(original: Callable[..., Any]) -> Callable[..., Any]:
    def _first(self: Any, **kwargs: Any) -> Any:
        with guarded("recording a restored checkpoint"):
            if self.checkpointer and self.checkpoint_metadata.get("step", -2) > -2:
                checkpoint(_label(self), action="restored")
                if isinstance(self.input, Command) and self.input.resume is not None:
                    _record_answers(self, self.input.resume)
        return original(self, **kwargs)

    return _first


def _saved_id(loop: Any) -> Any:
    """The checkpoint that was handed to the saver last; in the mode that saves at the exit it stays."""
    return loop.checkpoint_config.get("configurable", {}).get("checkpoint_id")


def _label(loop: Any) -> str:
    settings = loop.config.get("configurable", {})
    place = settings.get("checkpoint_ns") or "graph"
    step = loop.checkpoint_metadata.get("step")
    return f"{settings.get('thread_id')}: {place} step {step}"


def _record_answers(loop: Any, resume: Any) -> None:
    asked = [
        interrupt
        for _, channel, value in loop.checkpoint_pending_writes
        if channel == _INTERRUPT
        for interrupt in (value if isinstance(value, list | tuple) else [value])
    ]
    since_s = datetime.fromisoformat(loop.checkpoint["ts"]).timestamp()
    waiting_ns = max(0, int((time.time() - since_s) * 1e9))
    for interrupt in asked:
        answer = resume.get(interrupt.id, resume) if isinstance(resume, dict) else resume
        facts = {names.APPROVAL_DECISION: _decision(answer), names.WAITING_NS: waiting_ns}
        _approval(interrupt.value, facts, answer)


def _decision(answer: Any) -> str | None:
    """``approved`` or ``refused`` where the answer says it in a usual way; else it is not for us to say."""
    if isinstance(answer, dict):
        words = [answer.get(key) for key in ("decision", "action", "type", "approved")]
        answer = next((word for word in words if word is not None), None)
    word = str(answer).strip().lower() if isinstance(answer, str | bool) else ""
    if word in _APPROVED:
        return "approved"
    return "refused" if word in _REFUSED else None
