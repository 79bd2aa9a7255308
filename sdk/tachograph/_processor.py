"""The recorder as OpenTelemetry sees it. Imports the OpenTelemetry SDK: load it in ``init`` only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from tachograph._guard import guarded

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from tachograph._recorder import Recorder


class TachographProcessor(SpanProcessor):
    """Stamps spans when they start and hands them on when they end, foreign ones included."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Called by the provider for every span, on the thread that starts it."""
        with guarded("stamping a span"):
            self.recorder.span_started(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Called by the provider for every span, on the thread that ends it."""
        with guarded("counting a span"):
            self.recorder.span_ended(span)

    def shutdown(self) -> None:
        """Nothing of its own: the sender is shut down by ``tacho.shutdown``."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """What a foreign provider's ``force_flush`` reaches; flushes our sender as well.

        Blocks for ``timeout_millis`` at most.
        """
        from tachograph._setup import flush

        return flush(timeout_s=timeout_millis / 1_000)
