"""Locks, bells and threads of our own. Whatever code of others runs in the midst of our work, nothing stands still.

Code of others runs where nobody called it: a handler of a signal, at nearly any instruction of the main thread; a
finaliser, a weak reference's callback or a generator that is closed, wherever something is allocated; in a fork's child all
other threads are gone with what they held. All of it may record. So:

* A lock lets the same thread in again (:class:`Mutex`), and what is half done then is seen: by a flag, or as it does no harm.
* A Ctrl-C between taking a lock and the block that gives it back would leave it taken. ``with`` on a lock whose methods are C
  has no such place; ``with`` on a ``threading.Condition`` has, so the lock below it is what is entered. ``threading.Event``
  has one, and lets the same thread in only once; a :class:`Bell` and a :class:`Gate` have nothing to hold.
* A thread that begins may run a finaliser first, which waits for a lock that its starter holds. ``Thread.start`` waits until
  it has begun; a :class:`Background` is not waited for.
* A fork's child makes new locks (``os.register_at_fork``).

docs/decisions/0038 says of each lock who may come there, and what is left.
"""

from __future__ import annotations

import _thread
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

_LOCK: Any = type(_thread.allocate_lock())
_ACQUIRE: Callable[..., bool] = _LOCK.acquire
"""As it is now: while the threads of a run take turns, the methods of these types are others."""
_RLOCK: Any = type(threading.RLock())
"""``_thread.RLock``; where gevent or eventlet have put green threads in the place of threads, theirs, which tells those apart."""


class Mutex(_RLOCK):  # type: ignore[misc]  # known when the program runs
    """A lock for ``with``, which lets the same thread in again. Never one that the agent's threads take in turns."""

    __slots__ = ()

    acquire = _RLOCK.acquire
    __enter__ = _RLOCK.__enter__
    _acquire_restore = _RLOCK._acquire_restore  # what Condition uses


class Bell:
    """Wakes the one thread that waits for it. For any thread, handler and finaliser; a fork's child needs another one."""

    __slots__ = ("_acquire", "_silent")

    def __init__(self) -> None:
        self._silent = lock = _thread.allocate_lock()
        # That of green threads is of another type.
        self._acquire = partial(_ACQUIRE, lock) if type(lock) is _LOCK else lock.acquire
        self._acquire()

    def ring(self) -> None:
        """End one waiting, now or to come; rung twice before, it is rung once."""
        if self._silent.locked():
            try:
                self._silent.release()
            except RuntimeError:
                return  # somebody else was faster

    def wait(self, timeout_s: float = -1) -> bool:
        """Wait until it rings, for so many seconds at most, or for ever; whether it rang."""
        return self._acquire(True, timeout_s)


class Gate:
    """Is opened once, for any number of threads that wait."""

    __slots__ = ("_bell", "is_open")

    def __init__(self, *, is_open: bool = False) -> None:
        self.is_open = is_open
        self._bell = Bell()

    def open(self) -> None:
        """Let everybody through from now on."""
        self.is_open = True
        self._bell.ring()

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is open, for so many seconds at most; whether it is."""
        if not self.is_open and self._bell.wait(timeout_s):
            self._bell.ring()  # for the next one
        return self.is_open


class Background:
    """A thread of ours that runs ``work`` and holds up no exit. In a fork's child it is over.

    ``threading.enumerate()`` lists it while it lives, as a daemon with its name, and as a thread that was not started there:
    it cannot be joined, and what ``threading.settrace`` and ``threading.setprofile`` ask for does not happen in it.
    """

    __slots__ = ("_over", "_pid", "_work", "name")

    def __init__(self, work: Callable[[], object], name: str) -> None:
        self.name = name
        self._work = work
        self._pid = os.getpid()
        self._over = Gate()

    def start(self) -> None:
        """Begin. Whoever keeps it does so before, as what comes in the midst of this must not begin another one.

        Raises:
            RuntimeError: there is no thread to be had, as when the interpreter ends. It is over then.
        """
        try:
            # Looked up now: gevent and eventlet may have put another one there.
            _thread.start_new_thread(self._run, ())
        except BaseException:
            self._over.open()  # nobody is to wait for it
            raise

    def _run(self) -> None:
        me = threading.current_thread()
        try:
            me.name = self.name
            self._work()
        finally:
            # Until Python 3.12 it stays there, and gives its name to the next thread that gets its number.
            threading._active.pop(me.ident, None)  # type: ignore[attr-defined]  # no other way
            self._over.open()

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return not self._over.is_open and self._pid == os.getpid()

    def join(self, timeout_s: float) -> None:
        """Wait for its end, for so many seconds at most."""
        self._over.wait(timeout_s)
