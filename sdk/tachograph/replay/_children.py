"""Processes that the agent forks. Nothing that happens in them is on the tape, so it is said when they begin.

A replay refuses to fork, as it refuses to start any process: see :mod:`._fence`.
"""

from __future__ import annotations

import os

from tachograph._guard import guarded
from tachograph.replay._place import here
from tachograph.replay._where import program_line


def _before_fork() -> None:
    with guarded("noting a fork"):
        place = here()
        if place is not None and not place.engine.replaying:
            place.engine.forks(program_line(or_any=True) or "an unknown place")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)
