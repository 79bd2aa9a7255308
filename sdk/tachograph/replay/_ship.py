"""Finished tapes on their way to the collector: packed into files, sent, and kept as long as nobody took them.

The file is removed when the collector has answered 200, which it does once the recording is on its disk. So a
recording is in one of the two places at every moment, or in both.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tachograph._guard import LOGGER, say_rarely
from tachograph_schemas import tapes
from tachograph_schemas.control import RECORDING_TYPE, RECORDINGS

if TYPE_CHECKING:
    from tachograph.replay._tape import Drain

KEPT_BYTES = 512 << 20
KEPT_S = 7 * 86_400
"""Recordings that nobody takes are kept so long, and so many; the oldest go first."""
_AT_ONCE = 20


class Shipper:
    """Packs and sends on the tapes' thread."""

    def __init__(
        self, directory: Path, endpoint: str, headers: dict[str, str], timeout_s: float
    ) -> None:
        self._directory = directory
        base = endpoint.rstrip("/").removesuffix("/v1/traces").rstrip("/")
        self._url = f"{base}{RECORDINGS}"
        self._headers = {**headers, "Content-Type": RECORDING_TYPE}
        self._timeout_s = timeout_s
        self._unwanted = False

    def ship(self, journal: Path) -> None:
        """Pack a finished journal and send it, with others that wait."""
        packed = pack_journal(journal)
        if packed is not None and self._send(packed) and not self._unwanted:
            self._send_waiting()
        self._prune()

    def resume_on(self, drain: Drain) -> None:
        """Send what earlier processes left, on the thread of ``drain`` once it runs."""
        if self._directory.is_dir() and any(self._directory.iterdir()):
            drain.first(self._send_left)

    def _send_left(self) -> None:
        for journal in self._directory.glob("*.tape"):
            with _alone(journal) as alone:
                if alone:
                    # Its process is gone, and was killed: the tape has no end.
                    pack_journal(journal)
        self._send_waiting()

    def _send_waiting(self) -> None:
        for path in sorted(self._directory.glob("*.tacho"))[:_AT_ONCE]:
            if not self._send(path):
                return

    def _send(self, path: Path) -> bool:
        """Whether the collector has it now, and its file is gone."""
        from tachograph._transport import Transport

        if self._unwanted:
            return False
        url = f"{self._url}/{path.name.partition('.')[0]}"
        transport = Transport(url, self._headers, "none", method="PUT")
        try:
            answer = transport.post(path.read_bytes(), self._timeout_s)
        except OSError:
            return False  # another process has sent it meanwhile
        finally:
            transport.close()
        if answer.kind == "accepted":
            path.unlink(missing_ok=True)
            return True
        if answer.kind == "refused" and any(code in answer.why for code in ("404", "405", "501")):
            # An OpenTelemetry collector of another make: recordings stay on this machine.
            self._unwanted = True
        LOGGER.debug("tachograph: %s does not take recordings: %s", url, answer.why)
        if answer.kind == "too_large":
            say_rarely(
                "recording", "tachograph: a recording is too large for the collector: %s", path
            )
            path.rename(path.with_suffix(".refused"))
        return False

    def _prune(self) -> None:
        left_bytes, now_s = KEPT_BYTES, time.time()
        files = [*self._directory.glob("*.tacho"), *self._directory.glob("*.refused")]
        for path in sorted(files, key=lambda each: each.name, reverse=True):
            with suppress(OSError):
                status = path.stat()
                left_bytes -= status.st_size
                if left_bytes < 0 or now_s - status.st_mtime > KEPT_S:
                    path.unlink()


def pack_journal(journal: Path) -> Path | None:
    """Make the portable file of a journal and remove the journal; None when there is nothing in it."""
    try:
        data = journal.read_bytes()
    except FileNotFoundError:
        return None
    packed = journal.with_suffix(".tacho")
    try:
        content = tapes.pack(data)
    except tapes.PackageError as error:
        say_rarely("tape", "tachograph: a tape is damaged and set aside: %s: %s", journal, error)
        journal.rename(journal.with_suffix(".damaged"))
        return None
    fresh = packed.with_suffix(".packing")
    fresh.write_bytes(content)
    fresh.replace(packed)
    journal.unlink()
    return packed


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether no process writes to the journal any more; writers hold a lock."""
    try:
        import fcntl
    except ImportError:
        yield False
        return
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        yield False
    else:
        yield True
    finally:
        os.close(file)
