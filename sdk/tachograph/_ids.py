"""Trace and span ids, from a generator of our own.

The one of ``random`` belongs to the agent: drawing from it would change what a seeded agent does, and a
seeded agent would give the spans of every process the same ids.
"""

from __future__ import annotations

import os
import random

_source = random.Random()  # noqa: S311 - ids need to differ, not to be secret


def new_trace_id() -> int:
    """128 bits, never 0."""
    return _source.getrandbits(128) or new_trace_id()


def new_span_id() -> int:
    """64 bits, never 0."""
    return _source.getrandbits(64) or new_span_id()


if hasattr(os, "register_at_fork"):
    # A forked child would otherwise go on with its parent's ids.
    os.register_at_fork(after_in_child=_source.seed)
