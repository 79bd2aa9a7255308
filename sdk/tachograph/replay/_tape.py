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
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from tachograph._guard import guarded, say_rarely
from tachograph._screened import Screened
from tachograph._waits import Mutex
from tachograph_schemas.tapes import blob_line, blob_name, frame

if TYPE_CHECKING:
    from tachograph.replay._drain import Drain

INLINE_BYTES = 4_096
"""Longer payloads become blobs."""
TAPE_LIMIT_BYTES = 256 << 20
"""What does not fit any more makes the run not replayable; the agent goes on."""
ALL_TAPES_LIMIT_BYTES = 1 << 30
"""Of the runs that are under way in this process, together."""
_QUEUE_LIMIT_BYTES = 32 << 20
_TOGETHER_BYTES = 512 << 10
"""Payloads are screened for secrets so many at a time; fewer than the next figure one by one."""
_ALONE_BYTES = 2_048
_encode = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode
_WRITTEN_OTHERWISE = (b"e-", b"0.0000", b"\x7f")
"""What this module's encoder may write in another way than the one of spans."""
_forks = 0
"""How many forks lie between this process and the one that started."""

OF_TAPE = "tacho.tape"
"""What goes for the name of an attribute, for payloads that no span has."""


class Redact(Protocol):
    """Masks secrets in a JSON text and returns JSON."""

    def __call__(self, text: str, key: str = OF_TAPE) -> str:
        """``key``: the attribute that has the payload in a span, which rules on paths go by."""


_Queued = tuple[dict[str, Any], str, str | bytes | None, int, str]
"""A record, the field of its payload, the payload, the span that has the same, and its attribute there."""
Suspects = Callable[[Sequence[bytes]], Iterable[int]]
"""The places of those texts that may hold something to mask; the others surely do not."""


def digest_of(text: str, key: str = OF_TAPE) -> str:
    """What stands for a payload in light mode."""
    return f'{{"$":"digest","v":"{blake2b(text.encode(), digest_size=16).hexdigest()}"}}'


class Room:
    """How many bytes the tapes of a process may still take."""

    def __init__(self, left_bytes: int = ALL_TAPES_LIMIT_BYTES) -> None:
        self._left_bytes = left_bytes
        self._lock = Mutex()

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
        screened: Screened | None = None,
    ) -> None:
        self.path = path
        self._suspects = suspects
        self._screened = screened
        self._forks = _forks
        self._pid = os.getpid()
        self._redact = redact
        self._drain = drain
        self._room = room
        self._queue: deque[_Queued] = deque()
        self._queued_bytes = 0
        self._lock = Mutex()
        self._is_writing = False
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
        self,
        record: dict[str, Any],
        field: str = "v",
        payload: str | bytes | None = None,
        span_id: int = 0,
        key: str = OF_TAPE,
    ) -> None:
        """Queue a record; ``payload`` is the JSON of its ``field``: ASCII text, or UTF-8 that a span has, too.

        ``key``: the name of the attribute that the payload is in a span.
        """
        if self.closed or _forks != self._forks:
            return  # a forked child is not part of its parent's tape
        if self.why_cut:
            self.dropped += 1
            return
        self._queue.append((record, field, payload, span_id, key))
        self._queued_bytes += len(payload) if payload is not None else 64
        if self._queued_bytes > _QUEUE_LIMIT_BYTES:
            self.write_out()
        elif self._drain.is_idle:
            self._drain.wake()

    @property
    def is_ours(self) -> bool:
        """Whether this process began it; a forked child did not."""
        return _forks == self._forks

    def write_out(self) -> None:
        """Write what is queued, on this thread. It survives the process, not a power cut."""
        if os.getpid() != self._pid:
            return  # a fork's child; green threads of others go on there before our own hooks have run
        with guarded("writing a tape"), self._lock:
            if self.closed or self._is_writing:
                # Recorded by a handler of a signal or a finaliser in the midst of this: it is written below.
                return
            self._is_writing = True
            try:
                while self._queue:
                    self._write_queued()
            except BaseException:
                # What was taken out of the queue is lost, and the lines after it would hang in the air.
                self._cut("its writing was interrupted")
                raise
            finally:
                self._is_writing = False

    def _write_queued(self) -> None:
        parts: list[bytes] = []
        while self._queue:
            self._take_some(parts)
        # Threads add to the count without a lock.
        self._queued_bytes = 0
        if not self._write(b"".join(parts)):
            self.dropped += len(parts)

    def _take_some(self, parts: list[bytes]) -> None:
        """Frame the oldest records. Payloads are looked at together: most of them hold nothing to mask."""
        taken: list[_Queued] = []
        contents: list[bytes] = []
        size_bytes = 0
        while self._queue and size_bytes < _TOGETHER_BYTES:
            one = self._queue.popleft()
            content = one[2] or b""
            if isinstance(content, str):
                content = content.encode("ascii")
            elif content and self._redact is digest_of:
                content = _canonical(content)
            size_bytes += len(content)
            taken.append(one)
            contents.append(content)
        self._mask(contents, taken, size_bytes)
        for (record, field, payload, span_id, _), content in zip(taken, contents, strict=True):
            text = _line(record)
            if content:
                kept = content
                if content is payload:  # as the span has it, with nothing to mask
                    if span_id and self._screened is not None:
                        self._screened.note(span_id, content)
                    kept = _ascii(content)
                if len(kept) > INLINE_BYTES:
                    kept = self._as_blob(kept, parts)
                text = b'%b,"%b":%b}' % (text[:-1], field.encode(), kept)
            line, self._crc = frame(text, self._crc)
            parts.append(line)

    def _mask(self, contents: list[bytes], taken: Sequence[_Queued], size_bytes: int) -> None:
        """Put what may be kept in the place of each content; one that holds nothing to mask stays itself."""
        if self._suspects is None or size_bytes < _ALONE_BYTES:
            looked_at: Iterable[int] = range(len(contents))
        else:
            looked_at = self._suspects(contents)
        for at in looked_at:
            text = contents[at].decode()
            masked = self._redact(text, taken[at][4]) if text else text
            if masked != text:
                contents[at] = masked.encode("ascii")

    def _as_blob(self, content: bytes, parts: list[bytes]) -> bytes:
        """What stands for a long payload, which has a line of its own, once."""
        name = blob_name(content.decode("ascii"))
        if name not in self._blobs:
            self._blobs.add(name)
            line, self._crc = frame(blob_line(name, content), self._crc)
            parts.append(line)
        return b'{"$":"blob","h":"%b"}' % name.encode("ascii")

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


def _ascii(content: bytes) -> bytes:
    """A payload as a span has it, written as a tape has it."""
    if content.isascii():
        # A blob goes by the digest of its text, which has to be the same whoever wrote it.
        is_short = len(content) <= INLINE_BYTES
        if is_short or not any(mark in content for mark in _WRITTEN_OTHERWISE):
            return content
    return _canonical(content)


def _canonical(content: bytes) -> bytes:
    return _encode(orjson.loads(content)).encode("ascii")


def _line(record: dict[str, Any]) -> bytes:
    """A record as ASCII JSON, in a tenth of the time wherever it has nothing special."""
    try:
        content = orjson.dumps(record)
    except TypeError:  # a large integer, a lone surrogate
        return _encode(record).encode("ascii")
    return content if content.isascii() else _encode(record).encode("ascii")


def _forked() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
