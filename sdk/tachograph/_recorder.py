"""The one recorder of this process: where spans are made, stamped, counted and handed to the sender.

There is at most one in use. It is asked for on every decorated call, so it is a bare global.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.trace import SpanKind

from tachograph import _guard, _otlp
from tachograph._frame import OUTSIDE, Frame, RunState, frame_of
from tachograph._guard import guarded, say_unsaid, unsaid
from tachograph._lean import LeanSpan
from tachograph._otlp import Json
from tachograph._segment import FINAL, FOREIGN
from tachograph._stacks import keep_contexts
from tachograph._waits import Mutex
from tachograph_schemas import names

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span, Tracer

    from tachograph._policy import Policy

LIVE_LIMIT = 50_000
"""Unfinished spans known at a time."""

_active: Recorder | None = None

replaying = False
"""Whether this process replays a recording: ``init`` then changes nothing, whoever calls it."""

Sink = Callable[[Any], None]
"""Takes a finished span (an SDK ``ReadableSpan`` or a :class:`LeanSpan`). Called under the recorder's lock."""


class Keeper(Protocol):
    """Where spans are kept until they are sent. Every method but ``opened`` is called under the lock."""

    def keep(self, kind: int, content: bytes) -> None:
        """Keep a finished span; ``kind`` and ``content`` as in :mod:`tachograph._segment`."""

    def opened(self, span_id: int, kind: int, content: bytes, *, announce: bool) -> None:
        """Keep the state of a span that is open, in case the process dies; ``announce``: send it, too."""

    def closed(self, span_id: int) -> None:
        """The span has ended."""


def active() -> Recorder | None:
    """The recorder in use, or None when the SDK is off."""
    return _active


def activate(recorder: Recorder | None) -> Recorder | None:
    """Put ``recorder`` to use (None: switch off) and return the one before."""
    global _active
    if recorder is not None:
        keep_contexts()
        _guard.has_lock = recorder.has_lock
    before, _active = _active, recorder
    return before


