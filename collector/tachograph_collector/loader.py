"""From the log into the engine, exactly once.

Pattern: one thread reads committed records behind a position and stores them as one insert (one partition, so one part: all or
nothing). When there is nothing more to store, and once a second at least, it recomputes the runs that were touched. Once a second a
barrier makes the inserts lasting, the engine is asked which records it really has, missing ones are inserted again, and only then
the checkpoint moves on and old log files go.

Recovery is the same loop: after a start, the engine is asked what it has behind the checkpoint, and those records are
not inserted again. An insert whose outcome is unknown is settled the same way.

A record is known by its sequence number together with its receive time: numbers may be used twice by a log that lost
files, times never repeat. Rows that later writes of the same spans replaced may vanish from the engine by merging;
inserting them again changes nothing, because a span is kept once by its id.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from tachograph_collector.ending import engine_thread
from tachograph_collector.healing import Healer, may_be_broken
from tachograph_collector.kinds import by_signal, signal_of
from tachograph_collector.metrics import Metrics
from tachograph_collector.pace import BatchLimits, Pace
from tachograph_collector.quarantine import Quarantine
from tachograph_collector.rollups import RollUps
from tachograph_collector.store import EngineStore, Stored, is_hungry, is_transient
from tachograph_collector.wal import Log, Record
from tachograph_schemas import metric_names
from tachograph_schemas.names import Signal
from tachograph_schemas.store import SchemaTooNewError, StoreError

logger = logging.getLogger(__name__)

_NS_PER_DAY = 86_400 * 10**9
_CHECKPOINT_EVERY_S = 1.0
_STOP_S = 5.0
_RETRY_S = (0.1, 0.5, 1.0, 2.0, 5.0)
_HUNGRY_TRIES = 3  # then a batch that the engine has no memory for is halved, and a body set aside


class Loader:
    """The loader's thread. ``ready`` is set once the engine is open and recovery is done."""

    def __init__(
        self,
        log: Log,
        engine: EngineStore,
        quarantine: Quarantine,
        metrics: Metrics,
        limits: BatchLimits,
    ) -> None:
        self._log = log
        self._engine = engine
        self._quarantine = quarantine
        self._metrics = metrics
        self._limits = limits
        self._stop = threading.Event()
        self._unconfirmed: list[Stored] = []  # marks only: the log has the bodies
        self._unconfirmed_signals: set[Signal] = set()
        self._stored: set[Stored] = set()
        self._position = log.start()
        self._roll_ups = RollUps(engine, log.writer_id)
        self._pace = Pace(log, limits, self._stop)
        self._healer = Healer(engine, metrics, quarantine.directory.parent / "broken_parts.json")
        # What the engine had up to here, before it lost some of it.
        self._lost_up_to = 0
        self._restored = 0
        self._is_broken = False  # and what the log still holds must be looked through again
        self._doubt: Exception | None = None
        self._confirmed_at = time.monotonic()
        self.ready = threading.Event()
        self.failure: Exception | None = None
        """Why the engine cannot be opened for good; the process should end with this message."""
        self.trouble = ""
        """What currently keeps batches from being stored; empty when all is well."""
        self._on_ready: list[Callable[[], None]] = []
        self._thread = engine_thread(self._run, "loader")

    def start(self, on_ready: Callable[[], None]) -> None:
        """Open the engine and begin; ``on_ready`` is called on the loader's thread, also on failure."""
        self._on_ready.append(on_ready)
        self._thread.start()

    def stop(self, drain_s: float) -> bool:
        """Store what is in the closed log for at most ``drain_s`` seconds; True when all is stored."""
        if self.ready.is_set() and not self.trouble:
            self._thread.join(drain_s)
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_S)
        return self._log.checkpoint >= self._log.committed

    # --- the thread ---

    def _run(self) -> None:
        try:
            if self._open():
                self._load_forever()
        except _StoppingError:
            logger.info("Stopped while waiting for the engine; the log has the rest.")
        except Exception as error:
            # Nothing is lost, the log has it all; but without this thread nothing is stored either.
            logger.exception("The loader ended unexpectedly")
            self._say_trouble("The loader ended; restart the collector", error)
        finally:
            self._engine.close()

    def _open(self) -> bool:
        """Open the engine, trying again while it is merely unreachable."""
        attempt = 0
        while not self._stop.is_set():
            try:
                for name in self._engine.open():
                    logger.info("Migrated: %s", name)
                self._is_broken = self._healer.heal() or self._healer.is_pending
                self._recover()
            except SchemaTooNewError as error:
                self._fail(error)
                return False
            except Exception as error:
                if may_be_broken(error) and self._healer.heal(str(error)):
                    self._engine.close()
                    continue
                # The embedded engine either opens or does not; a server may come up later.
                if self._engine.embedded or not is_transient(error):
                    self._fail(error)
                    return False
                self._say_trouble("The engine cannot be reached", error)
                self._stop.wait(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1
                continue
            self._clear_trouble()
            self.ready.set()
            self._announce()
            return True
        return False

    def _fail(self, error: Exception) -> None:
        self.failure = error
        self._announce()

    def _announce(self) -> None:
        while self._on_ready:
            self._on_ready.pop()()

    def _recover(self) -> None:
        """Learn what the engine already has behind the checkpoint, and bring its runs up to date. When it lost data,
        that is behind the oldest record that the log still holds.
        """
        writer, mark = self._log.writer_id, self._log.checkpoint
        kept_after = min(self._log.kept_after, mark)
        known = self._engine.stored_after(writer, kept_after)
        newest = max((one.sequence for one in known), default=0)
        due = mark
        while due > max(newest, kept_after) and self._quarantine.holds_sequence(due):
            due -= 1  # was set aside: the engine never had it
        if self._is_broken or (kept_after < due and newest < due):
            logger.warning(
                "The engine does not have what the log's checkpoint says: its data %s. What the log "
                "still holds is stored again.",
                "was broken" if self._is_broken else "was removed or is an older copy",
            )
            self._lost_up_to = max(self._lost_up_to, mark)
            self._log.rewind()
            mark = self._log.checkpoint
        self._position = self._log.start()
        self._unconfirmed, self._unconfirmed_signals = [], set()
        if self._is_broken:
            self._compute_missing_runs()
        self._is_broken = False
        if self._log.committed <= mark:
            return
        self._stored = {one for one in known if one.sequence > mark}
        self._roll_ups.recover(self._engine.batches_after(writer, mark))

    def _compute_missing_runs(self) -> None:
        """Runs are made of spans: those whose rows are gone can be computed again."""
        for writer, batch in self._engine.batches_without_runs():
            self._engine.roll_up(writer, [batch])

    def _heal(self, error: Exception) -> bool:
        """Whether an error came of broken data that is set aside now; then start over from the kept log."""
        if not may_be_broken(error):
            return False
        self._is_broken = self._healer.heal(str(error)) or self._is_broken
        if not self._is_broken:
            return False
        self._recover()
        return True

    def _load_forever(self) -> None:
        while not self._stop.is_set():
            if self._log.wait(self._position.sequence, _CHECKPOINT_EVERY_S / 4):
                self._pace.wait(self._position)
                try:
                    read, self._position = self._log.read(
                        self._position, self._limits.max_bytes, self._limits.max_spans
                    )
                except OSError as error:
                    self._say_trouble("The log cannot be read now", error)
                    self._stop.wait(_RETRY_S[-1])
                    continue
                began = time.monotonic()
                for batch in _by_day(read):
                    self._store(batch)
                self._pace.stored(began)
            elif self._log.closed:
                break
            is_time = time.monotonic() - self._confirmed_at >= _CHECKPOINT_EVERY_S
            if is_time or self._log.committed <= self._position.sequence:
                self._compute_runs(self._roll_ups.compute)
            if is_time:
                self._confirm()
        self._compute_runs(self._roll_ups.finish)
        self._confirm()

    def _store(self, batch: list[Record]) -> None:
        """Store a batch, one insert a signal, however long the engine keeps it waiting; unstorable bodies go aside."""
        missing = [record for record in batch if not self._is_stored(record)]
        for records in by_signal(missing):
            self._insert_or_split(records)
        self._unconfirmed += map(_mark, batch)
        self._unconfirmed_signals.update(filter(None, map(signal_of, batch)))

    def _is_stored(self, record: Record) -> bool:
        # Bodies in quarantine are looked for only where the log is read a second time.
        return _mark(record) in self._stored or (
            record.sequence <= self._lost_up_to and self._in_quarantine(_mark(record))
        )

    def _insert_or_split(self, records: list[Record]) -> None:
        """Insert records of one signal; when the engine refuses the data, halve until the bad body is alone."""
        started = time.monotonic()
        batch = records[0].sequence
        try:
            self._until_taken(lambda: self._engine.insert(self._log.writer_id, batch, records))
        except StoreError as error:
            if len(records) > 1:
                middle = len(records) // 2
                self._insert_or_split(records[:middle])
                self._insert_or_split(records[middle:])
                return
            reason = str(error)
            self._until_taken(lambda: self._quarantine.put(records[0], reason))
            return
        signal = signal_of(records[0]) or "traces"
        if signal == "traces":
            self._roll_ups.stored(batch)
        add = self._metrics.add
        add(metric_names.INSERTS, signal=signal)
        add(metric_names.INSERT_SECONDS, time.monotonic() - started, signal=signal)
        add(metric_names.RECORDS_STORED, sum(record.spans for record in records), signal=signal)
        restored = sum(record.sequence <= self._lost_up_to for record in records)
        if restored:
            self._restored += restored
            add(metric_names.BODIES_RESTORED, restored, signal=signal)

    def _compute_runs(self, compute: Callable[[], None]) -> None:
        try:
            self._until_taken(compute)
        except StoreError as error:
            self._doubt = error
            # The spans are stored; the next batch of the same runs recomputes them.
            logger.exception("Runs could not be computed")
            self._roll_ups.give_up()

    def _until_taken(self, action: Callable[[], None]) -> None:
        """Repeat ``action`` while the engine says "not now".

        Repeating an insert whose outcome is unknown writes the same rows again: they are the same spans.

        Raises:
            StoreError: the data is at fault.
        """
        attempt = 0
        while not self._stop.is_set():
            try:
                action()
            except Exception as error:
                if not is_transient(error) or (is_hungry(error) and attempt >= _HUNGRY_TRIES):
                    raise _RefusedError(error) from error
                self._say_trouble("The engine does not take a batch; it stays in the log", error)
                self._stop.wait(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1
                continue
            self._clear_trouble()
            return
        raise _StoppingError

    def _confirm(self) -> None:
        """Make what was inserted lasting, check that it is there, and move the checkpoint."""
        self._confirmed_at = time.monotonic()
        if not self._unconfirmed:
            return
        writer = self._log.writer_id
        doubt, self._doubt = self._doubt, None
        try:
            if doubt is not None and self._heal(doubt):
                return
            self._engine.barrier()
            present = self._engine.stored_after(
                writer, self._log.checkpoint, self._unconfirmed_signals
            )
            missing = {mark for mark in self._unconfirmed if mark not in present}
            missing = {mark for mark in missing if not self._in_quarantine(mark)}
            if missing:
                # Nearly always their spans were replaced by later copies, and merged away.
                logger.info(
                    "Storing %d records again that the engine shows no row of.", len(missing)
                )
                self._insert_again(missing)
                self._engine.barrier()
                # Else the checkpoint waits for runs that nothing computes any more after the last batch.
                self._compute_runs(
                    self._roll_ups.finish if self._log.closed else self._roll_ups.compute
                )
            waiting = self._roll_ups.oldest_waiting
            # Runs that wait to be computed are forgotten by a crash: the log must begin with their spans then.
            sure = [one for one in self._unconfirmed if waiting is None or one.sequence < waiting]
            if sure:
                self._log.confirm(sure[-1].sequence)
            self._say_restored()
        except _StoppingError:
            raise
        except Exception as error:
            # The log keeps everything until a later attempt succeeds.
            self._say_trouble("What was inserted cannot be confirmed yet", error)
            self._doubt = error
            return
        self._clear_trouble()
        self._unconfirmed = self._unconfirmed[len(sure) :]
        if not self._unconfirmed:
            self._unconfirmed_signals = set()
        self._stored = {mark for mark in self._stored if mark.sequence > self._log.checkpoint}

    def _insert_again(self, missing: set[Stored]) -> None:
        position = self._log.start()
        last = max(mark.sequence for mark in missing)
        while position.sequence < last:
            read, position = self._log.read(
                position, self._limits.max_bytes, self._limits.max_spans
            )
            if not read:
                return
            for batch in _by_day([record for record in read if _mark(record) in missing]):
                for records in by_signal(batch):
                    self._insert_or_split(records)

    def _in_quarantine(self, record: Stored) -> bool:
        return self._quarantine.holds(record.sequence, record.received_ns)

    def _say_restored(self) -> None:
        if not self._lost_up_to or self._log.checkpoint < self._lost_up_to:
            return
        logger.warning(
            "%d bodies that the engine had lost were stored again from the log.", self._restored
        )
        self._healer.done()
        self._restored = self._lost_up_to = 0

    def _say_trouble(self, what: str, error: Exception) -> None:
        text = f"{what}: {error}"
        if not self.trouble:
            logger.error("%s", text)
        self.trouble = text

    def _clear_trouble(self) -> None:
        if self.trouble:
            logger.info("The engine takes batches again.")
        self.trouble = ""


class _StoppingError(Exception):
    """The loader was told to stop while it waited for the engine."""


class _RefusedError(StoreError):
    """The engine refuses for good; ``code`` is the engine's."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.code: int | None = getattr(error, "code", None)


def _mark(record: Record) -> Stored:
    return Stored(record.sequence, record.received_ns)


def _by_day(records: list[Record]) -> list[list[Record]]:
    """Split where the day of receipt changes: one batch must be one partition."""
    out: list[list[Record]] = []
    for record in records:
        if not out or record.received_ns // _NS_PER_DAY != out[-1][0].received_ns // _NS_PER_DAY:
            out.append([])
        out[-1].append(record)
    return out
