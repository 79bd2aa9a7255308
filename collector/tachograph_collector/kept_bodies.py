"""Bodies of spans that came a moment ago, for recordings that were compressed against them.

A recording holds the payloads that the spans of its run had, so next to those it takes a fifteenth of its room. A client
that means to send recordings names the bodies of its spans, and later the ones that a body of recordings begins behind.

In memory, as they came, the newest up to a limit. Nothing depends on it: who names a body that is gone is told so, and
sends the whole. Names are the client's, and good within its project alone.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from typing import NamedTuple

from tachograph_collector.content import inflated
from tachograph_collector.errors import BadBodyError, GoneError
from tachograph_schemas.control import PREFIX_LIMIT_BYTES, PREFIX_MOST_BODIES

LIMIT_BYTES = 32 << 20
"""Of all that is kept, compressed as it came."""
_EACH_BYTES = 512
"""What a body takes in memory besides: bodies without content must not be kept without end."""
_NAME = re.compile(r"[0-9a-f]{32}")


class _Body(NamedTuple):
    raw: bytes
    encoding: str


class KeptBodies:
    """The newest bodies, by project and name. Any thread may use it."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._left_bytes = limit_bytes
        self._bodies: OrderedDict[tuple[str, str], _Body] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, project: str, name: str, raw: bytes, encoding: str) -> bool:
        """Keep a body that was taken, in one of :func:`content.encoding_of`; False if it will not be."""
        # As many bytes of compressed text as the limit has uncompressed can never be of use.
        if not _NAME.fullmatch(name) or len(raw) > PREFIX_LIMIT_BYTES:
            return False
        with self._lock:
            if (project, name) in self._bodies:
                return False  # what a name means must not change
            self._bodies[project, name] = _Body(raw, encoding)
            self._left_bytes -= len(raw) + _EACH_BYTES
            while self._left_bytes < 0:
                _, oldest = self._bodies.popitem(last=False)
                self._left_bytes += len(oldest.raw) + _EACH_BYTES
        return True

    def prefix(self, project: str, names: str) -> bytes:
        """The bodies of those names, with spaces between, one after the other; empty for no name.

        Raises:
            GoneError: one of them is not here.
            BadBodyError: together they are over the limit, they are too many, or one is of several members.
        """
        named = names.split()
        if len(named) > PREFIX_MOST_BODIES:
            raise BadBodyError(f"A prefix may be of {PREFIX_MOST_BODIES} bodies.")
        with self._lock:
            found = [self._bodies.get((project, name)) for name in named]
        parts: list[bytes] = []
        left_bytes = PREFIX_LIMIT_BYTES
        for one in found:
            if one is None:
                raise GoneError("The body before this one is not kept any more. Send it without.")
            part = one.raw
            if one.encoding != "identity":
                # Ours sends one member a body, and a member takes time even where it has no text.
                part = inflated(part, one.encoding, left_bytes, lambda _: None, most_members=1)
            left_bytes -= len(part)
            if left_bytes < 0:
                raise BadBodyError(f"A prefix may have {PREFIX_LIMIT_BYTES:,} bytes.")
            parts.append(part)
        return b"".join(parts)
