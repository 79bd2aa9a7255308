"""Deterministic replay: runs are recorded as they happen, and driven again offline.

Light at import: nothing here is loaded by ``import tachograph`` itself. docs/replay.md is the guide.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tachograph.replay._reconcile import Look
    from tachograph.replay._recording import Recording
    from tachograph.replay._run import Replayed

T = TypeVar("T")


def __getattr__(name: str) -> Any:
    if name != "Happened":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tachograph.replay._reconcile import Happened

    return Happened


__all__ = ["Happened", "codec", "load", "reconcile", "register", "replay"]


def register(cls: type[T]) -> type[T]:
    """Let values of a class come back from tapes: a dataclass, enum, named tuple, pydantic model or exception.

    Usable as a decorator. Only needed for classes that the code of a run does not name itself, in an annotation or in
    the body of a function. A class with a finalizer (``__del__``) cannot be one of them.

    Raises:
        TypeError: it has a finalizer.
    """
    from tachograph.replay._types import register as add

    add(cls)
    return cls


def codec(cls: type[T], *, encode: Callable[[T], Any], decode: Callable[[Any], T]) -> None:
    """Have values of ``cls`` on tapes: as what ``encode`` gives, read again by ``decode``.

    Call it where the class is defined, so that a replay, which imports that module too, knows it.
    """
    from tachograph.replay import _kinds  # noqa: F401 - ours come first
    from tachograph.replay._codec import register_type

    register_type(cls, encode, decode)


def reconcile(effect: Callable[..., Any]) -> Callable[[Look], Look]:
    """Say how to find out whether a write has happened that was under way when its run was killed.

    The function gets the arguments of the call by name. It returns :class:`Happened` with the result of then, or None
    when nothing has happened: then the write is done. Without one, ``tacho resume`` stops in front of the write::

        @reconcile(refund)
        def look(given):
            found = bank.find(given["order"])
            return Happened(found.receipt) if found else None
    """
    from tachograph.replay._reconcile import add_hook

    def add(look: Look) -> Look:
        add_hook(effect, look)
        return look

    return add


def load(path: str | Path) -> Recording:
    """The recording in a ``.tacho`` file.

    Raises:
        RecordingError: it is none, or a damaged one.
        OSError: it cannot be read.
    """
    from tachograph.replay import _recording

    return _recording.load(path)


def replay(recording: Recording, entry: Callable[..., Any]) -> Replayed:
    """Run ``entry``, the function of the run, against a recording, in this process and without a fence.

    ``tacho replay`` and :func:`tachograph.replay.testing.assert_replays` do it in a process of its own, which cannot
    reach anything. Returns whether it was identical, else the first difference.
    """
    from tachograph.replay import _run

    return _run.replay(recording, entry)
