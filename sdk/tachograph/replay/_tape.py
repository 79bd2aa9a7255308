"""The tape of one run while it is written: records in order, redacted, chained, on disk within 50 ms.

Pattern: the agent's thread only queues (a dictionary and a payload that is text already); one thread of the process
redacts, frames and writes for all tapes. Trade-off: what happened in the last 50 ms may be missing after a SIGKILL,
except for intents and outcomes of writes, which are written before the agent goes on. Scope: a torn tail is cut off by
the reader; a hole in the middle is damage and is said to be.

:mod:`tachograph_schemas.tapes` has the form of a line.
"""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from tachograph._guard import guarded, say_rarely
from tachograph_schemas.tapes import blob_name, frame

DRAIN_S = 0.05
INLINE_BYTES = 4_096
"""Longer payloads become blobs."""
TAPE_LIMIT_BYTES = 256 << 20
"""What does not fit any more makes the run not replayable; the agent goes on."""
ALL_TAPES_LIMIT_BYTES = 1 << 30
"""Of the runs that are under way in this process, together."""
_QUEUE_LIMIT_BYTES = 32 << 20
_TOGETHER_CHARS = 512 << 10
"""Payloads are screened for secrets so many at a time; fewer than the next figure one by one."""
_ALONE_CHARS = 2_048
_encode = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode
_forks = 0
"""How many forks lie between this process and the one that started."""

Redact = Callable[[str], str]
"""Masks secrets in a JSON text and returns JSON."""
Suspects = Callable[[Sequence[bytes]], Iterable[int]]
"""The places of those texts that may hold something to mask; the others surely do not."""


def digest_of(text: str) -> str:
    """What stands for a payload in light mode."""
    return f'{{"$":"digest","v":"{blake2b(text.encode(), digest_size=16).hexdigest()}"}}'


class Room:
    """How many bytes the tapes of a process may still take."""

    def __init__(self, left_bytes: int = ALL_TAPES_LIMIT_BYTES) -> None:
        self._left_bytes = left_bytes
        self._lock = threading.Lock()

    def take(self, size_bytes: int) -> bool:
        """Whether there is room for so many; then they are taken."""
        with self._lock:
            if size_bytes > self._left_bytes:
                return False
            self._left_bytes -= size_bytes
            return True

    def give_back(self, size_bytes: int) -> None:
        """A tape is closed."""
        with self._lock:
            self._left_bytes += size_bytes


class Tape:
    """Takes records from any thread. Nothing here raises into the agent or blocks on the disk."""

    def __init__(
        self,
        path: Path,
        redact: Redact,
        drain: Drain,
        room: Room,
        suspects: Suspects | None = None,
    ) -> None:
        self.path = path
        self._suspects = suspects
        self._forks = _forks
        self._redact = redact
        self._drain = drain
        self._room = room
        self._queue: deque[tuple[dict[str, Any], str, str | bytes | None]] = deque()
        self._queued_bytes = 0
        self._lock = threading.Lock()
        self._file: int | None = None
        self._crc = 0
        self._written_crc = 0
        self._size_bytes = 0
        self._blobs: set[str] = set()
        self.why_cut = ""
        """Why records are dropped from here on; empty as long as none is."""
        self.dropped = 0
        """How many records were dropped."""
        self.closed = False

    def add(
        self, record: dict[str, Any], field: str = "v", payload: str | bytes | None = None
    ) -> None:
        """Queue a record; ``payload`` is the JSON of its ``field``: ASCII text, or UTF-8 that a span has, too."""
        if self.closed or _forks != self._forks:
            return  # a forked child is not part of its parent's tape
        if self.why_cut:
            self.dropped += 1
            return
        self._queue.append((record, field, payload))
        self._queued_bytes += len(payload) if payload is not None else 64
        if self._queued_bytes > _QUEUE_LIMIT_BYTES:
            self.write_out()
        elif self._drain.is_idle:
            self._drain.wake()

    def write_out(self) -> None:
        """Write what is queued, on this thread. It survives the process, not a power cut."""
        if _forks != self._forks:
            return
        with guarded("writing a tape"), self._lock:
            parts: list[bytes] = []
            while self._queue:
                self._take_some(parts)
            # Threads add to the count without a lock.
            self._queued_bytes = 0
            if parts and not self._write(b"".join(parts)):
                self.dropped += len(parts)

    def _take_some(self, parts: list[bytes]) -> None:
        """Frame the oldest records. Payloads are looked at together: most of them hold nothing to mask."""
        taken: list[tuple[dict[str, Any], str, str | None]] = []
        size_chars = 0
        while self._queue and size_chars < _TOGETHER_CHARS:
            record, field, payload = self._queue.popleft()
            text = self._ascii(payload) if isinstance(payload, bytes) else payload
            size_chars += len(text or "")
            taken.append((record, field, text))
        suspects = self._suspects
        if suspects is None or size_chars < _ALONE_CHARS:
            looked_at: Container[int] = range(len(taken))
        else:
            looked_at = frozenset(suspects([(text or "").encode("ascii") for _, _, text in taken]))
        for at, (record, field, text) in enumerate(taken):
            if text is not None:
                stored = self._stored(self._redact(text) if at in looked_at else text, parts)
                self._frame(_joined(record, field, stored), parts)
            else:
                self._frame(_joined(record, field, None), parts)

    def _stored(self, text: str, parts: list[bytes]) -> str:
        if len(text) <= INLINE_BYTES:
            return text
        name = blob_name(text)
        if name not in self._blobs:
            self._blobs.add(name)
            self._frame(f'{{"t":"blob","h":"{name}","v":{text}}}', parts)
        return f'{{"$":"blob","h":"{name}"}}'

    def _ascii(self, content: bytes) -> str:
        # What is digested has to be written as this module's encoder writes it, which differs in 1e+16.
        if content.isascii() and len(content) <= INLINE_BYTES and self._redact is not digest_of:
            return content.decode("ascii")
        return _encode(orjson.loads(content))

    def _frame(self, text: str, parts: list[bytes]) -> None:
        line, self._crc = frame(text, self._crc)
        parts.append(line)

    def _write(self, data: bytes) -> bool:
        if self.why_cut:
            return False
        if self._size_bytes + len(data) > TAPE_LIMIT_BYTES or not self._room.take(len(data)):
            self._cut("it is too large for a tape")
            return False
        self._size_bytes += len(data)
        try:
            self._append(data)
        except OSError as error:
            # What is there may end in the middle of a line, which readers cut off.
            self._cut(f"its tape could not be written: {error.strerror or error}")
            return False
        self._written_crc = self._crc
        return True

    def _cut(self, why: str) -> None:
        self.why_cut = why
        say_rarely("tape", "tachograph: a run cannot be replayed, %s; its spans go on", why)

    def _append(self, data: bytes) -> None:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._file = os.open(self.path, flags, 0o600)
            _lock_for_this_process(self._file)
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]

    def masked(self, name: str, payload: str) -> str:
        """A payload as it may be kept under ``name``."""
        found = json.loads(self._redact(f"{{{json.dumps(name)}:{payload}}}"))
        return json.dumps(found.get(name), separators=(",", ":"))

    def digest(self) -> None:
        """Keep digests of payloads from here on."""
        self._redact, self._suspects = digest_of, None

    def close(self) -> None:
        """Write what is left and close the file."""
        self.write_out()
        with self._lock:
            self.closed = True
            if self._file is None:
                return
            if self.dropped:
                with suppress(OSError):
                    self._append(self._last_words())
            os.close(self._file)
            self._file = None
            self._room.give_back(self._size_bytes)

    def _last_words(self) -> bytes:
        # On the last whole line that was written: nothing of what was dropped is in the chain.
        record = {"t": "cut", "n": self.dropped, "why": self.why_cut}
        return frame(json.dumps(record, separators=(",", ":")), self._written_crc)[0]