class Recorder:
    """What is known about live runs and spans. ``lock`` guards all of it, the sinks included."""

    def __init__(self, tracer: Tracer, capture_limit_bytes: int, *, lean: bool = False) -> None:
        self.tracer = tracer
        self.lean = lean
        """Whether spans of ours are made without the OpenTelemetry SDK: nobody else wants to see them."""
        self.capture_limit_bytes = capture_limit_bytes
        self.capture_policy: Policy = "full"
        """How much of payloads is recorded at most, whatever a decorator says."""
        self.lock = Mutex()
        self.sinks: list[Sink] = []
        self.keeper: Keeper | None = None
        self.runs: dict[str, RunState] = {}
        self.live: dict[int, Frame] = {}
        """Frames of unfinished spans in runs by span id: how a foreign child that was given no context
        of ours finds its run."""

    def has_lock(self) -> bool:
        """Whether this thread has the lock."""
        return self.lock._is_owned()  # type: ignore[no-any-return]  # what Condition uses, too

    def start(
        self,
        name: str,
        context: Context,
        attributes: dict[str, Any],
        frame: Frame,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        start_time_ns: int | None = None,
    ) -> Span:
        """Start a span of ours under the current one of ``context``."""
        if self.lean:
            return LeanSpan.under(context, self, name, attributes, frame, kind, start_time_ns)
        texts = {
            key: str(value) if type(value) is Json else value for key, value in attributes.items()
        }
        span = self.tracer.start_span(
            name, context, kind=kind, attributes=texts, start_time=start_time_ns
        )
        if span.is_recording():
            return span
        # The program samples its own traces; a run is recorded whatever it chose, for us alone.
        own = span.get_span_context()
        return LeanSpan.under(context, self, name, attributes, frame, kind, start_time_ns, own)

    def opened(self, span: Span, frame: Frame, *, reported: bool, announce: bool = False) -> None:
        """Note that a span of ours has started; code inside it sees ``frame``.

        ``reported``: it is worth telling of while it runs; ``announce``: at once.
        """
        if frame.run is None or not span.is_recording():
            return
        span_id = span.span_id if type(span) is LeanSpan else span.get_span_context().span_id
        kept = open_record(span) if reported and self.keeper is not None else (0, b"")
        self.note_open(span, span_id, frame, *kept, reported=reported, announce=announce)

    def note_open(
        self,
        span: Span,
        span_id: int,
        frame: Frame,
        kind: int,
        content: bytes,
        *,
        reported: bool,
        announce: bool,
    ) -> None:
        """:meth:`opened` for a span in a run whose record, ``kind`` and ``content``, was made."""
        run, live = frame.run, self.live
        # Single operations on dictionaries need no lock; those who list them do so in one, too.
        live[span_id] = frame
        if len(live) > LIVE_LIMIT:
            self._forget_oldest()
        if reported and run is not None and not run.ended:
            run.open_spans[span_id] = span
            if self.keeper is not None:
                self.keeper.opened(span_id, kind, content, announce=announce)

    def run_started(self, run: RunState, frame: Frame) -> None:
        """Note a new run; its span is reported as in progress at once."""
        if type(run.span) is LeanSpan:
            run.span.frame = frame
        with self.lock:
            self.runs[run.id] = run
        self.opened(run.span, frame, reported=True, announce=True)

    def run_ending(self, run: RunState) -> int:
        """How many spans the run made, counting its own, which is about to end."""
        with self.lock:
            run.ended = True
            self.runs.pop(run.id, None)
            # What is still open belongs to work the run left behind: no longer in progress here.
            left, run.open_spans = run.open_spans, {}
            if self.keeper is not None:
                for span_id in left:
                    self.keeper.closed(span_id)
            return run.spans_ended + 1

    def span_started(self, span: Span, parent: Context | None) -> None:
        """Stamp a span that any instrumentation started with the run it is in."""
        attributes: Any = getattr(span, "attributes", None)
        if attributes is None or names.RUN_ID in attributes or names.LAYER in attributes:
            return  # one of ours: stamped when it was made
        frame = frame_of(parent)
        above = getattr(span, "parent", None)
        if frame.run is None and above is not None:
            frame = self.live.get(above.span_id, OUTSIDE)
        if frame.run is None:
            return
        for key, value in frame.stamps().items():
            if key not in attributes:
                span.set_attribute(key, value)
        self.live[span.get_span_context().span_id] = frame
        if len(self.live) > LIVE_LIMIT:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        # Instrumentation that never ends its spans must not fill the agent's memory.
        with self.lock:
            self.live.pop(next(iter(list(self.live))), None)

    def lean_ended(self, span: LeanSpan) -> None:
        """Count a finished span of ours and hand it on."""
        content = span.final_bytes() if self.keeper is not None else b""
        with self.lock:
            self.live.pop(span.span_id, None)
            self._hand_on(span, span.frame.run, span.span_id, FINAL, content)
        if unsaid:
            say_unsaid()

    def span_ended(self, span: ReadableSpan) -> None:
        """Count a finished span and hand it to the sinks, in one step with closing it."""
        context = span.get_span_context()
        if context is None or not context.trace_flags.sampled:
            return
        run_id = (span.attributes or {}).get(names.RUN_ID)
        content = foreign_bytes(span) if self.keeper is not None else b""
        with self.lock:
            frame = self.live.pop(context.span_id, None)
            run = frame.run if frame is not None else self.runs.get(str(run_id))
            self._hand_on(span, run, context.span_id, FINAL | FOREIGN, content)
        if unsaid:
            say_unsaid()

    def _hand_on(
        self, span: Any, run: RunState | None, span_id: int, kind: int, content: bytes
    ) -> None:
        reported = False
        if run is not None:
            run.spans_ended += 1
            reported = run.open_spans.pop(span_id, None) is not None
        keeper = self.keeper
        if keeper is not None:
            keeper.keep(kind, content)
            if reported:
                keeper.closed(span_id)
        if self.sinks:
            self._tell_sinks(span)

    def _tell_sinks(self, span: Any) -> None:
        for sink in self.sinks:
            with guarded("keeping a finished span"):
                sink(span)

    def still_open(self) -> list[Span]:
        """The unfinished spans of live runs that are worth reporting."""
        with self.lock:
            runs = list(self.runs.values())
        return [span for run in runs for span in list(run.open_spans.values())]

    def is_open(self, span_id: int) -> bool:
        """Whether a span of a run has not ended yet. Only meaningful while holding ``lock``."""
        frame = self.live.get(span_id)
        return frame is not None and frame.run is not None and span_id in frame.run.open_spans

    def after_fork(self) -> None:
        """In the child: other threads are gone, so is whatever they held. The run goes on in both."""
        self.lock = Mutex()
        for frame in list(self.live.values()):
            for budget in frame.budgets:
                budget.lock = Mutex()
        for run in self.runs.values():
            run.after_fork()
            # The parent reports these; twice would be a race about the final state.
            run.open_spans.clear()


def open_record(span: Any) -> tuple[int, bytes]:
    """The kind and content of a span that is in progress, as it is now."""
    if type(span) is LeanSpan:
        return 0, span.open_bytes()
    return FOREIGN, foreign_bytes(span, is_open=True)


def foreign_bytes(span: ReadableSpan, *, is_open: bool = False) -> bytes:
    """A span of the OpenTelemetry SDK behind its scope."""
    scope = _otlp.scope_of(span.instrumentation_scope)
    length = len(scope).to_bytes(2, "little")
    return b"".join((length, scope, _otlp.readable(span, is_open=is_open)))
