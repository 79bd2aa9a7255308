"""The hot path: an ordinary decorated call, from its arguments to its record in the spool.

It is flat on purpose. An agent makes this call thousands of times, and what it costs in Python is the frames
and objects between the lines rather than the lines: so what is the same for every call of a function is
prepared once (:class:`Plan`), what is the same for every call from one place of a run is prepared once there
(:class:`_Made`), and the rest stands here in the order in which it happens. Nothing else does.

Whatever is not ordinary takes the long way, :func:`tachograph._call.begin` and ``open_span``: runs,
generators, spans that are made for another provider, payloads that are shortened or hashed. A run's tape takes
what was encoded here for the span. Both ways leave the same record, to which ``tests/sdk/test_hot.py`` holds them.
"""

from __future__ import annotations

from time import (
    time_ns,
)  # not the one that agents read, which recordings for replay put in its place
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import SpanKind

from tachograph import _otlp
from tachograph._capture import freeze_told, freeze_utf8
from tachograph._failure import clean, cleaned
from tachograph._frame import FRAME_KEY, Frame
from tachograph._guard import contain
from tachograph._ids import new_span_id
from tachograph._lean import LeanSpan
from tachograph._spans import REPORTED_WHILE_OPEN, SPAN_KEY, SpanHandle
from tachograph_schemas import names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Token

    from tachograph._binding import Binder
    from tachograph._call import Spec
    from tachograph._frame import RunState
    from tachograph._policy import Policy
    from tachograph._recorder import Recorder

_MADE_LIMIT = 256
"""Functions remembered at one place of a run; a program that decorates in a loop has any number of them."""


class Plan:
    """What is known of every call of a decorated function before it is made."""

    __slots__ = (
        "agent",
        "announce",
        "arity",
        "attributes",
        "binder",
        "captures_input",
        "captures_output",
        "input_name",
        "kind",
        "layer",
        "name",
        "output_name",
        "parameters",
        "policies",
        "reported",
    )

    def __init__(
        self,
        layer: names.Layer,
        described: tuple[str, Mapping[str, Any]],
        binder: Binder,
        policies: tuple[Policy, Policy],
        agent: str | None,
        kind: SpanKind,
    ) -> None:
        """``described``: the name and the attributes of every span; ``policies`` are each ``full`` or ``none``."""
        self.layer = layer
        name, found = described
        self.name = clean(name)
        self.attributes = cleaned({names.LAYER: layer, **found})
        self.binder = binder
        self.parameters = binder.plain or ()
        self.arity = -1 if binder.plain is None else len(binder.plain)
        self.policies = policies
        self.captures_input, self.captures_output = (one == "full" for one in policies)
        self.input_name, self.output_name = names.input_name(layer), names.output_name(layer)
        self.agent = agent
        self.kind = kind
        self.reported = layer in REPORTED_WHILE_OPEN
        self.announce = self.attributes.get(names.TOOL_EFFECT) == "write"


class _Made:
    """What all spans of one plan share that are made under one frame. ``stamp`` as the run had it."""

    __slots__ = ("content", "fixed", "frame", "stamp")

    def __init__(self, plan: Plan, outer: Frame, run: RunState) -> None:
        self.stamp = run.stamp
        self.frame = Frame(plan.layer, run, plan.agent or outer.agent, outer.budgets)
        self.fixed = {names.LAYER: plan.layer, **self.frame.stamps(), **plan.attributes}
        self.content = _otlp.named(plan.name, plan.kind.value) + _otlp.attributes(self.fixed)


