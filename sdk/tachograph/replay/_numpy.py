"""The shared generator of numpy. Its state goes on the tape before a draw, whenever the run has not left it so itself.

Recording the state rather than the draws leaves arrays of any size off the tape, and what the program seeds is as it is.
Between two draws of one run nothing is written. What a replay draws is computed by its own numpy, from the same state.
Covered are the functions of ``numpy.random``; not methods of a generator that somebody holds by itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from tachograph import _on_import
from tachograph._waits import Mutex

if TYPE_CHECKING:
    from tachograph.replay._place import Place

_MODULE, _KEY = "numpy.random", "recording for replay"
_NOT_DRAWS = frozenset(("seed", "set_state"))
_BY_NAME = ("ranf", "sample")
"""Draws that are no methods of the generator."""
_READING = "~numpy.random"
"""A recording that does not have it is of an earlier version: then the generator is left as it is."""
State = tuple[bytes, int, int, float]


class Reading(Protocol):
    """Who draws."""

    @property
    def place(self) -> Place:
        """Where in the run."""
        ...


_lock = Mutex()


def _renew_lock() -> None:
    """In a child of a fork: the thread that had it may not be there to let it go."""
    global _lock
    _lock = Mutex()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def install(reader: Callable[[], Reading | None], undo: list[Callable[[], None]]) -> None:
    """Put the readings in place once numpy is imported; ``reader`` says who draws, two frames up; None: it is not the agent."""

    def put() -> None:
        module = sys.modules[_MODULE]
        shared = module.mtrand._rand
        for name, real in list(vars(module).items()):
            is_draw = getattr(real, "__self__", None) is shared and name not in _NOT_DRAWS
            if is_draw or name in _BY_NAME:
                _replace(module, name, _drawing(name, real, shared, reader), undo)

    def forget() -> None:
        _on_import.forget(_MODULE, _KEY)

    undo.append(forget)
    _on_import.call_after(_MODULE, _KEY, put)


def _replace(module: Any, name: str, value: Any, undo: list[Callable[[], None]]) -> None:
    real = getattr(module, name)
    setattr(module, name, value)
    undo.append(lambda: setattr(module, name, real))


def _drawing(
    name: str, real: Callable[..., Any], shared: Any, reader: Callable[[], Reading | None]
) -> Callable[..., Any]:
    def draw(*args: Any, **kwargs: Any) -> Any:
        reading = reader()
        before = None if reading is None else _state(shared)
        if reading is None or before is None:
            return real(*args, **kwargs)
        place = reading.place
        with _lock:
            _put_back(place, shared, before)
            try:
                return real(*args, **kwargs)
            finally:
                place.engine.numpy_left = _state(shared)

    draw.__module__, draw.__name__, draw.__qualname__ = _MODULE, name, name
    draw.__doc__ = real.__doc__
    return draw


def _put_back(place: Place, shared: Any, before: State) -> None:
    """Record the state, unless it is known; in a replay, make it what it was."""
    is_known = place.engine.numpy_left == before
    then = place.engine.read(place.node, _READING, lambda: None if is_known else list(before))
    if then is not None and place.engine.replaying:
        import numpy as np

        key, position, has_gauss, gauss = then
        words = np.frombuffer(key, dtype="<u4")
        shared.set_state(("MT19937", words, int(position), int(has_gauss), float(gauss)))


def _state(shared: Any) -> State | None:
    """Of the generator; None when somebody has put one of another kind in its place."""
    found = shared.get_state(legacy=False)
    if found["bit_generator"] != "MT19937":
        return None
    inner = found["state"]
    key = inner["key"].astype("<u4").tobytes()
    return key, int(inner["pos"]), int(found["has_gauss"]), float(found["gauss"])
