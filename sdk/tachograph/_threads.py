"""Context across threads: a run's spans made in its worker threads belong to the run.

Only the OpenTelemetry context is carried, never the caller's other context variables, so code sees the
same values as without us; and only from inside a run, so threads of other programs are left alone.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from opentelemetry.context import attach, detach, get_current

from tachograph._frame import OUTSIDE, frame_of

P = ParamSpec("P")
R = TypeVar("R")

at_submit: Callable[..., Callable[..., Any]] | None = None
"""Gives work that goes to another thread its place in the run's tape; None when no tapes are made."""

_switch = threading.local()
_undo: list[Callable[[], None]] = []


def wrap(function: Callable[P, R]) -> Callable[P, R]:
    """``function``, to be called elsewhere (a thread, a callback) as if it were called from here.

    The OpenTelemetry context of this moment is current while it runs: its spans nest under the span
    that is current now. Nothing else about the call changes.
    """
    return _wrapped(function, function if at_submit is None else at_submit(function))


def _wrapped(function: Callable[P, R], body: Callable[P, R]) -> Callable[P, R]:
    context = get_current()

    @functools.wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        token = attach(context)
        try:
            return body(*args, **kwargs)
        finally:
            detach(token)

    return inside


@contextmanager
def not_carried() -> Iterator[None]:
    """Threads started in this block do not inherit the run (pool workers, our own threads)."""
    before = getattr(_switch, "off", False)
    _switch.off = True
    try:
        yield
    finally:
        _switch.off = before


def _carries() -> bool:
    return not getattr(_switch, "off", False) and frame_of() is not OUTSIDE


def install() -> bool:
    """Make threads and thread pools that are used inside a run carry its context; whether they did not before."""
    if _undo:
        return False
    start = threading.Thread.start
    submit: Callable[..., Any] = ThreadPoolExecutor.submit

    @functools.wraps(start)
    def start_inside(self: threading.Thread) -> None:
        if _carries() and "run" not in self.__dict__:
            # On the instance, because subclasses override `run`; taken off again when it runs.
            body = wrap(self.run)

            def run() -> None:
                self.__dict__.pop("run", None)
                body()

            self.__dict__["run"] = run
        start(self)

    @functools.wraps(submit)
    def submit_inside(
        self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        if not _carries():
            return submit(self, fn, *args, **kwargs)
        # A worker started by this call outlives the run, so the run goes with the task alone.
        body = fn if at_submit is None else at_submit(fn, pooled=True)
        with not_carried():
            return submit(self, _wrapped(fn, body), *args, **kwargs)

    threading.Thread.start = start_inside  # type: ignore[method-assign]  # the patch itself
    ThreadPoolExecutor.submit = submit_inside  # type: ignore[method-assign,assignment]  # as above
    _undo.append(lambda: setattr(threading.Thread, "start", start))
    _undo.append(lambda: setattr(ThreadPoolExecutor, "submit", submit))
    return True


def uninstall() -> None:
    """Take the patches off again."""
    while _undo:
        _undo.pop()()
