"""Caches that belong to a run: warm within it, cold at its beginning, in a recording and in its replay alike.

A cache of the process is the classic way to make a replay differ: what was warm when the run was recorded is cold when it
is replayed, and a call too many is made. What is fetched below an effect is kept apart, because a replay does not go there.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from tachograph._frame import frame_of

F = TypeVar("F", bound=Callable[..., Any])
_MISSING = object()
_NAMED = object()


def cached(function: F) -> F:
    """Keep what ``function`` gives for the rest of the run; every run begins with nothing kept.

    For what an agent fetches once: lists of tools, schemas, settings. Arguments have to be hashable, exceptions are not
    kept, and two calls at once may both fetch. Outside of a run, and with Tachograph off, it keeps for the life of the
    process, as ``functools.cache`` does, until ``cache_clear()`` is called.

    Raises:
        TypeError: it is a generator, which gives nothing that could be kept.
    """
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"tacho.cached takes functions and coroutine functions; {function.__qualname__} is a generator"
        )
    of_process: dict[Hashable, Any] = {}
    key = object()

    def kept() -> dict[Hashable, Any]:
        run = frame_of().run
        return of_process if run is None else run.caches.setdefault((key, _below_effect()), {})

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def fetch(*args: Any, **kwargs: Any) -> Any:
            values, asked = kept(), _asked(args, kwargs)
            found = values.get(asked, _MISSING)
            if found is _MISSING:
                found = values[asked] = await function(*args, **kwargs)
            return found

    else:

        @functools.wraps(function)
        def fetch(*args: Any, **kwargs: Any) -> Any:
            values, asked = kept(), _asked(args, kwargs)
            found = values.get(asked, _MISSING)
            if found is _MISSING:
                found = values[asked] = function(*args, **kwargs)
            return found

    fetch.cache_clear = of_process.clear  # type: ignore[attr-defined]  # as functools' own have
    return cast(F, fetch)


def _asked(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
    # Marked: an argument may itself look like names and values.
    return (args, _NAMED, tuple(kwargs.items())) if kwargs else args


def _below_effect() -> bool:
    """Whether this is the body of an effect, which does not run in a replay."""
    places = sys.modules.get("tachograph.replay._place")
    place = None if places is None else places.PLACE.get()
    return place is not None and place.inside