def _lock_for_this_process(file: int) -> None:
    """Tells others that the tape has a writer; gone with the process, however it ends."""
    with suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _joined(record: dict[str, Any], field: str, payload: str | None) -> str:
    text = _encode(record)
    return text if payload is None else f'{text[:-1]},"{field}":{payload}}}'


def _forked() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class Drain:
    """The thread that writes queued records of all tapes. It starts with the first and never holds up an exit."""

    def __init__(self) -> None:
        self._tapes: list[Tape] = []
        self._after: deque[Callable[[], None]] = deque()
        self.is_idle = True
        """Whether it has to be woken to write."""
        self._work = threading.Event()
        self._idle = threading.Condition()
        self._busy = False
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def start(self, tape: Tape) -> None:
        """Write for this tape from now on."""
        self._tapes.append(tape)
        if self._thread is None:
            from tachograph._threads import not_carried

            self._thread = threading.Thread(target=self._run, name="tachograph-tape", daemon=True)
            with guarded("starting the tape's thread"), not_carried():
                self._thread.start()

    def first(self, work: Callable[[], None]) -> None:
        """Do ``work`` on the thread once it runs, without starting it."""
        self._after.append(work)

    def finish(self, tape: Tape, then: Callable[[], None]) -> None:
        """Close the tape and do ``then``, on the thread."""

        def closing() -> None:
            tape.close()
            if tape in self._tapes:
                self._tapes.remove(tape)
            then()

        self.later(closing)

    def later(self, work: Callable[[], None]) -> None:
        """Do ``work`` on the thread, after what was asked before."""
        self._after.append(work)
        self._work.set()

    def wake(self) -> None:
        """There is something to write."""
        self.is_idle = False
        self._work.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait until everything asked so far is done; whether it was in time."""
        if self._thread is None or not self._thread.is_alive():
            return not self._after
        self._work.set()
        self._stopping.set()
        with self._idle:
            done = self._idle.wait_for(lambda: not self._after and not self._busy, timeout_s)
        self._stopping.clear()
        return done

    def _run(self) -> None:
        from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context, attach

        attach(Context({_SUPPRESS_INSTRUMENTATION_KEY: True}))
        while True:
            self._work.wait()
            # A group of records in one write; an exit does not wait for the group.
            self._stopping.wait(DRAIN_S if not self._after else 0)
            self._work.clear()
            # Before the queues are looked at: what comes later wakes it again.
            self.is_idle = True
            self._busy = True
            for tape in list(self._tapes):
                tape.write_out()
            while self._after:
                work = self._after.popleft()
                with guarded("finishing a tape"):
                    work()
            with self._idle:
                self._busy = False
                self._idle.notify_all()
