"""The background thread that carries finished spans to the collector.

A spool, one thread, one batch at a time, in order: a final span never overtakes the in-progress copies of
itself, because both go through the same spool under the recorder's lock. Trouble is logged once a minute; what
had to be dropped is counted. The thread starts with the first span. When it has nothing else to do it sends what
processes that are gone left behind.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context, attach

from tachograph._export import Delivery, Exporter
from tachograph._guard import contain, guarded, say_rarely, say_unsaid
from tachograph._kept import Kept
from tachograph._lean import OPEN_MARK
from tachograph._recorder import open_record
from tachograph._segment import Record
from tachograph._spool import Mark, Spool, final_count
from tachograph._waits import Background

if TYPE_CHECKING:
    from pathlib import Path

    from tachograph._config import Config
    from tachograph._recorder import Recorder
    from tachograph._screened import Screened

BATCH_SPANS = 512
_BATCH_BYTES = 3 << 20
"""A batch is taken out of the spool up to this size, so that it rarely has to be split."""
_RECOVERY_S = 60.0
"""How often the spools of processes that are gone are looked for."""
HEARTBEAT_SPANS = 1_000
"""At most so many open spans are re-sent in one beat."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 30.0
_LONGEST_EXIT_S = 30.0
"""An exit is not held up longer than this, however steadily the collector accepts."""


