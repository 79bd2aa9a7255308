"""What could not be read: counted, said once, and kept for a person to look at.

The unreadable bytes are copied into ``damaged/`` under the log's directory, whole files that are no segments are moved
there. Nothing in that directory is ever read or removed by the collector.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from pathlib import Path

from tachograph_collector.wal.files import sync_directory
from tachograph_collector.wal.records import Gap

logger = logging.getLogger(__name__)


class Damage:
    """The damage found in one log since it was opened. Used by one thread at a time."""

    def __init__(self, log_directory: Path) -> None:
        self._directory = log_directory / "damaged"
        self._known: set[tuple[str, int]] = set()
        self.kept: list[Path] = []
        """Where the unreadable content is now."""

    @property
    def count(self) -> int:
        """Places in log files that cannot be read, and files that are no log files or are gone."""
        return len(self._known)

    def gap(self, path: Path, gap: Gap, data: bytes) -> bool:
        """Bytes that are no sound record; ``data`` is the gap's content. Whether there is a copy of it now."""
        if not self._is_new(path.name, gap.start):
            return True
        copy = self._directory / f"{path.stem}.{gap.start}.bytes"
        copied = True
        where = f"copied to {copy}"
        try:
            self._write(copy, data)
        except OSError as error:
            copied = False
            where = f"could not be copied ({error})"
        logger.error(
            "The log file %s is damaged at byte %d: %d bytes hold no sound record and were %s. "
            "Everything else in it is read.",
            path,
            gap.start,
            gap.end - gap.start,
            where,
        )
        return copied

    def file(self, path: Path, why: str) -> None:
        """A file that is of no use: moved away, so that nothing takes it for part of the log."""
        self._is_new(path.name, -1)
        self._make()
        aside = self._directory / f"{path.name}.{time.time_ns()}"
        path.rename(aside)
        for directory in (self._directory, path.parent):
            sync_directory(directory)
        self.kept.append(aside)
        logger.error("%s cannot be used (%s) and was moved to %s.", path, why, aside)

    def gone(self, path: Path, first_sequence: int, last_sequence: int) -> None:
        """A file that somebody removed before its records were stored."""
        if self._is_new(path.name, -1):
            logger.error(
                "The log file %s is gone, removed by somebody else. Its records from %d to %d are "
                "lost, unless they were stored before.",
                path,
                first_sequence,
                last_sequence,
            )

    def _is_new(self, name: str, start: int) -> bool:
        known = (name, start) in self._known
        self._known.add((name, start))
        return not known

    def _make(self) -> None:
        self._directory.mkdir(exist_ok=True, mode=0o700)

    def _write(self, copy: Path, data: bytes) -> None:
        self._make()
        # One that is there was made at an earlier start.
        with contextlib.suppress(FileExistsError):
            fd = os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(fd)
            sync_directory(self._directory)
        self.kept.append(copy)