def open_call(
    plan: Plan,
    recorder: Recorder,
    context: Context,
    outer: Frame,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    tape: Callable[..., Any] | None,
    spec: Spec,
) -> HotCall | None:
    """Start recording a call; None when it is no ordinary one after all. May raise: the caller is guarded.

    ``tape``: :data:`tachograph._call.tape_hook`.
    """
    above, run = context.get(SPAN_KEY), outer.run
    if run is None or type(above) is not LeanSpan or above.trace_state:
        return None
    made = outer.made.get(plan)
    if made is None or made.stamp is not run.stamp:
        made = _make(plan, outer, run)
    given: dict[str, Any] | None = None
    payload: bytes | None = None
    field, cut_bytes, is_exact = b"", 0, False
    if plan.captures_input or tape is not None:
        if plan.arity == len(args) and not kwargs:
            given = dict(zip(plan.parameters, args, strict=False))
        else:
            given = plan.binder.bind(args, kwargs)
    if plan.captures_input:
        payload, cut_bytes, is_exact = freeze_told(given, recorder.capture_limit_bytes)
        field = _otlp.text_attribute(plan.input_name, payload)
    frame, span_id, start_ns = made.frame, new_span_id(), time_ns()
    span = LeanSpan(recorder, plan.name, frame, plan.kind, start_ns, span_id, above, made.fixed)
    span.payload = payload
    span.head = head = _head(above, span_id, start_ns, made.content, field)
    if cut_bytes:
        span.set_attribute(names.TRUNCATED_BYTES, cut_bytes)
        head = span.open_bytes()
    recorder.note_open(
        span, span_id, frame, 0, head, reported=plan.reported, announce=plan.announce
    )
    inside = Context({**context, SPAN_KEY: span, FRAME_KEY: frame})
    seam = None
    if tape is not None:
        frozen, limit_bytes = payload if is_exact else None, recorder.capture_limit_bytes
        seam = tape(spec, given, plan.policies, plan.announce, frozen, limit_bytes, span_id)
    return HotCall(plan, recorder, span, inside, seam)


def _make(plan: Plan, outer: Frame, run: RunState) -> _Made:
    if len(outer.made) >= _MADE_LIMIT:
        outer.made.clear()
    made = outer.made[plan] = _Made(plan, outer, run)
    return made


def _head(above: LeanSpan, span_id: int, start_ns: int, content: bytes, field: bytes) -> bytes:
    """What is known of a span at its start, as OTLP."""
    return b"".join(
        (
            b"\x0a\x10", above.trace_id.to_bytes(16, "big"),
            b"\x22\x08", above.span_id.to_bytes(8, "big"),
            b"\x12\x08", span_id.to_bytes(8, "big"),
            b"\x39", start_ns.to_bytes(8, "little"),
            content, field,
        )
    )  # fmt: skip


class HotCall:
    """An ordinary call being recorded; to its wrapper the same as :class:`tachograph._call.Call`."""

    __slots__ = ("_inside", "_plan", "_recorder", "_span", "_token", "seam")

    def __init__(
        self, plan: Plan, recorder: Recorder, span: LeanSpan, inside: Context, seam: Any
    ) -> None:
        self._plan = plan
        self._recorder = recorder
        self._span = span
        self._inside = inside
        self._token: Token[Context] | None = None
        self.seam = seam

    def enter(self) -> None:
        """Make the span current for the code that runs next."""
        try:
            self._token = attach(self._inside)
        except Exception as fault:
            # Near the recursion limit even this may fail; the call itself must decide for itself.
            if not contain("entering a span", fault):
                raise

    def succeed(self, result: Any) -> None:
        """The function returned ``result``."""
        plan, span = self._plan, self._span
        try:
            token, self._token = self._token, None
            if token is not None:
                detach(token)
            if plan.captures_output and span.end_time is None:
                seam = self.seam
                if seam is None or seam.frozen is None:
                    content, cut_bytes = freeze_utf8(result, self._recorder.capture_limit_bytes)
                else:
                    content, cut_bytes = seam.frozen
                span.set_result(plan.output_name, content)
                if cut_bytes:
                    cut_bytes += span.attributes.get(names.TRUNCATED_BYTES, 0)
                    span.set_attribute(names.TRUNCATED_BYTES, cut_bytes)
        except BaseException as fault:
            if not contain("capturing a payload", fault):
                raise
        finally:
            # Also when a Ctrl-C arrived meanwhile and goes on to the agent.
            try:
                span.end()
            except BaseException as fault:
                if not contain("ending a span", fault):
                    raise

    def fail(self, error: BaseException) -> None:
        """``error`` escaped; the caller re-raises it."""
        handle = SpanHandle(self._span, self._span.frame, self._recorder, self._inside)
        token, self._token = self._token, None
        handle.leave(token, closing=issubclass(type(error), GeneratorExit))
        try:
            if not issubclass(type(error), GeneratorExit):
                handle.record_error(error)
        finally:
            handle.end()