class Sender:
    """Spool, thread and counters. Everything mutable is guarded by the recorder's lock."""

    def __init__(
        self,
        recorder: Recorder,
        exporter: Exporter,
        spool: Spool,
        config: Config,
        recover: Callable[[], Iterator[Delivery]],
    ) -> None:
        """``recover`` sends a batch that a process which is gone left behind at each step."""
        self._recorder = recorder
        self._exporter = exporter
        self.spool = spool
        self._config = config
        self._recover = recover
        self._reset()

    def _reset(self) -> None:
        self._wake = threading.Condition(self._recorder.lock)
        self._thread: Background | None = None
        self._slots: dict[int, int] = {}
        """Where open spans stand in the spool's table, by span id."""
        self._oldest_s = 0.0
        self._hurry = False
        self._next_beat_s = 0.0
        self._next_recovery_s = 0.0
        self._recovery: Iterator[Delivery] | None = None
        self._give_up_s: float | None = None
        self._stopped = False
        self._lost_by_refusal = 0
        self._lost_at_flush = 0
        self._accepted = 0
        self._taken = 0
        self._dealt_with = 0
        self._flying = 0

    @property
    def _lost(self) -> int:
        return self._lost_by_refusal + self.spool.dropped_finals

    @property
    def _settled(self) -> int:
        return self._dealt_with + self.spool.dropped

    @property
    def screened(self) -> Screened:
        """What need not be looked through again before it is sent."""
        return self._exporter.screened

    def name_bodies(self) -> Kept:
        """Have the collector keep bodies from now on, as far as it does; which it keeps."""
        self._exporter.kept = kept = Kept()
        return kept

    # --- what comes in -----------------------------------------------------------------------------

    def keep(self, kind: int, content: bytes) -> None:
        """Keep a finished span. The caller holds the recorder's lock. Never blocks."""
        spool = self.spool
        if not spool.waiting or self._thread is None or spool.waiting == BATCH_SPANS - 1:
            self._append(kind, content)
        else:
            spool.append(kind, content)
            self._taken += 1

    def opened(self, span_id: int, kind: int, content: bytes, *, announce: bool) -> None:
        """Keep the state of an open span; ``announce``: send it as it is now, at once."""
        slots = self.spool.slots
        if slots is not None:
            self._slots[span_id] = slots.put(kind, content)
        if announce:
            with self._recorder.lock:
                self._append(kind, content + OPEN_MARK)
                self._hurry = True
                self._wake.notify_all()
            say_unsaid()

    def closed(self, span_id: int) -> None:
        """Forget that a span is open. The caller holds the recorder's lock."""
        slot = self._slots.pop(span_id, -1)
        if slot >= 0 and self.spool.slots is not None:
            self.spool.slots.free(slot)

    def _append(self, kind: int, content: bytes) -> None:
        spool = self.spool
        waiting = spool.waiting
        if not waiting:
            self._oldest_s = time.monotonic()
        spool.append(kind, content)
        self._taken += 1
        if self._thread is None:
            self._start()
        elif not waiting or spool.waiting == BATCH_SPANS:
            self._wake.notify_all()

    def _start(self) -> None:
        self._next_beat_s = time.monotonic() + self._config.heartbeat_s
        # At interpreter exit threads cannot be started any more; then the span stays in the queue.
        self._thread = Background(self._work, "tachograph-sender")
        with guarded("starting the sender"):
            self._thread.start()

    # --- what others ask for -----------------------------------------------------------------------

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything queued so far was dealt with.

        Returns:
            True only if it was in time and no span was lost since the last flush.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._recorder.lock:
            target = self._taken
            # Once: hurrying again at every wake-up would cancel the pause a refusing collector asks for.
            self._hurry = True
            self._wake.notify_all()
            while self._settled < target and time.monotonic() < deadline_s:
                self._wake.wait(max(deadline_s - time.monotonic(), 0))
            intact = self._lost == self._lost_at_flush
            self._lost_at_flush = self._lost
            is_done = self._settled >= target and intact
        say_unsaid()
        return is_done

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
            say_unsaid()
            if thread is not None and self._settled >= self._taken:
                thread.join(0.2)  # it only closes its connection now

    def _drain(
        self,
        thread: Background | None,
        started_s: float,
        timeout_s: float,
        *,
        patient: bool,
    ) -> bool:
        with self._recorder.lock:
            seen = self._accepted
            self._give_up_s = started_s + timeout_s
            self._wake.notify_all()
            while thread is not None and thread.is_alive() and self._settled < self._taken:
                if self._stopped or time.monotonic() >= self._give_up_s:
                    break
                self._wake.wait(max(self._give_up_s - time.monotonic(), 0.001))
                if patient and self._accepted > seen:
                    seen = self._accepted
                    latest_s = started_s + _LONGEST_EXIT_S
                    self._give_up_s = min(time.monotonic() + timeout_s, latest_s)
            unsent = self._flying + self.spool.waiting_finals
            kept = self.spool.close(keep=unsent > 0)
            self._say_unsent(unsent, kept)
            return not unsent and self._lost == self._lost_at_flush

    def _say_unsent(self, unsent: int, kept: Path | None) -> None:
        if unsent and kept is not None:
            say_rarely(
                "exit",
                "tachograph: %d spans were not delivered yet; they are in %s, and sent by the next program that "
                "records here or by `tacho recover`",
                unsent,
                kept,
            )
        elif unsent or self._lost:
            say_rarely("exit", "tachograph: %d spans were not delivered", unsent + self._lost)

    def after_fork(self) -> None:
        """In the child: the queue is the parent's to send, the connection the parent's to use."""
        # First what is in files: the child must not write where its parent does, whatever else goes wrong.
        self.spool.after_fork()
        self._reset()
        self._exporter.transport.leave_to_parent()

    # --- the thread ----------------------------------------------------------------------------------

    def _work(self) -> None:
        # Nothing this thread does is to be recorded by instrumentation of HTTP clients.
        attach(Context({_SUPPRESS_INSTRUMENTATION_KEY: True}))
        while True:
            with self._recorder.lock:
                while (pause_s := self._pause_s()) > 0:
                    self._wake.wait(None if pause_s == float("inf") else pause_s)
                if self._stopped or (self._give_up_s is not None and not self.spool.waiting):
                    self._exporter.transport.close()
                    return
                self._hurry = False
                self.spool.mend()
                if self.spool.slots is not None:
                    self.spool.slots.alive(time.time_ns())
            try:
                say_unsaid()
                self._beat()
                self._deliver(*self._take())
                self._look_after_others()
            except Exception as fault:
                if not contain("sending spans", fault):
                    raise

    def _pause_s(self) -> float:
        """Seconds until there is something to do. The caller holds the lock."""
        if self._give_up_s is not None or (self.spool.waiting and self._hurry):
            return 0.0
        now_s = time.monotonic()
        if self.spool.waiting >= BATCH_SPANS:
            return 0.0
        pauses = [0.0 if self._recovery is not None else self._next_recovery_s - now_s]
        if self.spool.waiting:
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
        for span in self._recorder.still_open()[-HEARTBEAT_SPANS:]:
            if not span.is_recording():
                continue
            kind, content = open_record(span)
            span_id = span.get_span_context().span_id
            with self._recorder.lock:
                # Ended meanwhile, its final span is in the spool already and must stay the last word.
                if self._recorder.is_open(span_id):
                    self._append(kind, content + OPEN_MARK)
                    self._replace_slot(span_id, kind, content)

    def _replace_slot(self, span_id: int, kind: int, content: bytes) -> None:
        slot, slots = self._slots.get(span_id, -1), self.spool.slots
        if slot >= 0 and slots is not None:
            self._slots[span_id] = slots.replace(slot, kind, content)

    def _take(self) -> tuple[list[Record], list[Mark]]:
        with self._recorder.lock:
            taken = self.spool.take(BATCH_SPANS, _BATCH_BYTES)
            self._flying = final_count(taken[0])
            self._oldest_s = time.monotonic()
        spare = self.spool.prepare()
        if spare is not None:
            with self._recorder.lock:
                self.spool.add(spare)
        return taken

    def _deliver(self, records: list[Record], marks: list[Mark]) -> None:
        """Send a batch until it is accepted, refused, or there is no time left."""
        pause_s = _FIRST_PAUSE_S
        while records:
            delivery = self._exporter.send(records, self.timeout_s())
            # In-progress copies are worth one attempt: the next beat brings fresher ones.
            again = [record for record in delivery.retry if record.final]
            if not again:
                with self._recorder.lock:
                    self.spool.settle(marks)
            self._flying = len(again)
            self._settle(delivery, len(records) - len(again))
            records = again
            if records and not self._wait_to_retry(delivery, pause_s):
                with self._recorder.lock:
                    self._stopped = True
                    self._wake.notify_all()
                return
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _look_after_others(self) -> None:
        """One step of sending what processes that are gone left; nothing while there is work of our own."""
        if self._give_up_s is not None or self.spool.waiting:
            return
        if self._recovery is None:
            if time.monotonic() < self._next_recovery_s:
                return
            self._recovery = self._recover()
        delivery = next(self._recovery, None)
        if delivery is None or delivery.retry:
            self._recovery = None
            self._next_recovery_s = time.monotonic() + _RECOVERY_S

    def timeout_s(self) -> float:
        """For the next request, seconds."""
        if self._give_up_s is None:
            return self._config.export_timeout_s
        return max(min(self._config.export_timeout_s, self._give_up_s - time.monotonic()), 0.05)

    def _settle(self, delivery: Delivery, settled: int) -> None:
        with self._recorder.lock:
            self._accepted += delivery.accepted
            self._lost_by_refusal += delivery.lost
            self._dealt_with += settled
            self._wake.notify_all()
        if delivery.lost and delivery.why:
            say_rarely(
                f"lost:{delivery.why}",
                "tachograph: %s lost: %s says %s",
                "1 span is" if delivery.lost == 1 else f"{delivery.lost} spans are",
                self._exporter.transport.url,
                delivery.why,
            )

    def _wait_to_retry(self, delivery: Delivery, pause_s: float) -> bool:
        """Pause before the next attempt; False when the process is to exit without one."""
        url = self._exporter.transport.url
        wait_s = pause_s * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not a secret
        if delivery.after_s is not None:
            wait_s = min(max(delivery.after_s, wait_s), _LONGEST_PAUSE_S)
        if self._give_up_s is None:
            say_rarely(
                "unreachable",
                "tachograph: %s does not take spans (%s); they are kept and sent again later",
                url,
                delivery.why,
            )
        with self._recorder.lock:
            if self._give_up_s is None:
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
