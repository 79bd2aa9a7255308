"""Runs: how one starts, what it is called, how it ends, and the handle that agents hold on it."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from opentelemetry.context import Context, get_current
from opentelemetry.trace import get_current_span

from tachograph import _code_version, _loops, _orders, _recorder
from tachograph._binding import Option, resolve
from tachograph._facts import fit, misused
from tachograph._failure import clean, cleaned, is_cancellation, safe_text
from tachograph._frame import OUTSIDE, RunState, frame_of
from tachograph._given import listed, text
from tachograph._guard import guarded
from tachograph._policy import PREVIEW_BYTES, Policy
from tachograph._spans import SpanHandle, handle_for
from tachograph.errors import Refused, RunStopped
from tachograph_schemas import names

if TYPE_CHECKING:
    from tachograph._recorder import Recorder

RUN_ID_LIMIT_CHARS = 128
_RUN_ID = re.compile(rf"[A-Za-z0-9._:\-]{{1,{RUN_ID_LIMIT_CHARS}}}")
_GOAL_LIMIT_CHARS = 65_536
FinalOutcome = Literal["success", "failure", "stopped"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What ``@tacho.run(...)`` was given."""

    name: str | None = None
    agent: str | None = None
    goal: Option = None
    session: Option = None
    user: Option = None
    customer: Option = None
    tags: tuple[str, ...] = ()
    version: str | None = None
    trigger: Option = None
    resume: Option = None
    stop_on_loop: int | None = None
    threads: str | None = None
    entrypoint: str = ""
    """``module:qualname`` of the decorated function."""
    source_file: str = ""
    function: str = ""

    @property
    def agent_name(self) -> str:
        """The agent's name; the function's when none was given."""
        return self.agent or self.name or self.function


def open_run(
    recorder: Recorder,
    options: RunOptions,
    given: Mapping[str, Any],
    payload: Mapping[str, Any],
    policy: Policy = "full",
) -> SpanHandle:
    """Start a run; inside another run, start a sub-agent of it instead.

    ``given`` are the bound arguments, ``payload`` the attributes with their captured form under
    ``policy``.
    """
    attributes = {
        names.GEN_AI_OPERATION_NAME: "invoke_agent",
        names.GEN_AI_AGENT_NAME: options.agent_name,
        names.GEN_AI_AGENT_VERSION: options.version,
        names.RUN_ENTRYPOINT: options.entrypoint,
        names.RUN_GOAL: _goal(options, given, policy),
        **payload,
    }
    context = get_current()
    if frame_of(context).run is not None:
        return _open_sub_agent(recorder, options, attributes, context)
    return _open_outermost(recorder, options, given, attributes, context)


def _open_sub_agent(
    recorder: Recorder, options: RunOptions, attributes: dict[str, Any], context: Context
) -> SpanHandle:
    frame = replace(frame_of(context), layer="agent", agent=options.agent_name)
    stamped = {**frame.stamps(), **cleaned(attributes), names.LAYER: "agent"}
    span = recorder.start(_label(options), context, stamped, frame)
    recorder.opened(span, frame, reported=True)
    return handle_for(recorder, span, frame, context)


def _open_outermost(
    recorder: Recorder,
    options: RunOptions,
    given: Mapping[str, Any],
    attributes: dict[str, Any],
    context: Context,
) -> SpanHandle:
    parent = get_current_span(context).get_span_context()
    resumed = _resumed(options, given)
    stamp = cleaned(
        {
            # A trace may hold several runs (a web request that starts two): then ids of their own.
            names.RUN_ID: resumed or (uuid.uuid4().hex if parent.is_valid else None),
            names.SESSION_ID: resolve(options.session, given),
            names.USER_ID: resolve(options.user, given),
            names.CUSTOMER: resolve(options.customer, given),
        }
    )
    in_script = options.entrypoint.startswith("__main__:")
    attributes |= {
        names.LAYER: "run",
        names.RESUMED: True if resumed else None,
        names.RUN_TRIGGER: resolve(options.trigger, given) or ("cli" if in_script else "call"),
        names.RUN_TAGS: _json_tags(options.tags),
        names.RUN_CODE_VERSION: _code_version.known_for(options.source_file),
        **stamp,
    }
    span = recorder.start(_label(options), context, cleaned(attributes), OUTSIDE)
    trace_id = format(span.get_span_context().trace_id, "032x")
    run_id = stamp.setdefault(names.RUN_ID, trace_id)
    span.set_attribute(names.RUN_ID, run_id)
    run = RunState(run_id, trace_id, span, stamp=stamp, tags=list(options.tags))
    run.loops = _loops.asked_for(options.stop_on_loop)
    frame = replace(frame_of(context), layer="run", run=run, agent=options.agent_name)
    recorder.run_started(run, frame)
    _orders.run_started()
    return handle_for(recorder, span, frame, context)


taken_up: ContextVar[str] = ContextVar("tachograph-taken-up", default="")
"""The id of the run that the next outermost run of this context goes on with; empty for a new one."""


def is_run_id(text: str) -> bool:
    """Whether ``text`` may be the id of a run: short, and of letters and digits for the most part."""
    return _RUN_ID.fullmatch(text) is not None


