"""Our own span: standard OpenTelemetry to everybody else, and little more than its own bytes to us.

Other instrumentation takes it for the current span: it can be asked for its context, have attributes set,
be named as a parent. What is known when it starts is written as OTLP then, so that the spool holds it
while the call runs; the end adds the rest, and nothing is written twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import (
    time_ns,
)  # not the one that agents read, which recordings for replay put in its place
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.trace import (
    INVALID_SPAN,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
)

from tachograph import _otlp
from tachograph._failure import clean, describe_error, type_name
from tachograph._given import attribute
from tachograph._guard import guarded, say_rarely
from tachograph._ids import new_span_id, new_trace_id
from tachograph._otlp import Json
from tachograph_schemas import names

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import TraceState

    from tachograph._frame import Frame
    from tachograph._recorder import Recorder

EVENT_LIMIT = 128
"""The newest are kept, as the OpenTelemetry SDK does."""
ATTRIBUTE_LIMIT = 1_024
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
OPEN_MARK = _otlp.attribute(names.OPEN, True)


class LeanEvent(NamedTuple):
    """An event of a span; ``timestamp`` in nanoseconds since the epoch."""

    name: str
    timestamp: int
    attributes: Mapping[str, Any]


class LeanLink(NamedTuple):
    """A link of a span."""

    context: SpanContext
    attributes: Mapping[str, Any]


class LeanSpan(Span):
    """A span being recorded. Reads like the SDK's ``ReadableSpan``, writes like the API's ``Span``."""

    # What most spans never have costs them nothing.
    context_of_its_own: SpanContext | None = None
    end_time: int | None = None
    events: Sequence[LeanEvent] = ()
    links: Sequence[LeanLink] = ()
    dropped_events = 0
    _status: Status | None = None
    payload: bytes | None = None
    """What the call was given, as JSON in UTF-8, unless it is among the attributes."""
    result: bytes | None = None
    """What it returned, likewise."""
    head: bytes | None = None
    """What was known at the start, as OTLP; None: to be written anew."""

    def __init__(
        self,
        recorder: Recorder,
        name: str,
        frame: Frame,
        kind: SpanKind,
        start_time_ns: int,
        span_id: int,
        parent: LeanSpan | SpanContext | None,
        attributes: Mapping[str, Any],
        trace_id: int = 0,
    ) -> None:
        """``attributes`` may belong to several spans: they are never changed. ``trace_id`` without a parent."""
        self._recorder = recorder
        self.name = name
        self.frame = frame
        self.kind = kind
        self.start_time = start_time_ns
        self.span_id = span_id
        self._parent = parent
        self._started_with = attributes
        self._later: dict[str, Any] = {}
        if parent is None:
            self.trace_id, self.parent_id = trace_id, 0
            self.trace_state: TraceState | None = None
        else:
            self.trace_id, self.parent_id = parent.trace_id, parent.span_id
            self.trace_state = parent.trace_state

    @classmethod
    def under(
        cls,
        context: Context,
        recorder: Recorder,
        name: str,
        attributes: Mapping[str, Any],
        frame: Frame,
        kind: SpanKind = SpanKind.INTERNAL,
        start_time_ns: int | None = None,
        own: SpanContext | None = None,
    ) -> LeanSpan:
        """A span under the current one of ``context``. ``own``: the ids that it has already."""
        above = get_current_span(context)
        parent: LeanSpan | SpanContext | None = None
        if type(above) is LeanSpan:
            parent = above
        elif above is not INVALID_SPAN and (found := above.get_span_context()).is_valid:
            parent = found
        trace_id, span_id = (own.trace_id, own.span_id) if own is not None else (0, new_span_id())
        start_ns = time_ns() if start_time_ns is None else start_time_ns
        if parent is None and not trace_id:
            trace_id = new_trace_id()
        span = cls(recorder, name, frame, kind, start_ns, span_id, parent, attributes, trace_id)
        span.context_of_its_own = own
        return span

    # --- what is read --------------------------------------------------------------------------------

    def get_span_context(self) -> SpanContext:
        """The context that children, links and headers carry."""
        context = self.context_of_its_own
        if context is None:
            context = self.context_of_its_own = SpanContext(
                self.trace_id, self.span_id, False, _SAMPLED, self.trace_state
            )
        return context

    context = property(get_span_context)

    @property
    def parent(self) -> SpanContext | None:
        """The context of the parent."""
        found = self._parent
        return found.get_span_context() if isinstance(found, LeanSpan) else found

    @property
    def attributes(self) -> Mapping[str, Any]:
        """A copy of the attributes, payloads as text."""
        layer, found = self.frame.layer, self._at_start()
        if self.result is not None:
            found[names.output_name(layer)] = Json(self.result)
        return {
            key: str(value) if type(value) is Json else value
            for key, value in (found | self._later).items()
        }

    def _at_start(self) -> dict[str, Any]:
        """The attributes that the span began with."""
        found = dict(self._started_with)
        if self.payload is not None:
            found[names.input_name(self.frame.layer)] = Json(self.payload)
        return found

    @property
    def status(self) -> Status:
        """As the SDK's spans have it."""
        return self._status or Status(StatusCode.UNSET)

    def is_recording(self) -> bool:
        """Until it has ended."""
        return self.end_time is None

    # --- what is written -----------------------------------------------------------------------------

    def set_attribute(self, key: str, value: Any) -> None:
        """Set one attribute; values that OpenTelemetry has no form for are left out, and said."""
        if self.end_time is not None:
            return
        kind = type(value)
        if not (kind is str or kind is Json or kind is int or kind is bool or kind is float):
            value = _accepted(key, value)
            if value is None:
                return
        started_with = self._started_with
        if key in started_with or (
            self.payload is not None and key == names.input_name(self.frame.layer)
        ):
            self._started_with = {**self._at_start(), key: value}
            self.payload = self.head = None
        elif key in self._later or len(self._later) < ATTRIBUTE_LIMIT:
            self._later[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set several attributes."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        """Add an event, at the present time unless ``timestamp`` (nanoseconds) says another."""
        if self.end_time is not None:
            return
        kept = {
            key: found
            for key, value in (attributes or {}).items()
            if (found := _accepted(key, value)) is not None
        }
        found = LeanEvent(clean(name), timestamp or time_ns(), kept)
        self.dropped_events += len(self.events) >= EVENT_LIMIT
        self.events = (*self.events[1 - EVENT_LIMIT :], found)

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Add a link."""
        if self.end_time is None and len(self.links) < EVENT_LIMIT:
            self.links = (*self.links, LeanLink(context, dict(attributes or {})))

    def update_name(self, name: str) -> None:
        """Rename it."""
        if self.end_time is None:
            self.name, self.head = name, None

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status; OK is final and UNSET is no change, as the specification says."""
        if self.end_time is not None:
            return
        if isinstance(status, StatusCode):
            status = Status(status, description if status is StatusCode.ERROR else None)
        if status.is_unset or (self._status is not None and self._status.is_ok):
            return
        self._status = status

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Add an event that describes an exception."""
        with guarded("recording an exception"):
            facts = {**describe_error(exception), "exception.escaped": str(escaped)}
            self.add_event(names.EXCEPTION_EVENT, {**facts, **(attributes or {})}, timestamp)

    def set_result(self, key: str, content: bytes) -> None:
        """Set what the call returned, as JSON in UTF-8, under the name that its layer has for it."""
        self._later.pop(key, None)
        self.result = content

    def end(self, end_time: int | None = None) -> None:
        """End it, and hand it on."""
        if self.end_time is None:
            # A clock that was put back meanwhile: nothing ends before it began.
            self.end_time = max(time_ns() if end_time is None else end_time, self.start_time)
            self._recorder.lean_ended(self)

    # --- its bytes -----------------------------------------------------------------------------------

    def _start_bytes(self) -> bytes:
        found = self.head
        if found is None:
            head = _otlp.head(
                self.trace_id,
                self.span_id,
                self.parent_id,
                self.name,
                self.kind.value,
                self.start_time,
            )
            parent = self._parent
            if parent is not None and (type(parent) is SpanContext or self.trace_state):
                head += _otlp.parentage(self.parent, self.trace_state)
            found = self.head = head + _otlp.attributes(self._at_start())
        return found

    def _later_bytes(self) -> bytes:
        parts = []
        if self.result is not None:
            parts.append(_otlp.text_attribute(names.output_name(self.frame.layer), self.result))
        if self._later:
            # Copied at once: other threads may add meanwhile.
            parts.append(_otlp.attributes(self._later.copy()))
        if self.events:
            parts += map(_otlp.event, self.events)
        if self.dropped_events:
            parts.append(b"\x60" + _otlp.varint(self.dropped_events))
        if self.links:
            parts += [_otlp.link(context, attributes) for context, attributes in self.links]
        if self._status is not None:
            said = self._status.description or ""
            parts.append(_otlp.status(self._status.status_code.value, said))
        return b"".join(parts)

    def open_bytes(self) -> bytes:
        """The span as it is now, without an end; :data:`OPEN_MARK` behind it says that it is in progress."""
        return self._start_bytes() + self._later_bytes()

    def final_bytes(self) -> bytes:
        """The finished span."""
        end = b"\x41" + (self.end_time or self.start_time).to_bytes(8, "little")
        head = self.head or self._start_bytes()
        if self._later or self.events or self.links or self._status is not None:
            return b"".join((head, self._later_bytes(), end))
        if self.result is None:
            return head + end
        name = names.output_name(self.frame.layer)
        return b"".join((head, _otlp.text_attribute(name, self.result), end))


def _accepted(key: str, value: Any) -> Any:
    """The value as it is kept, copied where it could change later; None when it cannot be sent."""
    found = attribute(value)
    if found is not None:
        return found
    say_rarely(
        f"attribute:{key}",
        "tachograph: the attribute %s is a %s, which OpenTelemetry has no form for; left out",
        key,
        type_name(value),
    )
    return None
