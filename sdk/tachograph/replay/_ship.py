"""Finished tapes on their way to the collector: several in one request, and kept as long as nobody took them.

A tape's file is removed when the collector has answered 200, which it does once the recording is on its disk. So a
recording is in one of the two places at every moment, or in both. What could not be sent with others is packed, so
that it takes little room, and goes alone later.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Condition
from typing import TYPE_CHECKING

from tachograph._guard import LOGGER, guarded, say_rarely
from tachograph._waits import Background, Mutex
from tachograph_schemas import tapes
from tachograph_schemas.control import PREFIX, RECORDING_TYPE, RECORDINGS, RECORDINGS_TYPE

if TYPE_CHECKING:
    from tachograph._kept import Kept
    from tachograph._transport import Answer, Transport
    from tachograph.replay._drain import Drain

KEPT_BYTES = 512 << 20
KEPT_S = 7 * 86_400
"""Recordings that nobody takes are kept so long, and so many; the oldest go first."""
_AT_ONCE = tapes.TOGETHER_LIMIT
_TOGETHER_BYTES = 4 << 20
"""Of the tapes in one request."""
_KEPT = ("tacho", "refused", "damaged", "packing")
"""Endings of files that wait or were set aside. What a process that was killed was packing is there as its tape, too."""
_UNREADABLE = 400
_NO_SUCH_PLACE = (404, 405, 501)
_SAID_WHEN_STORED = b'"added"'


class Shipper:
    """Packs and sends, on a thread of its own: a slow collector must not hold up the writing of tapes."""

    def __init__(
        self,
        directory: Path,
        endpoint: str,
        headers: dict[str, str],
        *,
        timeout_s: float,
        delay_s: float,
        compression: str,
        kept: Kept,
    ) -> None:
        """``delay_s``: how long a finished tape waits for others at most; ``kept``: what the collector has of the spans."""
        self._kept = kept
        self._directory = directory
        base = endpoint.rstrip("/").removesuffix("/v1/traces").rstrip("/")
        self._url = f"{base}{RECORDINGS}"
        self._headers = headers
        self._timeout_s = timeout_s
        self._delay_s = delay_s
        self._compression = compression
        self._lock = Mutex()
        self._change = Condition(self._lock)
        self._finished: deque[tuple[Path, int]] = deque()
        """Tapes that wait, and their sizes."""
        self._finished_bytes = 0
        self._left: list[Path] = []
        """Tapes that were there before this process made any."""
        self._due_s = 0.0
        self._hurry = False
        self._is_sending = False
        self._thread: Background | None = None
        self._together: Transport | None = None
        self._takes_several = True
        self._unwanted = False

    def ship(self, journal: Path) -> None:
        """Take a finished journal, to be sent with those that finish soon."""
        try:
            size_bytes = journal.stat().st_size
        except FileNotFoundError:
            return  # nothing was written
        with self._lock:
            if not self._finished:
                self._due_s = time.monotonic() + self._delay_s
            self._finished.append((journal, size_bytes))
            self._finished_bytes += size_bytes
            self._start()
            self._change.notify_all()

    def resume_on(self, drain: Drain) -> None:
        """Begin once ``drain`` has a tape to write, with what earlier processes left."""
        if self._directory.is_dir():
            self._left = list(self._directory.glob("*.tape"))
        drain.begin_too = self._resume

    def _resume(self) -> None:
        with self._lock:
            self._start()

    def wait(self, timeout_s: float) -> bool:
        """Send what has finished at once; whether all of it was sent or packed in time."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                return not self._finished
            self._hurry = True
            self._change.notify_all()
            return self._change.wait_for(
                lambda: not (self._finished or self._is_sending), timeout_s
            )

    def _start(self) -> None:
        """Start the thread, if it does not run. The caller holds the lock."""
        if self._thread is not None:
            return
        self._is_sending = True
        self._thread = Background(self._work, "tachograph-recordings")
        with guarded("starting the recordings' thread"):
            self._thread.start()

    # --- the thread --------------------------------------------------------------------------------

    def _work(self) -> None:
        from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context, attach

        attach(Context({_SUPPRESS_INSTRUMENTATION_KEY: True}))
        work: Callable[[], None] = self._send_left
        while True:
            try:
                with guarded("sending recordings"):
                    work()
            finally:
                self._rest()
            with self._lock:
                while (pause_s := self._pause_s()) > 0:
                    self._change.wait(None if pause_s == math.inf else pause_s)
                self._is_sending = True
                work = partial(self._send_several, *self._next())

    def _rest(self) -> None:
        with self._lock:
            self._is_sending = False
            if self._hurry and not self._finished:
                self._hurry = False
                if self._together is not None:
                    self._together.close()
            self._change.notify_all()

    def _pause_s(self) -> float:
        """Seconds until there is something to do. The caller holds the lock."""
        if not self._finished:
            self._hurry = False
            return math.inf
        is_full = self._finished_bytes >= _TOGETHER_BYTES
        if self._hurry or is_full or len(self._finished) >= tapes.TOGETHER_LIMIT:
            return 0.0
        return self._due_s - time.monotonic()

    def _next(self) -> tuple[list[Path], int]:
        """Those that go together, and their size. The caller holds the lock."""
        journals: list[Path] = []
        size_bytes = 0
        while self._finished and len(journals) < tapes.TOGETHER_LIMIT:
            if journals and size_bytes + self._finished[0][1] > _TOGETHER_BYTES:
                break
            journal, one_bytes = self._finished.popleft()
            journals.append(journal)
            size_bytes += one_bytes
        self._finished_bytes -= size_bytes
        return journals, size_bytes

    def _send_several(self, journals: list[Path], size_bytes: int) -> None:
        if size_bytes > _TOGETHER_BYTES:
            self._send_packed(journals)
        else:
            self._send_together(journals)
        self._prune()

    def _send_together(self, journals: list[Path]) -> None:
        if self._unwanted or not self._takes_several:
            return self._send_packed(journals)
        contents = []
        for journal in journals:
            # Another process may have taken it for one that was left.
            with suppress(FileNotFoundError):
                contents.append(journal.read_bytes())
        answer = self._post(tapes.joined(contents))
        if _is_stored(answer):
            for journal in journals:
                journal.unlink(missing_ok=True)
            return self._send_waiting()
        LOGGER.debug("tachograph: %s does not take recordings: %s", self._url, answer.why)
        # A collector of an earlier version takes them one by one.
        self._takes_several = not _is_unknown(answer)
        if answer.kind == "too_large" or answer.status == _UNREADABLE or not self._takes_several:
            return self._send_packed(journals)
        for journal in journals:
            pack_journal(journal)
        return None

    def _post(self, body: bytes) -> Answer:
        from tachograph._transport import Transport

        if self._together is None:
            headers = {**self._headers, "Content-Type": RECORDINGS_TYPE}
            self._together = Transport(self._url, headers, self._compression)
        if self._together.uses_zstd:
            names, prefix = self._kept.before(len(body))
            if names:
                answer = self._together.post(body, self._timeout_s, {PREFIX: names}, prefix)
                if answer.kind == "accepted":
                    self._kept.was_used()
                # Whatever is refused may be so for the prefix alone, by something in between as well.
                if answer.kind != "refused":
                    return answer
                self._kept.was_missing()
        return self._together.post(body, self._timeout_s)

    def _send_packed(self, journals: list[Path]) -> None:
        for journal in journals:
            pack_journal(journal)
        self._send_waiting()

    # --- one by one --------------------------------------------------------------------------------

    def _send_left(self) -> None:
        for journal in self._left:
            with _alone(journal) as alone:
                if alone:
                    # Its process is gone, and was killed: the tape has no end.
                    pack_journal(journal)
        self._send_waiting()
        self._prune()

    def _send_waiting(self) -> None:
        for path in sorted(self._directory.glob("*.tacho"))[:_AT_ONCE]:
            if not self._send(path) and path.exists():
                return

    def _send(self, path: Path) -> bool:
        """Whether the collector has it now, and its file is gone."""
        from tachograph._transport import Transport

        if self._unwanted:
            return False
        url = f"{self._url}/{path.name.partition('.')[0]}"
        headers = {**self._headers, "Content-Type": RECORDING_TYPE}
        transport = Transport(url, headers, "none", method="PUT")
        try:
            answer = transport.post(path.read_bytes(), self._timeout_s)
        except OSError:
            return False  # another process has sent it meanwhile
        finally:
            transport.close()
        if _is_stored(answer):
            path.unlink(missing_ok=True)
            return True
        if _is_unknown(answer):
            # An OpenTelemetry collector of another make: recordings stay on this machine.
            self._unwanted = True
        LOGGER.debug("tachograph: %s does not take recordings: %s", url, answer.why)
        if answer.kind == "too_large" or answer.status == _UNREADABLE:
            say_rarely(
                "recording",
                "tachograph: the collector refuses a recording (%s): %s",
                answer.why,
                path,
            )
            path.rename(path.with_suffix(".refused"))
        return False

    def _prune(self) -> None:
        left_bytes, now_s = KEPT_BYTES, time.time()
        files = [path for kept in _KEPT for path in self._directory.glob(f"*.{kept}")]
        for path in sorted(files, key=lambda each: each.name, reverse=True):
            with suppress(OSError):
                status = path.stat()
                left_bytes -= status.st_size
                if left_bytes < 0 or now_s - status.st_mtime > KEPT_S:
                    path.unlink()


def _is_stored(answer: Answer) -> bool:
    return answer.kind == "accepted" and _SAID_WHEN_STORED in answer.body


def _is_unknown(answer: Answer) -> bool:
    """Whether whoever answers knows nothing of recordings, though it may take whatever it is sent."""
    return answer.status in _NO_SUCH_PLACE or answer.kind == "accepted"


def pack_journal(journal: Path) -> None:
    """Make the portable file of a journal and remove the journal."""
    # Another process may have taken it for one that was left, or the home may be gone.
    with suppress(FileNotFoundError):
        try:
            content = tapes.pack(journal.read_bytes())
        except tapes.PackageError as error:
            say_rarely(
                "tape", "tachograph: a tape is damaged and set aside: %s: %s", journal, error
            )
            journal.rename(journal.with_suffix(".damaged"))
            return
        fresh = journal.with_suffix(".packing")
        fresh.write_bytes(content)
        fresh.replace(journal.with_suffix(".tacho"))
        journal.unlink()


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
