"""One collector per home: two would write the same log."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from tachograph_collector.errors import StartError


class HomeLock:
    """Held while the process lives; the kernel releases it even after SIGKILL."""

    def __init__(self, home: Path) -> None:
        self._path = home / "collector.lock"
        self._fd = -1

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            StartError: another process has it, or the directory cannot be written.
        """
        try:
            self._fd = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartError(
                f"{self._path.parent} cannot be written ({error.strerror}). Set TACHO_HOME to a "
                "directory that can."
            ) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            self._fd = -1
            raise StartError(
                f"Another collector (process {owner}) uses {self._path.parent}. Stop it, or set "
                "TACHO_HOME to another directory."
            ) from error
        # The number is for people; on a full disk there is none.
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Give the lock back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
