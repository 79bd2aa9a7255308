"""Records the retries of stamina, under the names that stamina gives them.

Stamina runs on tenacity, and its own hooks for instrumentation are the application's to set; so the seams are
tenacity's, and the name is taken where stamina makes the callback of a loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import stamina._core

from tachograph._guard import guarded
from tachograph.instruments._patch import LOCK, unwrap, wrap
from tachograph.instruments._retry_seam import STAMINA_NAME, install_for, uninstall_for


def install() -> None:
    """Record every retry made with stamina. Idempotent."""
    with LOCK:
        wrap(stamina._core, "_make_before_sleep", _named)
        install_for("stamina")


def uninstall() -> None:
    """Leave stamina alone."""
    with LOCK:
        unwrap(stamina._core, "_make_before_sleep")
        uninstall_for("stamina")


def _named(original: Callable[..., Any]) -> Callable[..., Any]:
    def _make_before_sleep(*args: Any, **kwargs: Any) -> Any:
        callback = original(*args, **kwargs)
        with guarded("naming a retry"):
            setattr(callback, STAMINA_NAME, args[0] if args else kwargs.get("name"))
        return callback

    return _make_before_sleep
