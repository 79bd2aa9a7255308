"""Bodies of spans that the collector still has, so that recordings need not hold the same payloads again on the wire.

Spans go out while a run is under way, its recording when it has ended. Both are compressed, but apart; against the
bodies that its spans were in, a recording takes a fifteenth of its room, and half the time to compress. A collector of ours says
that it keeps a body; when it does so no longer, the recording is sent as a whole.

Pattern: one thread writes and replaces the whole tuple, others read it, so that a fork finds no lock held.
"""

from __future__ import annotations

import secrets

from tachograph_schemas.control import PREFIX_LIMIT_BYTES, PREFIX_MOST_BODIES

_AROUND_BYTES = 64 << 10
"""Other runs send spans too: so much more, and half as much again as the recordings have, is looked back."""
_MOST_MISSES = 3
"""In a row. Then it is another collector each time, or one that keeps too little."""


def new_name() -> str:
    """A name for a body that nobody guesses."""
    return secrets.token_hex(16)


class Kept:
    """The newest bodies that were kept. :meth:`add` is for the thread that sends spans."""

    def __init__(self) -> None:
        self._bodies: tuple[tuple[str, bytes], ...] = ()
        self._misses = 0

    @property
    def is_wanted(self) -> bool:
        """Whether it is of use to name bodies."""
        return self._misses < _MOST_MISSES

    def add(self, name: str, body: bytes) -> None:
        """The collector keeps this body."""
        if len(body) > PREFIX_LIMIT_BYTES:
            return  # smaller ones are of more use
        bodies = (*self._bodies[1 - PREFIX_MOST_BODIES :], (name, body))
        size_bytes = sum(len(each) for _, each in bodies)
        while size_bytes > PREFIX_LIMIT_BYTES:
            size_bytes -= len(bodies[0][1])
            bodies = bodies[1:]
        self._bodies = bodies

    def before(self, size_bytes: int) -> tuple[str, bytes]:
        """What to compress so many bytes of recordings against: the names, for the collector, and the text."""
        found: list[tuple[str, bytes]] = []
        wanted_bytes = size_bytes * 3 // 2 + _AROUND_BYTES if self.is_wanted else 0
        for one in reversed(self._bodies):
            if wanted_bytes <= 0:
                break
            found.insert(0, one)
            wanted_bytes -= len(one[1])
        return " ".join(name for name, _ in found), b"".join(body for _, body in found)

    def was_used(self) -> None:
        """The collector had them."""
        self._misses = 0

    def was_missing(self) -> None:
        """It had not."""
        self._bodies = ()
        self._misses += 1
