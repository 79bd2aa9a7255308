"""Which files a log has, and how to read one of them while others write, remove or lose files."""

from __future__ import annotations

import contextlib
import os
import threading
import time

from tachograph_collector.wal.active import Active
from tachograph_collector.wal.damage import Damage
from tachograph_collector.wal.segments import Segment


class Kept:
    """The segments of a log, oldest first. For all threads."""

    def __init__(self, segments: list[Segment], damage: Damage) -> None:
        self._segments = segments
        self._damage = damage
        self._active: Active | None = None
        self._lock = threading.Lock()

    def activate(self, active: Active) -> None:
        """From now on this one is written."""
        with self._lock:
            self._active = active
            self._segments.append(active.segment)

    def grown(self, segment: Segment, end_offset: int, last_sequence: int) -> None:
        """So far the segment is written and synced."""
        with self._lock:
            segment.end_offset, segment.last_sequence = end_offset, last_sequence

    def sealed(self) -> None:
        """The active one is closed; without a record it is of no use, and nothing in it was acknowledged."""
        with self._lock:
            if self._active is None:
                return
            segment = self._active.segment
            self._active = None
            if segment.last_sequence >= segment.first_sequence:
                return
            self._segments.remove(segment)
        with contextlib.suppress(OSError):
            segment.path.unlink()

    def behind(self, sequence: int) -> list[tuple[Segment, int]]:
        """Those with records behind ``sequence``, and how far each is written."""
        with self._lock:
            return [(s, s.end_offset) for s in self._segments if s.last_sequence > sequence]

    def first_kept(self) -> int | None:
        """The sequence number of the oldest record in them."""
        with self._lock:
            return min((s.first_sequence for s in self._segments), default=None)

    def newest(self) -> int:
        """The sequence number of the newest record in them; 0 without any."""
        with self._lock:
            return max((s.last_sequence for s in self._segments), default=0)

    def open(self, segment: Segment, checkpoint: int) -> int:
        """A descriptor to read from, for the caller to close; -1 when the file is gone.

        Raises:
            OSError: the disk or the process is in trouble.
        """
        with self._lock:
            active = self._active
        if active is not None and active.segment is segment and (fd := active.lend()) >= 0:
            return fd
        try:
            return os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            if segment.last_sequence > checkpoint:
                self._damage.gone(segment.path, segment.first_sequence, segment.last_sequence)
            self._remove(segment)
            return -1

    def remove_stored(self, sequence: int, keep_s: int) -> None:
        """Delete the files that hold nothing behind ``sequence`` and were written ``keep_s`` seconds ago.

        Raises:
            OSError: a file cannot be deleted.
        """
        with self._lock:
            active = self._active.segment if self._active else None
            stored = [s for s in self._segments if s is not active and s.last_sequence <= sequence]
        limit = time.time() - keep_s
        for segment in stored:
            with contextlib.suppress(FileNotFoundError):
                if segment.path.stat().st_mtime > limit:
                    continue
                segment.path.unlink()
            self._remove(segment)

    def _remove(self, segment: Segment) -> None:
        with self._lock, contextlib.suppress(ValueError):
            self._segments.remove(segment)