def _resumed(options: RunOptions, given: Mapping[str, Any]) -> str:
    """The id of the run to take up; empty for a new one, also when what was given is no id."""
    said = taken_up.get() or resolve(options.resume, given) or ""
    if said and not is_run_id(said):
        misused("run", f"resume is {said[:80]!r}, which is no run's id; this is a new run")
        return ""
    return said


def _label(options: RunOptions) -> str:
    return clean(options.name or f"invoke_agent {options.agent_name}")


def _json_tags(tags: Sequence[str]) -> str | None:
    return clean(json.dumps(list(tags), ensure_ascii=False)) if tags else None


def _goal(options: RunOptions, given: Mapping[str, Any], policy: Policy) -> str | None:
    if options.goal is not None:
        return resolve(options.goal, given, say=True)
    first = next(iter(given.values()), None)
    # Nobody asked for it, so it is recorded no further than the arguments it is one of.
    if policy not in {"full", "preview"} or not issubclass(type(first), str):
        return None
    return safe_text(first, PREVIEW_BYTES if policy == "preview" else _GOAL_LIMIT_CHARS)


def finish_run(handle: SpanHandle, options: RunOptions, error: BaseException | None) -> None:
    """Write the outcome of the run that ``handle`` is the span of. A sub-agent has none of its own."""
    run, recorder = handle._frame.run, handle._recorder
    if run is None or recorder is None or run.span is not handle._span:
        return
    outcome, reason = _verdict(run, error)
    handle.set(
        {
            names.RUN_OUTCOME: outcome,
            names.RUN_STOP_REASON: reason or None,
            names.RUN_TAGS: _json_tags(run.tags),
            names.RUN_CODE_VERSION: _code_version.known_for(options.source_file, wait_s=0.05),
            names.RUN_SPANS_MADE: recorder.run_ending(run),
        }
    )


def _verdict(run: RunState, error: BaseException | None) -> tuple[str, str]:
    if error is None or (issubclass(type(error), SystemExit) and not getattr(error, "code", 1)):
        return run.outcome or "success", run.reason
    if run.outcome in {"failure", "stopped"}:
        return run.outcome, run.reason
    if issubclass(type(error), (Refused, RunStopped)):
        # The harness did its work: a gate that holds is no failure of the agent.
        return "stopped", safe_text(error)
    if issubclass(type(error), GeneratorExit):
        return "stopped", "its consumer stopped reading"
    if is_cancellation(type(error)):
        return "stopped", "cancelled"
    if issubclass(type(error), KeyboardInterrupt):
        return "stopped", "interrupted from the keyboard"
    return "failure", ""


class Run:
    """The current run, as :func:`current_run` returns it. Outside a run every method does nothing."""

    __slots__ = ("_state",)

    def __init__(self, state: RunState | None) -> None:
        self._state = state

    @property
    def id(self) -> str:
        """The run's id, 32 hexadecimal digits; empty outside a run."""
        return self._state.id if self._state is not None else ""

    @property
    def trace_id(self) -> str:
        """The trace the run started in, 32 hexadecimal digits; empty outside a run."""
        return self._state.trace_id if self._state is not None else ""

    def __bool__(self) -> bool:
        return self._state is not None

    def tag(self, *tags: str) -> None:
        """Add tags; those it has already are not added twice."""
        state = self._state
        if state is None:
            return
        with guarded("tagging a run"), state.lock:
            given = dict.fromkeys(listed(tags))
            state.tags.extend(tag for tag in given if tag not in state.tags)
            state.span.set_attribute(names.RUN_TAGS, _json_tags(state.tags) or "[]")

    def outcome(self, outcome: FinalOutcome, reason: str = "") -> None:
        """Say how the run ends, when returning or raising alone would not say it.

        An exception that escapes still makes a failure of a run that was called a success. A word that is
        none of the three is logged and changes nothing.
        """
        word = text(outcome)
        if word not in get_args(FinalOutcome):
            misused("current_run().outcome", f"{word!r} is none of success, failure, stopped")
        elif self._state is not None:
            said = safe_text(reason)
            with self._state.lock:
                self._state.outcome, self._state.reason = word, said

    def set(
        self,
        *,
        goal: str | None = None,
        session: str | None = None,
        user: str | None = None,
        customer: str | None = None,
        **attributes: str | float | bool,
    ) -> None:
        """Set what became known after the start. Spans made from now on carry session, user, customer.

        Other keywords become free attributes of the run, ``tacho.attr.<key>``.
        """
        state = self._state
        if state is None:
            return
        with guarded("describing a run"), state.lock:
            known = {names.SESSION_ID: session, names.USER_ID: user, names.CUSTOMER: customer}
            later = fit(known)
            state.stamp = {**state.stamp, **later}
            for key, value in later.items():
                state.span.set_attribute(key, value)
            if goal is not None:
                state.span.set_attribute(names.RUN_GOAL, safe_text(goal, _GOAL_LIMIT_CHARS))
            for key, free in fit(attributes).items():
                state.span.set_attribute(names.TAG_PREFIX + clean(key), free)


def current_run() -> Run:
    """The run this code is in; a handle that does nothing outside a run. Never raises."""
    return Run(frame_of().run if _recorder.active() is not None else None)
