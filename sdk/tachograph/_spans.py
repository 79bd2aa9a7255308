"""Spans made by hand: what decorators, layer facts and client instruments are built from.

:func:`open_span` starts a span of a layer under the current one and returns a :class:`SpanHandle`.
Nothing here raises into the agent or blocks; without ``tacho.init()`` (or with ``TACHO_DISABLED=1``)
the handle does nothing at all. An instrument typically does::

    hold = before_call("model")               # tachograph._spending: may raise BudgetExceeded
    handle = open_span("model", f"chat {model}", {names.GEN_AI_REQUEST_MODEL: model}, hold=hold)
    handle.set_json(names.GEN_AI_INPUT_MESSAGES, messages)
    try:
        with handle.active():
            response = create(...)
    except BaseException as error:
        handle.record_error(error)
        handle.end()
        raise
    handle.set({names.GEN_AI_RESPONSE_ID: response.id})
    handle.end()
    add_usage(input_tokens=..., output_tokens=..., model=..., provider=...)
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import (
    INVALID_SPAN,
    Span,
    SpanKind,
    Status,
    StatusCode,
    set_span_in_context,
)

from tachograph import _recorder, _shared_budgets
from tachograph._failure import clean, cleaned, describe_error, safe_text
from tachograph._frame import FRAME_KEY, OUTSIDE, Frame, frame_of
from tachograph._guard import contain, guarded
from tachograph._lean import LeanSpan
from tachograph._otlp import Json
from tachograph._policy import Policy, capture_as, stricter
from tachograph.errors import Refused, RunStopped
from tachograph_schemas import names

if TYPE_CHECKING:
    from contextvars import Token

    from tachograph._budget_state import Hold
    from tachograph._recorder import Recorder

REPORTED_WHILE_OPEN: frozenset[names.Layer] = frozenset(
    ("run", "agent", "step", "tool", "model", "approval", "retry")
)
"""Layers that can last: their spans are re-sent by the heartbeat until they end."""


SPAN_KEY = next(iter(set_span_in_context(INVALID_SPAN, Context())))
"""Under which OpenTelemetry keeps the current span in a context."""


class SpanHandle:
    """A span that was started and not yet ended. All methods are cheap, guarded and thread-safe."""

    __slots__ = ("_context", "_ended", "_frame", "_recorder", "_span", "_truncated_bytes")

    def __init__(
        self, span: Span, frame: Frame, recorder: Recorder | None, context: Context | None
    ) -> None:
        self._span = span
        self._frame = frame
        self._recorder = recorder
        self._context = context
        self._truncated_bytes = 0
        self._ended = recorder is None

    @property
    def recording(self) -> bool:
        """False when nothing is recorded: costly preparations can be skipped."""
        return self._recorder is not None

    @property
    def records_payloads(self) -> bool:
        """Whether payloads are recorded as they are; else texts of the user's go through set_json."""
        return self._recorder is not None and self._recorder.capture_policy == "full"

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits; zeros when nothing is recorded."""
        return format(self._span.get_span_context().trace_id, "032x")

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits; zeros when nothing is recorded."""
        return format(self._span.get_span_context().span_id, "016x")

    @property
    def run_id(self) -> str:
        """The run this span belongs to; empty outside a run."""
        return self._frame.run.id if self._frame.run is not None else ""

    @property
    def output_name(self) -> str:
        """The attribute that holds the result."""
        return names.output_name(self._frame.layer)

    def set(self, attributes: Mapping[str, Any] | None = None, /, **values: Any) -> None:
        """Set attributes by their full names; ``None`` values are left out."""
        if self._ended:
            return
        with guarded("setting attributes"):
            for key, value in cleaned({**(attributes or {}), **values}).items():
                self._span.set_attribute(key, value)

    def set_json(self, attribute: str, value: Any, policy: Policy = "full") -> None:
        """Freeze any value as JSON into ``attribute``, within the capture limit and policy."""
        if self._recorder is None or self._ended:
            return
        try:
            policy = stricter(policy, self._recorder.capture_policy)
            captured = capture_as(policy, value, self._recorder.capture_limit_bytes)
            if captured is not None:
                self.set_payload(attribute, *captured)
        except BaseException as fault:
            if not contain("capturing a payload", fault):
                raise

    def set_payload(self, attribute: str, text: str | Json, cut_bytes: int = 0) -> None:
        """Set a payload that was captured before, with what its capture cut off."""
        if self._ended:
            return
        try:
            span = self._span
            span.set_attribute(attribute, text if type(span) is LeanSpan else str(text))  # type: ignore[arg-type]  # its own
            if cut_bytes:
                self._truncated_bytes += cut_bytes
                span.set_attribute(names.TRUNCATED_BYTES, self._truncated_bytes)
        except BaseException as fault:
            if not contain("setting a payload", fault):
                raise

    def set_input(self, value: Any, policy: Policy = "full") -> None:
        """Freeze the input as JSON, now: later mutations do not change the record."""
        self.set_json(names.input_name(self._frame.layer), value, policy)

    def set_output(self, value: Any, policy: Policy = "full") -> None:
        """Freeze the result as JSON."""
        self.set_json(self.output_name, value, policy)

    def rename(self, name: str) -> None:
        """Give the span the name that became known only during the call."""
        if not self._ended:
            self._span.update_name(clean(name))

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None) -> None:
        """Add an event at the present time."""
        if self._ended:
            return
        with guarded("adding an event"):
            self._span.add_event(name, cleaned(attributes or {}))

    def record_error(self, error: BaseException) -> None:
        """Record an escaped exception: type, message, bounded stack, status ERROR.

        A :class:`RunStopped` or :class:`Refused` is a decision, not an error: it gets a reason and no error status.
        """
        if self._ended:
            return
        with guarded("recording an exception"):
            if issubclass(type(error), (Refused, RunStopped)):
                self._span.set_attribute(names.REASON, safe_text(error))
                self._say_halted("refused" if isinstance(error, Refused) else "stopped")
                return
            facts = describe_error(error)
            self._span.add_event(names.EXCEPTION_EVENT, facts)
            self._span.set_attribute(names.ERROR_TYPE, facts[names.EXCEPTION_TYPE])
            self._span.set_status(Status(StatusCode.ERROR, facts[names.EXCEPTION_MESSAGE]))

    def _say_halted(self, how: str) -> None:
        """A tool that was kept from its end has not carried out what it was called for."""
        if (getattr(self._span, "attributes", None) or {}).get(names.LAYER) == "tool":
            self._span.set_attribute(names.TOOL_REFUSAL, how)

    def record_cause(self, error: BaseException) -> None:
        """Record an exception that was dealt with: the event, its type, a reason; no error status."""
        if self._ended:
            return
        with guarded("recording an exception"):
            facts = describe_error(error)
            self._span.add_event(names.EXCEPTION_EVENT, facts)
            self._span.set_attribute(names.ERROR_TYPE, facts[names.EXCEPTION_TYPE])
            message = facts[names.EXCEPTION_MESSAGE] or facts[names.EXCEPTION_TYPE]
            self._span.set_attribute(names.REASON, message)

    def end(self) -> None:
        """End the span; a second call does nothing."""
        if self._ended:
            return
        self._ended = True
        if self._frame.hold is not None:
            self._frame.hold.release()
        try:
            self._span.end()
        except BaseException as fault:
            if not contain("ending a span", fault):
                raise

    def active(self) -> Activation:
        """Make the span the current one: ``with handle.active(): ...``. It does not end the span."""
        return Activation(self._context)

    def enter(self) -> Token[Context] | None:
        """:meth:`active` for code that cannot use ``with``; pass the result to :meth:`leave`."""
        return attach(self._context) if self._context is not None else None

    def leave(self, token: Token[Context] | None, *, closing: bool = False) -> None:
        """Undo :meth:`enter`. ``closing``: the body is being closed, maybe from another context."""
        if token is None or (closing and get_current() is not self._context):
            return
        detach(token)


