"""What this process has used of its shares of budgets, in memory that outlives it: a file under ``TACHO_HOME``.

The collector takes what a process that fell silent was given for used. The next process of this machine that leases from the
same collector reads what the dead one did use, held for calls under way included, and tells it. The kernel owns the
memory, so a kill loses nothing; after a loss of power pages may be old, and such a file is not believed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tachograph._guard import contain
from tachograph._segment import allocate, claim
from tachograph_schemas.control import MOST_AMOUNT

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
"""Another one after each start of the machine. Where there is none, nothing is kept."""
_BOOT_BYTES: Final = 64
_SLOT: Final = struct.Struct("=16sdd")
_SLOTS: Final = 1_000
"""Leases of further accounts are not noted: they count as used when the process is killed, all of them."""
_SIZE_BYTES: Final = _BOOT_BYTES + _SLOTS * _SLOT.size
_FREE: Final = bytes(16)
_MOST_LEFT: Final = 300
"""Files of processes that are gone."""


def _boot() -> bytes:
    try:
        return _BOOT.read_bytes().strip()[:_BOOT_BYTES]
    except OSError:
        return b""


class Ledger:
    """The file of this process. The methods are called with a lock of the caller's held, one for each slot."""

    def __init__(self, home: Path | None, identity: str = "") -> None:
        """``identity`` is that of the line to the collector. Without a place to keep it nothing is noted."""
        self._map: Any = None
        self._owner = -1
        self._free = list(range(_BOOT_BYTES, _SIZE_BYTES, _SLOT.size))[::-1]
        boot = _boot()
        if home is None or not boot:
            return
        self._path = home / f"leases-{identity}-{os.getpid()}-{secrets.token_hex(4)}"
        # Not under its name before it is locked: it would look like one whose process is gone.
        hidden = self._path.with_name(f".{self._path.name}")
        try:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._begin(hidden, boot)
        except OSError as error:
            with contextlib.suppress(OSError):
                hidden.unlink(missing_ok=True)
            if not contain("noting shares of budgets", error):
                raise

    def _begin(self, hidden: Path, boot: bytes) -> None:
        memory = allocate(hidden, _SIZE_BYTES, _SIZE_BYTES)
        memory[: len(boot)] = boot
        owner = os.open(hidden, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            hidden.rename(self._path)
        except OSError:
            os.close(owner)
            raise
        self._owner, self._map = owner, memory
        self._amounts = memoryview(memory).cast("d")

    def open(self, lease: str, used: float, held: float) -> int:
        """A slot for a lease of which so much was used and is held; -1 where it cannot be noted."""
        memory = self._map
        try:
            slot = self._free.pop() if memory is not None else -1
        except IndexError:
            return -1
        self.note(slot, used, held)
        if slot >= 0:
            memory[slot : slot + 16] = bytes.fromhex(lease)
        return slot

    def note(self, slot: int, used: float, held: float) -> None:
        """So much was used, and is held for calls under way."""
        if slot >= 0 and self._map is not None:
            # Each in one store, and what a call was charged before what it held goes: a kill between them loses nothing.
            at = slot // 8 + 2
            self._amounts[at] = used
            self._amounts[at + 1] = held

    def free(self, slot: int) -> None:
        """The collector knows all about the lease."""
        memory = self._map
        if slot >= 0 and memory is not None:
            memory[slot : slot + 16] = _FREE
            self._free.append(slot)

    def leave_to_parent(self) -> None:
        """In a child that was forked: the file is the parent's alone, and what the child still settles is not noted."""
        self._map = None
        self._let_go()

    def close(self, *, told: bool) -> None:
        """The process ends; unless the collector was ``told``, the next one is to tell it. A second call does nothing."""
        if told and self._owner >= 0:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
        # The memory stays: another thread may be noting something at this moment.
        self._let_go()

    def _let_go(self) -> None:
        owner, self._owner = self._owner, -1
        if owner >= 0:
            os.close(owner)


@dataclass(frozen=True, slots=True)
class Left:
    """What a process that is gone left: its leases, and how much of each it has used at most."""

    path: Path
    used: dict[str, float]

    def remove(self) -> None:
        """It was told."""
        self.path.unlink(missing_ok=True)


def left_behind(home: Path, identity: str) -> Iterator[Left]:
    """The files whose processes are gone, each locked while it is looked at.

    They are few. Where processes crash and nobody can be told, the oldest are given up: their shares count as used.
    """
    with contextlib.suppress(OSError):
        _prune(home)
    for path in sorted(home.glob(f"leases-{identity}-*")):
        with _claimed(path) as lock:
            if lock is not None:
                yield Left(path, _read(lock))


def _prune(home: Path) -> None:
    """Remove the oldest of too many, whomever they were to be told."""
    paths = list(home.glob("leases-*-*"))
    if len(paths) <= _MOST_LEFT:
        return
    newest_first = sorted(paths, key=lambda path: path.lstat().st_mtime, reverse=True)
    count = 0
    for path in newest_first:
        with _claimed(path) as lock:
            count += lock is not None
            if lock is not None and count > _MOST_LEFT:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[int | None]:
    lock = claim(path)
    try:
        yield lock
    finally:
        if lock is not None:
            os.close(lock)


def _read(lock: int) -> dict[str, float]:
    try:
        data = os.pread(lock, _SIZE_BYTES, 0)
    except OSError:  # it is no file
        return {}
    if len(data) < _SIZE_BYTES or data[:_BOOT_BYTES].rstrip(b"\0") != _boot():
        return {}
    found = {}
    for name, used, held in _SLOT.iter_unpack(data[_BOOT_BYTES:]):
        if name != _FREE and used >= 0 and held >= 0 and used + held <= MOST_AMOUNT:
            found[name.hex()] = used + held
    return found
