"""What processes that are gone left in their spools: found, sent, reported as interrupted, removed.

A spool whose lock can be taken has no owner any more. Whoever takes it sends what was not sent, then the spans that
were open when the process died, and removes the directory. Killed half way, the next one starts where this one
noted that it was; what is sent twice has the same span id, and the collector keeps one.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tachograph import _otlp
from tachograph._export import Delivery, Exporter
from tachograph._guard import LOGGER, contain
from tachograph._lean import OPEN_MARK
from tachograph._redact import Redactor
from tachograph._segment import Left, Record, claim, note_shipped, read_left
from tachograph._slots import read_alive_ns, read_open
from tachograph._spool import ABOUT, DIRECTORY, GONE, OWNER
from tachograph._spool import remove as remove_spool
from tachograph._transport import Transport
from tachograph_schemas import names

_BATCH_RECORDS, _BATCH_BYTES = 512, 3 << 20
_HALF_MADE_S = 3_600.0
"""After so long a directory that never got its name is nobody's."""
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, RecursionError, re.error)
_INTERRUPTED = "its process ended before it did"
_RUN_LAYER = _otlp.attribute(names.LAYER, "run")
_INTERRUPTED_RUN = _otlp.attribute(names.RUN_OUTCOME, "interrupted") + _otlp.attribute(
    names.RUN_STOP_REASON, _INTERRUPTED
)
_INTERRUPTED_SPAN = _otlp.attribute(names.INTERRUPTED, True)
_held: set[int] = set()
"""Descriptors of the locks of spools that this process has found without an owner."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where spans go, and what is masked on the way: what a spool says of its owner."""

    url: str
    key_digest: str
    """Of the API key: spans of one project must not be sent with the key of another."""
    patterns: tuple[tuple[str, int], ...] = ()
    paths: tuple[str, ...] = ()
    emails: bool = False
    functions: tuple[str, ...] = ()
    """Names of redaction functions: only the program itself has them."""

    def takes(self, other: Destination) -> bool:
        """Whether spans meant for ``other`` may be sent here: to the same collector, with the same key."""
        return self.is_at(other) and self.key_digest == other.key_digest

    def is_at(self, other: Destination) -> bool:
        """Whether it is the same collector: on one machine its port is not what tells."""
        local = _is_loopback(self.url) and _is_loopback(other.url)
        return local or self.url == other.url


def _is_loopback(url: str) -> bool:
    return re.match(r"https?://(127\.|localhost[:/]|\[::1\])", url) is not None


def destination_of(transport: Transport, redactor: Redactor) -> Destination:
    """Where a process with this transport and redactor sends its spans."""
    key = transport.authorization
    # What tells keys apart without holding one.
    digest = hashlib.sha256(key.encode()).hexdigest()[:16] if key else ""
    rules = redactor.rules
    return Destination(
        transport.url, digest, rules.patterns, rules.paths, redactor.emails, rules.functions
    )


def about(service: str, destination: Destination, resource: bytes, scope: bytes) -> dict[str, Any]:
    """What a spool says of itself, for :func:`recover`."""
    return {
        "version": 1,
        "service": service,
        "started_s": round(time.time(), 3),
        "url": destination.url,
        "key_digest": destination.key_digest,
        "patterns": destination.patterns,
        "paths": destination.paths,
        "emails": destination.emails,
        "functions": destination.functions,
        "resource": base64.b64encode(resource).decode(),
        "scope": base64.b64encode(scope).decode(),
    }


@dataclass(slots=True)
class Orphan:
    """A spool without an owner, locked by us."""

    folder: Path
    lock: int
    service: str = ""
    destination: Destination = field(default_factory=lambda: Destination("", ""))
    resource: bytes = b""
    scope: bytes = b""

    def strange(self) -> str:
        """Why it cannot be a spool of this user's; empty when it can.

        Raises:
            OSError: it cannot be looked at.
        """
        owner = self.folder.stat().st_uid
        if owner != os.geteuid():
            return f"it belongs to the user with the number {owner}, who can recover it"
        with os.scandir(self.folder) as entries:
            for entry in entries:
                # A pipe would be waited for, a link would be followed.
                if not entry.is_file(follow_symlinks=False):
                    return f"{entry.name} in it is no file"
        return ""

    def read_about(self) -> None:
        """Read what it says of itself.

        Raises:
            ValueError, KeyError, TypeError, RecursionError, re.error, OSError: it cannot be understood.
        """
        said = json.loads((self.folder / ABOUT).read_text("utf-8"))
        self.service = str(said["service"])
        self.resource = base64.b64decode(said["resource"])
        self.scope = base64.b64decode(said["scope"])
        self.destination = Destination(
            said["url"],
            said["key_digest"],
            tuple((re.compile(text, flags).pattern, flags) for text, flags in said["patterns"]),
            tuple(said["paths"]),
            bool(said["emails"]),
            tuple(said["functions"]),
        )

    def segments(self) -> list[tuple[Path, Left]]:
        """Files with records that were not sent, in order."""
        found = ((path, read_left(path)) for path in self.folder.glob("*.ring"))
        left = [(path, left) for path, left in found if left is not None]
        return sorted(left, key=lambda pair: pair[1].sequence)

    def release(self, *, remove: bool) -> None:
        """Unlock it; ``remove``: all of it was dealt with."""
        if remove:
            remove_spool(self.folder)
        if self.lock in _held:
            _held.discard(self.lock)
            os.close(self.lock)


