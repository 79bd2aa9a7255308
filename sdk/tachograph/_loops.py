"""A stop rule that a run may switch on: the same call of a tool, with the same result, once too often.

A call whose result changes is progress (a poll that waits, a queue that empties), so only calls that gave the same again
are counted. Nothing is looked at, and nothing is paid for it, until a run asks for it with ``stop_on_loop``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tachograph._capture import capture
from tachograph._facts import misused
from tachograph._failure import safe_text
from tachograph._frame import frame_of
from tachograph._given import number
from tachograph._guard import guarded
from tachograph._waits import Mutex

if TYPE_CHECKING:
    from tachograph._call import Spec

RULE = "loop"
"""The name of the stop rule."""
LEAST = 2
in_force = False
"""Whether any run of this process has asked for it."""
_READ_BYTES = 16_384
"""Of arguments and results; what is the same so far counts as the same."""


@dataclass(slots=True, eq=False)
class Loops:
    """What the tools of one run were called with, and how often they gave the same. Safe between threads."""

    most: int
    _same: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    """By call: the digest of its last result, and how often in a row that came."""
    _lock: Mutex = field(default_factory=Mutex)

    def after_fork(self) -> None:
        """In the child: whoever held the lock may not be there to let it go."""
        self._lock = Mutex()

    def times(self, call: bytes) -> int:
        """How often in a row this call gave the same."""
        with self._lock:
            return self._same.get(call, (b"", 0))[1]

    def note(self, call: bytes, result: bytes) -> None:
        """This call gave that."""
        with self._lock:
            last, times = self._same.get(call, (b"", 0))
            self._same[call] = result, times + 1 if last == result else 1


@dataclass(frozen=True, slots=True)
class Watch:
    """One call of a tool under watch."""

    _loops: Loops
    _call: bytes

    def returned(self, result: Any) -> None:
        """It gave ``result``. Never raises."""
        with guarded("watching for a loop"):
            self._loops.note(self._call, _digest(capture(result, _READ_BYTES)[0]))

    def failed(self, error: BaseException) -> None:
        """It raised ``error``. Never raises."""
        with guarded("watching for a loop"):
            self._loops.note(self._call, _digest(f"{type(error).__name__} {safe_text(error)}"))


def asked_for(most: int | None) -> Loops | None:
    """The watch of a run that was given ``stop_on_loop=most``; ``None`` when it does not ask for one."""
    global in_force
    if most is None:
        return None
    times = number(most)
    if times is None or not LEAST <= times < math.inf:
        misused("run", f"stop_on_loop is {safe_text(most)}; it must be a number from {LEAST} on")
        return None
    in_force = True
    return Loops(int(times))


def before(spec: Spec, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Watch | None:
    """Look at a call that is about to be made; ``None`` when nobody watches it.

    Raises:
        RunStopped: it gave the same too often. A ``stop`` span that says so was recorded.
    """
    if spec.layer != "tool":
        return None
    run = frame_of().run
    loops = run.loops if run is not None else None
    if loops is None:
        return None
    name, times = "", 0
    with guarded("watching for a loop"):
        given = spec.binder.bind(args, dict(kwargs))
        name = spec.describe(given)[0].removeprefix("execute_tool ")
        call = _digest(f"{name} {capture(given, _READ_BYTES)[0]}")
        times = loops.times(call)
        if times < loops.most:
            return Watch(loops, call)
    if times >= loops.most:
        _stop(name, times)
    return None


def _stop(name: str, times: int) -> None:
    from tachograph._layers import stop

    stop(
        RULE,
        f"{name} was called {times} times with the same arguments and gave the same each time",
        needs="another way to the goal, or the reason why this one does not work",
    )


def _digest(text: str) -> bytes:
    import hashlib

    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
