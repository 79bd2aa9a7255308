"""Putting quarantined bodies through again: from ``quarantine/retry/`` into the log, as if they had just come.

A body that fails again comes back into the quarantine with its new reason: refused by the checks at once, refused by
the engine when the loader gets to it. A file is deleted only when the log has its body on disk.
"""

from __future__ import annotations

import logging
import threading

from tachograph_collector.canonical import CanonicalBody
from tachograph_collector.chores import Chore
from tachograph_collector.errors import BodyError
from tachograph_collector.kinds import KINDS
from tachograph_collector.metrics import Metrics
from tachograph_collector.quarantine import Quarantine, kind_of
from tachograph_collector.signals import FACES
from tachograph_collector.wal import Log, LogFullError, Record
from tachograph_schemas import metric_names
from tachograph_schemas.quarantine import RETRY, Quarantined, facts_of, found_in

logger = logging.getLogger(__name__)

_DISK_S = 30.0
_STOP_S = 5.0
_FULL_S = 1.0  # between tries while the log has no room


class QuarantineRetry(Chore):
    """A thread that drains ``retry/``: once at the start, and whenever :meth:`wake` is called."""

    def __init__(self, quarantine: Quarantine, log: Log, metrics: Metrics) -> None:
        super().__init__("quarantine-retry", _STOP_S)
        self._quarantine = quarantine
        self._directory = quarantine.directory / RETRY
        self._log = log
        self._metrics = metrics
        self._wanted = threading.Event()
        self._wanted.set()
        self._appended_up_to = 0

    def wake(self) -> None:
        """There is something to do."""
        self._wanted.set()

    def stop(self) -> None:
        """Stop; what is left waits for the next start."""
        self._stop.set()
        self._wanted.set()
        super().stop()

    @property
    def waiting(self) -> int:
        """Bodies whose new fate is not known yet; at least one while any is."""
        left = len(found_in(self._directory))
        return left or int(self._log.checkpoint < self._appended_up_to)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wanted.wait()
            self._wanted.clear()
            for body in found_in(self._directory):
                if self._stop.is_set():
                    return
                try:
                    self._put_through(body)
                except OSError as error:
                    logger.error("%s cannot be tried again now: %s", body.path, error)

    def _put_through(self, body: Quarantined) -> None:
        facts = facts_of(body.path)
        data = body.path.read_bytes()
        kind = kind_of(body)
        try:
            found = _checked(data, kind)
        except BodyError as error:
            self._back(body, data, kind or 0, facts, str(error))
            return
        project = str(facts.get("project") or "default")
        if self._append(project, found.data, found.spans, kind or 0):
            self._metrics.add(metric_names.QUARANTINE_RETRIED)
            body.delete()

    def _append(self, project: str, data: bytes, spans: int, kind: int) -> bool:
        """Whether the log has it on disk; waits while it is full."""
        while not self._stop.is_set():
            verdict: list[OSError | None] = []
            answered = threading.Event()

            def done(
                error: OSError | None,
                verdict: list[OSError | None] = verdict,
                answered: threading.Event = answered,
            ) -> None:
                verdict.append(error)
                answered.set()

            try:
                self._log.append(project, data, spans, done, kind)
            except LogFullError:
                self._stop.wait(_FULL_S)
                continue
            if answered.wait(_DISK_S) and verdict[0] is None:
                self._appended_up_to = self._log.committed
                return True
            return False
        return False

    def _back(
        self, body: Quarantined, data: bytes, kind: int, facts: dict[str, object], reason: str
    ) -> None:
        def number(key: str) -> int:
            given = facts.get(key)
            return given if isinstance(given, int) else 0

        project = str(facts.get("project") or "default")
        self._quarantine.put(
            Record(
                number("sequence"), number("received_ns"), number("records"), project, data, kind
            ),
            reason,
            str(facts.get("signal", "")),
        )
        body.delete()


def _checked(data: bytes, kind: int | None) -> CanonicalBody:
    """A body that may have been mended by hand: it must pass the same checks as any other.

    Raises:
        BodyError: it does not.
    """
    signal = next((name for name, number in KINDS.items() if number == kind), None)
    if signal is None:
        raise BodyError("Its signal is unknown to this version.")
    found = FACES[signal].read_protobuf(data)
    if not found.data:
        raise BodyError("Nothing in it can be stored.")
    return found
