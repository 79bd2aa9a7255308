"""Bodies that the engine cannot store: kept beside the log with the reason, out of the flow, until they are tried again.

Each is two files, ``<sequence>-<received>.otlp.pb`` (the canonical bytes) and ``.json`` beside it (what it is and why it
is here). A body that is to be tried again is moved into ``retry/``, by ``tacho doctor`` or by a person; the collector
puts what is there through the log once more and deletes it when the log has it.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from pathlib import Path

from tachograph_collector.kinds import KINDS, signal_of
from tachograph_collector.metrics import Metrics
from tachograph_collector.wal import Record
from tachograph_collector.wal.files import sync_directory
from tachograph_schemas import metric_names
from tachograph_schemas.quarantine import BODY_SUFFIX, Quarantined, facts_of, found_in, move_back

logger = logging.getLogger(__name__)

MAX_BYTES = 1 << 30
"""How much is kept unless the settings say otherwise."""


class Quarantine:
    """A directory of bodies; written by the loader, moved from by anyone."""

    def __init__(self, directory: Path, metrics: Metrics, max_bytes: int = MAX_BYTES) -> None:
        self.directory = directory
        self._metrics = metrics
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        metrics.gauge(metric_names.QUARANTINE_BODIES, lambda: len(self.bodies()))
        metrics.gauge(
            metric_names.QUARANTINE_BYTES, lambda: sum(body.bytes for body in self.bodies())
        )

    def bodies(self) -> list[Quarantined]:
        """What is here, oldest first; bodies about to be tried again are not counted."""
        return found_in(self.directory)

    def put(self, record: Record, reason: str, signal: str = "") -> None:
        """Keep a body and why it is here; the log may forget the record afterwards. Blocks on the disk.

        ``signal`` is what the facts said of a body that was here before: perhaps more than this version knows.

        Raises:
            OSError: it cannot be written; the log must keep it.
        """
        signal = signal or signal_of(record) or f"kind {record.kind}"
        facts = {
            "sequence": record.sequence,
            "received_ns": record.received_ns,
            "project": record.project,
            "signal": signal,
            "records": record.spans,
            "quarantined_ns": time.time_ns(),
            "reason": reason,
        }
        stem = _stem(record.sequence, record.received_ns)
        with self._lock:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            # The body last: where there is a body there are facts.
            _write(self.directory / f"{stem}.json", json.dumps(facts, indent=1).encode())
            _write(self.directory / f"{stem}{BODY_SUFFIX}", record.body)
            sync_directory(self.directory)
            self._make_room()
        known = signal if signal in KINDS else "unknown"
        self._metrics.add(metric_names.BODIES_QUARANTINED, signal=known)
        logger.error(
            "A body of %d records (%s) cannot be stored and was put into %s: %s",
            record.spans,
            signal,
            self.directory,
            reason,
        )

    def holds(self, sequence: int, received_ns: int) -> bool:
        """Whether this record of the log is here."""
        return (self.directory / f"{_stem(sequence, received_ns)}{BODY_SUFFIX}").exists()

    def holds_sequence(self, sequence: int) -> bool:
        """Whether a record of the log with this number is here, whenever it came."""
        return any(self.directory.glob(f"{sequence:020d}-*{BODY_SUFFIX}"))

    def retry_all(self) -> int:
        """Mark everything that is here to be tried again; returns how many bodies that are.

        Raises:
            OSError: they cannot be moved.
        """
        with self._lock:
            return move_back(self.directory)

    def _make_room(self) -> None:
        """Delete the oldest bodies while there are too many bytes; never the newest."""
        bodies = self.bodies()
        used = sum(body.bytes for body in bodies)
        for body in bodies[:-1]:
            if used <= self._max_bytes:
                return
            body.delete()
            used -= body.bytes
            self._metrics.add(metric_names.QUARANTINE_DROPPED)
            logger.error(
                "The quarantine is full: %s, set aside because of %r, was deleted. Raise "
                "TACHO_QUARANTINE_MAX_BYTES to keep more.",
                body.path.name,
                body.reason[:200],
            )


def kind_of(body: Quarantined) -> int | None:
    """The log's number for the signal of a body; ``None`` when nobody here knows it."""
    signal = facts_of(body.path).get("signal", "traces")
    return next((kind for name, kind in KINDS.items() if name == signal), None)


def _stem(sequence: int, received_ns: int) -> str:
    return f"{sequence:020d}-{received_ns:020d}"


def _write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