def find(home: Path) -> Iterator[Orphan]:
    """The spools under ``home`` that nobody owns, each locked until it is released."""
    parent = home / DIRECTORY
    try:
        folders = sorted(parent.iterdir())
    except OSError:
        return
    for folder in folders:
        if folder.is_symlink():
            continue  # ours are directories: whatever it leads to is not to be read, written or removed
        if folder.name.startswith(GONE):
            shutil.rmtree(folder, ignore_errors=True)
            continue
        if folder.name.startswith("."):
            with contextlib.suppress(OSError):
                if time.time() - folder.stat().st_mtime > _HALF_MADE_S:
                    shutil.rmtree(folder, ignore_errors=True)
            continue
        lock = claim(folder / OWNER)
        if lock is not None:
            _held.add(lock)
            yield Orphan(folder, lock)


def _leave_to_parent() -> None:
    """In a child that was forked: a spool would seem to have an owner for as long as the child lives."""
    while _held:
        with contextlib.suppress(OSError):
            os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


@dataclass(slots=True)
class Recovery:
    """Sends orphans to one destination, a batch a step. ``timeout_s`` is asked before each request."""

    home: Path
    transport: Transport
    redactor: Redactor
    destination: Destination
    timeout_s: Callable[[], float]
    force: bool = False
    """Send spools that were meant for another collector, too."""
    held: list[tuple[Orphan, str]] = field(default_factory=list)
    """Spools that were left where they are, and why."""
    spools: int = 0
    spans: int = 0
    interrupted: int = 0
    """Spans that were open when their process died."""
    lost: int = 0
    """Spans that the collector refused."""
    waiting: Orphan | None = None
    """The spool at which the collector took no more."""

    def steps(self) -> Iterator[Delivery]:
        """Send everything; each step is one batch. Stops at a batch that must be tried again later."""
        for orphan in find(self.home):
            done = False
            try:
                for delivery in self._steps_of(orphan):
                    self.lost += delivery.lost
                    if delivery.retry:
                        self.waiting = orphan
                    yield delivery
                    if delivery.retry:
                        return
                done = not (self.held and self.held[-1][0] is orphan)
            except Exception as fault:
                if not contain(f"recovering {orphan.folder}", fault):
                    raise
                self.held.append((orphan, f"{type(fault).__name__}: {fault}"))
            finally:
                orphan.release(remove=done)
            self.spools += done

    def _steps_of(self, orphan: Orphan) -> Iterator[Delivery]:
        try:
            strange = orphan.strange()
            if strange:
                self.held.append((orphan, strange))
                return
            orphan.read_about()
        except _UNREADABLE as error:
            self.held.append((orphan, f"what it says of itself cannot be read: {error}"))
            return
        exporter = self._exporter_for(orphan)
        if exporter is None:
            return
        for path, left in orphan.segments():
            for position, batch in _batches(left):
                delivery = exporter.send(batch, self.timeout_s())
                if not delivery.retry:
                    note_shipped(path, position)
                    self.spans += sum(record.final for record in batch)
                yield delivery
                if delivery.retry:
                    return
        alive_ns = read_alive_ns(orphan.folder)
        opened = [_interrupted(record, alive_ns) for record in read_open(orphan.folder)]
        if opened:
            delivery = exporter.send(opened, self.timeout_s())
            self.interrupted += 0 if delivery.retry else len(opened)
            yield delivery
            if delivery.retry:
                return
        LOGGER.debug("tachograph: %s was recovered", orphan.folder)

    def _exporter_for(self, orphan: Orphan) -> Exporter | None:
        meant = orphan.destination
        if not self.force and not self.destination.takes(meant):
            key = " with another API key" if self.destination.is_at(meant) else ""
            self.held.append((orphan, f"it was meant for {meant.url}{key}"))
            return None
        redactor = self.redactor
        if meant.functions and meant.functions != self.destination.functions:
            why = f"its program masks with functions of its own ({', '.join(meant.functions)})"
            self.held.append((orphan, f"{why}: run the program again, and it is sent"))
            return None
        if not meant.functions:
            hooks = [re.compile(pattern, flags) for pattern, flags in meant.patterns]
            redactor = Redactor(hooks, paths=meant.paths, emails=meant.emails)
        return Exporter(self.transport, redactor, orphan.resource, orphan.scope)


def _batches(left: Left) -> Iterator[tuple[int, list[Record]]]:
    batch: list[Record] = []
    size_bytes, position = 0, left.shipped_to
    for position, record in left.records():
        batch.append(record)
        size_bytes += len(record.content)
        if len(batch) >= _BATCH_RECORDS or size_bytes >= _BATCH_BYTES:
            yield position, batch
            batch, size_bytes = [], 0
    if batch:
        yield position, batch


def _interrupted(record: Record, alive_ns: int) -> Record:
    """An open span as its run's process left it: attributes add up, so they are put behind it."""
    content = record.content + OPEN_MARK + _INTERRUPTED_SPAN
    if alive_ns:
        content += _otlp.attribute(names.ALIVE_UNIX_NS, alive_ns)
    # An attribute is written in one way only, so that its bytes tell the run's own span.
    if _RUN_LAYER in record.content:
        content += _INTERRUPTED_RUN
    return Record(record.kind, content)
