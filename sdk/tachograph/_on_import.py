"""Calling something right after a module was imported, without importing it.

A finder in front of ``sys.meta_path`` lets the others find a module that is waited for, and has its loader
call back when the module has run. It is there only while something is waited for, and the module keeps no
trace of it: its loader and spec are those that were found.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from tachograph._waits import Mutex

Callback = Callable[[], None]

_waiting: dict[str, dict[str, Callback]] = {}
_called: set[tuple[str, str]] = set()
_lock = Mutex()


def call_after(module: str, key: str, callback: Callback) -> None:
    """Call ``callback`` once ``module`` is imported; now, when it is. A key is called once until forgotten."""
    with _lock:
        if (module, key) in _called:
            return
        if sys.modules.get(module) is None:
            _waiting.setdefault(module, {})[key] = callback
            if _FINDER not in sys.meta_path:
                sys.meta_path.insert(0, _FINDER)
            return
        _called.add((module, key))
    # Another thread may be importing it at this moment: this waits for it, and else does nothing.
    importlib.import_module(module)
    callback()


def forget(module: str, key: str) -> bool:
    """Do not call any more; tells whether it was called already."""
    with _lock:
        _waiting.get(module, {}).pop(key, None)
        _withdraw(module)
        if (module, key) not in _called:
            return False
        _called.discard((module, key))
        return True


def _withdraw(module: str) -> None:
    if not _waiting.get(module):
        _waiting.pop(module, None)
    if not _waiting and _FINDER in sys.meta_path:
        sys.meta_path.remove(_FINDER)


def _has_run(module: str) -> None:
    with _lock:
        callbacks = _waiting.pop(module, {})
        _withdraw(module)
        _called.update((module, key) for key in callbacks)
    for callback in callbacks.values():
        callback()


class _Finder:
    """Finds what is waited for, by asking the finders after it."""

    def __init__(self) -> None:
        self._asking = threading.local()

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname not in _waiting or getattr(self._asking, "name", None) == fullname:
            return None
        self._asking.name = fullname
        try:
            spec = find_spec(fullname)
        finally:
            self._asking.name = None
        if spec is None or not hasattr(spec.loader, "exec_module"):
            return None
        spec.loader = _Loader(spec.loader)  # type: ignore[assignment]  # stands in for it by delegation
        return spec


class _Loader:
    """A loader that loads like ``loader`` and then puts it back in its place."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        if name == "_loader":
            raise AttributeError(name)
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self._loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        _has_run(module.__name__)


_FINDER = _Finder()


def _renew_lock() -> None:
    global _lock
    _lock = Mutex()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
