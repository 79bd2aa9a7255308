"""The one recorder of this process: where spans are made, stamped, counted and handed to the sender.

There is at most one in use. It is asked for on every decorated call, so it is a bare global.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tachograph._frame import OUTSIDE, Frame, RunState, frame_of
from tachograph._guard import guarded
from tachograph_schemas import names

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span, Tracer

    from tachograph._policy import Policy

LIVE_LIMIT = 50_000
"""Unfinished spans known at a time."""

_active: Recorder | None = None

Sink = Callable[["ReadableSpan"], None]
"""Takes a finished span. Called under the recorder's lock, so it only stores or queues."""


def active() -> Recorder | None:
    """The recorder in use, or None when the SDK is off."""
    return _active


def activate(recorder: Recorder | None) -> Recorder | None:
    """Put ``recorder`` to use (None: switch off) and return the one before."""
    global _active
    before, _active = _active, recorder
    return before


class Recorder:
    """What is known about live runs and spans. ``lock`` guards all of it, the sinks included."""

    def __init__(self, tracer: Tracer, capture_limit_bytes: int) -> None:
        self.tracer = tracer
        self.capture_limit_bytes = capture_limit_bytes
        self.capture_policy: Policy = "full"
        """How much of payloads is recorded at most, whatever a decorator says."""
        self.lock = threading.RLock()
        self.sinks: list[Sink] = []
        self.on_start: list[Callable[[Any], None]] = []
        """Told the span of each run that starts, unfinished and readable."""
        self.runs: dict[str, RunState] = {}
        self.live: dict[int, Frame] = {}
        """Frames of unfinished spans in runs by span id: how a foreign child that was given no context
        of ours finds its run."""

    def opened(self, span: Span, frame: Frame, *, reported: bool) -> None:
        """Note that a span of ours has started; code inside it sees ``frame``."""
        run = frame.run
        if run is None or not span.is_recording():
            return
        span_id = span.get_span_context().span_id
        with self.lock:
            self._keep_live(span_id, frame)
            if reported and not run.ended:
                run.open_spans[span_id] = span

    def run_started(self, run: RunState, frame: Frame) -> None:
        """Note a new run; its span is reported as in progress at once."""
        with self.lock:
            self.runs[run.id] = run
        self.opened(run.span, frame, reported=True)
        self.announce(run.span)

    def announce(self, span: Span) -> None:
        """Report a span that has just started as in progress, at once."""
        if span.is_recording():
            for tell in self.on_start:
                tell(span)

    def run_ending(self, run: RunState) -> int:
        """How many spans the run made, counting its own, which is about to end."""
        with self.lock:
            run.ended = True
            self.runs.pop(run.id, None)
            # What is still open belongs to work the run left behind: no longer in progress here.
            run.open_spans.clear()
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
        with self.lock:
            self._keep_live(span.get_span_context().span_id, frame)

    def _keep_live(self, span_id: int, frame: Frame) -> None:
        self.live[span_id] = frame
        if len(self.live) > LIVE_LIMIT:
            # Instrumentation that never ends its spans must not fill the agent's memory.
            del self.live[next(iter(self.live))]

    def span_ended(self, span: ReadableSpan) -> None:
        """Count a finished span and hand it to the sinks, in one step with closing it."""
        context = span.get_span_context()
        if context is None or not context.trace_flags.sampled:
            return
        run_id = (span.attributes or {}).get(names.RUN_ID)
        with self.lock:
            frame = self.live.pop(context.span_id, None)
            run = frame.run if frame is not None else self.runs.get(str(run_id))
            if run is not None:
                run.spans_ended += 1
                run.open_spans.pop(context.span_id, None)
            for sink in self.sinks:
                with guarded("keeping a finished span"):
                    sink(span)

    def still_open(self) -> list[Span]:
        """The unfinished spans of live runs that are worth reporting."""
        with self.lock:
            return [span for run in self.runs.values() for span in run.open_spans.values()]

    def is_open(self, span_id: int, run_id: str) -> bool:
        """Whether a span has not ended yet. Only meaningful while holding ``lock``."""
        run = self.runs.get(run_id)
        return run is not None and span_id in run.open_spans

    def after_fork(self) -> None:
        """In the child: other threads are gone, so is whatever they held. The run goes on in both."""
        self.lock = threading.RLock()
        for run in self.runs.values():
            run.lock = threading.Lock()
            # The parent reports these; twice would be a race about the final state.
            run.open_spans.clear()
