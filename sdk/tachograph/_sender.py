"""The background thread that carries finished spans to the collector.

A bounded queue, one thread, one batch at a time, in order: a final span never overtakes the in-progress
copies of itself, because both go through the same queue under the recorder's lock. Trouble is logged once
a minute; what had to be dropped is counted. The thread starts with the first span.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context, attach
from opentelemetry.sdk.trace import ReadableSpan, Span

from tachograph._export import Delivery, Exporter
from tachograph._guard import contain, guarded, say_rarely
from tachograph._threads import not_carried
from tachograph_schemas import names

if TYPE_CHECKING:
    from tachograph._config import Config
    from tachograph._recorder import Recorder

BATCH_SPANS = 512
HEARTBEAT_SPANS = 1_000
"""At most so many open spans are re-sent in one beat."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 30.0
_LONGEST_EXIT_S = 30.0
"""An exit is not held up longer than this, however steadily the collector accepts."""


class _Item(NamedTuple):
    span: ReadableSpan
    size_bytes: int
    final: bool


class Sender:
    """Queue, thread and counters. Everything mutable is guarded by the recorder's lock."""

    def __init__(self, recorder: Recorder, exporter: Exporter, config: Config) -> None:
        self._recorder = recorder
        self._exporter = exporter
        self._config = config
        self._reset()

    def _reset(self) -> None:
        self._wake = threading.Condition(self._recorder.lock)
        self._queue: deque[_Item] = deque()
        self._queue_bytes = 0
        self._thread: threading.Thread | None = None
        self._oldest_s = 0.0
        self._hurry = False
        self._next_beat_s = 0.0
        self._give_up_s: float | None = None
        self._lost = 0
        self._lost_at_flush = 0
        self._accepted = 0
        self._taken = 0
        self._settled = 0
        self._flying = 0

    # --- what comes in -----------------------------------------------------------------------------

    def put(self, span: ReadableSpan) -> None:
        """Queue a finished span. The caller holds the recorder's lock. Never blocks."""
        self._append(span, final=True)

    def report(self, span: Span) -> None:
        """Queue an in-progress copy of a span that has just started, and send it at once."""
        copy = in_progress(span)
        with self._wake:
            context = span.get_span_context()
            if context is not None and self._recorder.is_open(context.span_id, _run_id(copy)):
                self._append(copy, final=False)
                self._hurry = True
                self._wake.notify_all()

    def _append(self, span: ReadableSpan, *, final: bool) -> None:
        size_bytes = sum(len(v) for v in (span.attributes or {}).values() if type(v) is str)
        while self._queue and (
            len(self._queue) >= self._config.queue_spans
            or self._queue_bytes + size_bytes > self._config.queue_bytes
        ):
            self._drop(self._queue.popleft())
        if not self._queue:
            self._oldest_s = time.monotonic()
        self._queue.append(_Item(span, size_bytes, final))
        self._queue_bytes += size_bytes
        self._taken += 1
        if self._thread is None:
            self._start()
        elif len(self._queue) in {1, BATCH_SPANS}:
            self._wake.notify_all()

    def _drop(self, item: _Item) -> None:
        self._queue_bytes -= item.size_bytes
        self._settled += 1
        if item.final:
            self._lost += 1
            say_rarely("queue", "tachograph: the queue is full; the oldest spans are dropped")

    def _start(self) -> None:
        self._next_beat_s = time.monotonic() + self._config.heartbeat_s
        self._thread = threading.Thread(target=self._work, name="tachograph-sender", daemon=True)
        # At interpreter exit threads cannot be started any more; then the span stays in the queue.
        with guarded("starting the sender"), not_carried():
            self._thread.start()

    # --- what others ask for -----------------------------------------------------------------------

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything queued so far was dealt with.

        Returns:
            True only if it was in time and no span was lost since the last flush.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._wake:
            target = self._taken
            # Once: hurrying again at every wake-up would cancel the pause a refusing collector asks for.
            self._hurry = True
            self._wake.notify_all()
            while self._settled < target and time.monotonic() < deadline_s:
                self._wake.wait(max(deadline_s - time.monotonic(), 0))
            intact = self._lost == self._lost_at_flush
            self._lost_at_flush = self._lost
            return self._settled >= target and intact

    def shutdown(self, timeout_s: float, *, patient: bool = False) -> bool:
        """Send what is queued and end the thread.

        Args:
            timeout_s: Seconds to wait; with ``patient``, since the collector last accepted something.
            patient: For the exit of the process: a slow collector is given time as long as it accepts.

        Returns:
            Whether everything was accepted.
        """
        started_s = time.monotonic()
        thread = self._thread
        try:
            return self._drain(thread, started_s, timeout_s, patient=patient)
        finally:
            if thread is not None and self._settled >= self._taken:
                thread.join(0.2)  # it only closes its connection now

    def _drain(
        self,
        thread: threading.Thread | None,
        started_s: float,
        timeout_s: float,
        *,
        patient: bool,
    ) -> bool:
        with self._wake:
            seen = self._accepted
            self._give_up_s = started_s + timeout_s
            self._wake.notify_all()
            while thread is not None and thread.is_alive() and self._settled < self._taken:
                if time.monotonic() >= self._give_up_s:
                    break
                self._wake.wait(max(self._give_up_s - time.monotonic(), 0.001))
                if patient and self._accepted > seen:
                    seen = self._accepted
                    latest_s = started_s + _LONGEST_EXIT_S
                    self._give_up_s = min(time.monotonic() + timeout_s, latest_s)
            self._lost += self._flying + sum(item.final for item in self._queue)
            if self._lost:
                say_rarely("exit", "tachograph: %d spans were not delivered", self._lost)
            return self._lost == self._lost_at_flush

    def after_fork(self) -> None:
        """In the child: the queue is the parent's to send, the connection the parent's to use."""
        self._exporter.transport.close()
        self._reset()

    # --- the thread ----------------------------------------------------------------------------------

    def _work(self) -> None:
        # Nothing this thread does is to be recorded by instrumentation of HTTP clients.
        attach(Context({_SUPPRESS_INSTRUMENTATION_KEY: True}))
        while True:
            with self._wake:
                while (pause_s := self._pause_s()) > 0:
                    self._wake.wait(None if pause_s == float("inf") else pause_s)
                if self._give_up_s is not None and not self._queue:
                    self._exporter.transport.close()
                    return
                self._hurry = False
            try:
                self._beat()
                self._deliver(self._take())
            except Exception as fault:
                if not contain("sending spans", fault):
                    raise

    def _pause_s(self) -> float:
        """Seconds until there is something to do. The caller holds the lock."""
        if self._give_up_s is not None or (self._queue and self._hurry):
            return 0.0
        now_s = time.monotonic()
        if len(self._queue) >= BATCH_SPANS:
            return 0.0
        pauses = [float("inf")]
        if self._queue:
            pauses.append(self._oldest_s + self._config.export_delay_s - now_s)
        if self._recorder.runs and self._config.heartbeat_s:
            pauses.append(self._next_beat_s - now_s)
        return min(pauses)

    def _beat(self) -> None:
        """Queue in-progress copies of open spans when it is time."""
        period_s = self._config.heartbeat_s
        if not period_s or time.monotonic() < self._next_beat_s:
            return
        self._next_beat_s = time.monotonic() + period_s
        copies = [
            in_progress(span)
            for span in self._recorder.still_open()[-HEARTBEAT_SPANS:]
            if isinstance(span, ReadableSpan)
        ]
        with self._wake:
            for copy in copies:
                context = copy.get_span_context()
                # Ended meanwhile, its final span is in the queue already and must stay the last word.
                if context is not None and self._recorder.is_open(context.span_id, _run_id(copy)):
                    self._append(copy, final=False)

    def _take(self) -> list[_Item]:
        with self._wake:
            batch = [self._queue.popleft() for _ in range(min(BATCH_SPANS, len(self._queue)))]
            self._queue_bytes -= sum(item.size_bytes for item in batch)
            self._oldest_s = time.monotonic()
            return batch

    def _deliver(self, batch: list[_Item]) -> None:
        """Send a batch until it is accepted, refused, or there is no time left."""
        pause_s = _FIRST_PAUSE_S
        finals = {id(item.span) for item in batch if item.final}
        spans = [item.span for item in batch]
        self._flying = len(finals)
        while spans:
            delivery = self._exporter.send(spans, self._timeout_s())
            # In-progress copies are worth one attempt: the next beat brings fresher ones.
            again = [span for span in delivery.retry if id(span) in finals]
            self._flying = len(again)
            self._settle(delivery, len(spans) - len(again))
            spans = again
            if spans and not self._wait_to_retry(delivery, pause_s):
                self._give_up(len(spans))
                return
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _timeout_s(self) -> float:
        if self._give_up_s is None:
            return self._config.export_timeout_s
        return max(min(self._config.export_timeout_s, self._give_up_s - time.monotonic()), 0.05)

    def _give_up(self, unsent: int) -> None:
        """The process exits and the collector does not answer: what is left is lost, and counted."""
        with self._wake:
            finals = sum(item.final for item in self._queue)
            settled = unsent + len(self._queue)
            self._queue.clear()
            self._queue_bytes = 0
            self._flying = 0
            self._settle(Delivery(lost=unsent + finals), settled)

    def _settle(self, delivery: Delivery, settled: int) -> None:
        with self._wake:
            self._accepted += delivery.accepted
            self._lost += delivery.lost
            self._settled += settled
            self._wake.notify_all()
        if delivery.lost and delivery.why:
            say_rarely(
                f"lost:{delivery.why}",
                "tachograph: %d spans are lost: %s says %s",
                delivery.lost,
                self._exporter.transport.url,
                delivery.why,
            )

    def _wait_to_retry(self, delivery: Delivery, pause_s: float) -> bool:
        """Pause before the next attempt; False when the process is to exit without one."""
        url = self._exporter.transport.url
        wait_s = pause_s * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not a secret
        if delivery.after_s is not None:
            wait_s = min(max(delivery.after_s, wait_s), _LONGEST_PAUSE_S)
        with self._wake:
            if self._give_up_s is None:
                say_rarely(
                    "unreachable",
                    "tachograph: %s does not take spans (%s); they are kept and sent again later",
                    url,
                    delivery.why,
                )
                self._wake.wait_for(
                    lambda: self._hurry or self._give_up_s is not None, timeout=wait_s
                )
                self._hurry = False
                return True
            left_s = self._give_up_s - time.monotonic()
            # Nobody listens: one more attempt for a collector that is just restarting, then go.
            if left_s <= 0 or (delivery.unreachable and pause_s > _FIRST_PAUSE_S):
                return False
            time_s = min(wait_s, left_s, _FIRST_PAUSE_S)
            deadline_s = time.monotonic() + time_s
            while (rest_s := deadline_s - time.monotonic()) > 0:
                self._wake.wait(rest_s)
            return True


def in_progress(span: ReadableSpan) -> ReadableSpan:
    """A copy of an unfinished span as it is now: no end time, ``tacho.open`` set."""
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes={**(span.attributes or {}), names.OPEN: True},
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=None,
        instrumentation_scope=span.instrumentation_scope,
    )


def _run_id(span: ReadableSpan) -> str:
    return str((span.attributes or {}).get(names.RUN_ID, ""))