class Activation:
    """The block in which a span is the current one."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context | None) -> None:
        self._context = context
        self._token: Token[Context] | None = None

    def __enter__(self) -> None:
        if self._context is not None:
            self._token = attach(self._context)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._token is None:
            return
        # Closed from elsewhere (a dropped coroutine), the variable of that place is not ours to reset.
        if not (kind and issubclass(kind, GeneratorExit)) or get_current() is self._context:
            detach(self._token)


NOTHING = SpanHandle(INVALID_SPAN, OUTSIDE, None, None)
"""The handle that records nothing."""


def open_span(
    layer: names.Layer,
    name: str,
    attributes: Mapping[str, Any] | None = None,
    *,
    agent: str | None = None,
    start_time_ns: int | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    hold: Hold | None = None,
) -> SpanHandle:
    """Start a span of ``layer`` under the current span.

    Args:
        layer: One of ``names.LAYERS``.
        name: By the GenAI convention: ``chat MODEL``, ``execute_tool NAME``, ``invoke_agent NAME``.
        attributes: By their full names (constants of ``names``); ``None`` values are left out.
        agent: The agent that code inside this span acts as; default: that of the enclosing span.
        start_time_ns: Nanoseconds since the epoch, when the start lies in the past.
        kind: ``CLIENT`` for calls that leave the process.
        hold: What ``before_call`` returned; released when the span ends.

    Returns:
        The handle; one that does nothing when the SDK is off. Never raises, never blocks.
    """
    recorder = _recorder.active()
    if recorder is None:
        if hold is not None:
            hold.release()
        return NOTHING
    try:
        return _open(recorder, layer, name, attributes, agent, start_time_ns, kind, hold)
    except BaseException as fault:
        if hold is not None:
            hold.release()
        if not contain("starting a span", fault):
            raise
        return NOTHING


def _open(
    recorder: Recorder,
    layer: names.Layer,
    name: str,
    attributes: Mapping[str, Any] | None,
    agent: str | None,
    start_time_ns: int | None,
    kind: SpanKind,
    hold: Hold | None,
) -> SpanHandle:
    context = get_current()
    outer = frame_of(context)
    if hold is None and layer == "model" and outer.layer == "model":
        # The same call seen once more: what it used is charged against what was held for it.
        hold = outer.hold
    inside = outer.places
    if _shared_budgets.in_force:
        tool = (attributes or {}).get(names.GEN_AI_TOOL_NAME)
        inside = _shared_budgets.places(outer, layer, str(tool or name))
    frame = Frame(layer, outer.run, agent or outer.agent, outer.budgets, inside, hold)
    given: dict[str, Any] = {names.LAYER: layer}
    frame.stamp(given)
    for key, value in (attributes or {}).items():
        if value is not None:
            given[key] = clean(value) if type(value) is str else value
    span = recorder.start(
        clean(name), context, given, frame, kind=kind, start_time_ns=start_time_ns
    )
    # What changes the world is told of at once: the machine may be lost with the process.
    announce = given.get(names.TOOL_EFFECT) == "write"
    recorder.opened(span, frame, reported=layer in REPORTED_WHILE_OPEN, announce=announce)
    return handle_for(recorder, span, frame, context)


def handle_for(recorder: Recorder, span: Span, frame: Frame, base: Context) -> SpanHandle:
    """The handle of a started span; code inside it sees ``frame`` on top of ``base``."""
    # One copy less than two calls of set_value: this is the hot path of every decorated call.
    inside = Context({**base, SPAN_KEY: span, FRAME_KEY: frame})
    return SpanHandle(span, frame, recorder, inside)
