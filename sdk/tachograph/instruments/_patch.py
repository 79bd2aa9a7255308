"""Replacing methods of other people's classes, so that it can be undone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tachograph._waits import Mutex

_MARK = "__tachograph_instrument__"
LOCK = Mutex()
"""Held while hooks are put in and taken out."""


def wrap(owner: Any, name: str, wrapper: Callable[[Any], Any]) -> bool:
    """Replace the method ``name`` of ``owner`` by ``wrapper(original)``; asking twice does no harm.

    Returns:
        False when the library, of another version, has no such method: then less is recorded.
    """
    # As it stands in the class: a static or class method stays one, and an inherited one is not copied.
    given = vars(owner).get(name)
    if given is None:
        return False
    kind = type(given) if isinstance(given, classmethod | staticmethod) else None
    original = given.__func__ if kind else given
    if hasattr(original, _MARK):
        return True
    wrapped = functools.wraps(original)(wrapper(original))
    setattr(wrapped, _MARK, given)
    setattr(owner, name, kind(wrapped) if kind else wrapped)
    return True


def unwrap(owner: Any, *methods: str) -> None:
    """Give ``owner`` its own methods back; those that were never replaced stay."""
    for name in methods:
        given = vars(owner).get(name)
        original = getattr(getattr(given, "__func__", given), _MARK, None)
        if original is not None:
            setattr(owner, name, original)
