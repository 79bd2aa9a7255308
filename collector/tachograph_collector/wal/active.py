"""The segment that is being written."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

from tachograph_collector.wal import segments
from tachograph_collector.wal.files import make_directory

logger = logging.getLogger(__name__)

_IOVECS = 512  # pieces per pwritev, well below the kernel's 1024


class Active:
    """An open segment. Written by the log's thread, its descriptor lent to the reader."""

    def __init__(
        self, directory: Path, writer_id: int, first_sequence: int, size_bytes: int
    ) -> None:
        """Make the file.

        Raises:
            FileExistsError: there is one with this first sequence number.
            OSError: no room, or the directory cannot be written.
        """
        self.segment, self._fd = segments.create(directory, writer_id, first_sequence, size_bytes)
        self._size_bytes = size_bytes
        self._end = self.segment.end_offset
        self._lock = threading.Lock()

    def has_room(self, size_bytes: int) -> bool:
        """Whether so much fits in."""
        return self._end + size_bytes <= self._size_bytes

    def write(self, pieces: list[bytes]) -> int:
        """Write and sync; returns the offset behind it. Blocks on the disk.

        Raises:
            OSError: what is in the file now is unknown: it must not be written again.
        """
        self._stay_linked()
        for start in range(0, len(pieces), _IOVECS):
            part = pieces[start : start + _IOVECS]
            want = sum(map(len, part))
            if os.pwritev(self._fd, part, self._end) != want:
                raise OSError("short write to the log")
            self._end += want
        os.fdatasync(self._fd)
        self._stay_linked(self._end)
        return self._end

    def lend(self) -> int:
        """A descriptor of the file for the reader to close; -1 when it is closed."""
        with self._lock:
            return os.dup(self._fd) if self._fd >= 0 else -1

    def close(self, *, is_wanted: bool) -> None:
        """Close the file; when it is still wanted and was removed, make it again first."""
        if self._fd < 0:
            return
        if is_wanted:
            try:
                self._stay_linked()
            except OSError as error:
                logger.error("%s was removed and cannot be restored: %s", self.segment.path, error)
        with self._lock:
            os.close(self._fd)
            self._fd = -1

    def _stay_linked(self, end_offset: int | None = None) -> None:
        """Somebody may remove the file, and what is written to it would be gone with this process."""
        if os.fstat(self._fd).st_nlink:
            return
        logger.error("%s was removed by somebody else; it is made again.", self.segment.path)
        if not self.segment.path.parent.is_dir():
            make_directory(self.segment.path.parent)
        with self._lock:
            self._fd = segments.restore(self.segment, self._fd, end_offset)
