"""Switching on the instruments of client libraries by name."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import cast

_CLIENTS = {"anthropic": "anthropic"}
"""Instrument (and extra of the same name) to the module it needs."""


def instrument(*names: str) -> list[str]:
    """Record the calls of client libraries: ``tacho.instrument("anthropic")``.

    Args:
        names: Which ones; none means all whose client is installed. Asking twice does no harm.

    Returns:
        The instruments that are installed now, of those asked for.

    Raises:
        ValueError: an unknown name; the message lists the known ones.
        ImportError: the client is not installed; the message has the command that installs it.
    """
    unknown = [name for name in names if name not in _CLIENTS]
    if unknown:
        known = ", ".join(sorted(_CLIENTS))
        raise ValueError(f"no instrument is called {unknown[0]!r}; there are: {known}")
    wanted = names or tuple(name for name in _CLIENTS if _present(_CLIENTS[name]))
    for name in wanted:
        if not _present(_CLIENTS[name]):
            raise ImportError(
                f"the client for {name!r} is not installed: pip install 'tachograph[{name}]'",
                name=_CLIENTS[name],
            )
        module = importlib.import_module(f"tachograph.instruments.{name}")
        cast("Callable[[], None]", module.install)()
    return list(wanted)


def _present(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
