"""Which code made a recording: digests of the program's own modules."""

from __future__ import annotations

import operator
import sys
from hashlib import blake2b
from pathlib import Path
from typing import Any

_FILES_LIMIT = 2_000
_known: dict[tuple[str, int, int], str] = {}


class _Program:
    """The files of a program, looked for again only when another module is loaded."""

    def __init__(self) -> None:
        self._asked: tuple[Path, str] | None = None
        self._modules: list[Any] = []
        self._files: dict[str, Path] = {}

    def files(self, root: Path, entry_file: str) -> dict[str, Path]:
        """Each loaded module's file under ``root`` by its place there, and ``entry_file``."""
        modules = list(sys.modules.values())
        same = len(modules) == len(self._modules)
        if not same or not all(map(operator.is_, modules, self._modules)):
            self._asked = None
        if self._asked != (root, entry_file):
            self._files = _files_of(modules, root, entry_file)
            self._asked, self._modules = (root, entry_file), modules
        return self._files


_program = _Program()


def _files_of(modules: list[Any], root: Path, entry_file: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    # A script that has ended has no __file__ any more.
    for name in (entry_file, *(getattr(module, "__file__", None) for module in modules)):
        if not name or not name.endswith(".py") or len(found) >= _FILES_LIMIT:
            continue
        path = Path(name)
        if path.is_relative_to(root) and "site-packages" not in path.parts:
            found[str(path.relative_to(root))] = path
    return found


def digests(root: Path, entry_file: str) -> dict[str, str]:
    """The digest of each loaded module's file under ``root``, and of ``entry_file`` whatever the modules say."""
    found = {place: digest_of(path) for place, path in _program.files(root, entry_file).items()}
    return {place: digest for place, digest in found.items() if digest}


def digest_of(path: Path) -> str:
    """The digest of one file; empty when it cannot be read."""
    try:
        status = path.stat()
        key = (str(path), status.st_mtime_ns, status.st_size)
        if key not in _known:
            _known[key] = blake2b(path.read_bytes(), digest_size=16).hexdigest()
        return _known[key]
    except OSError:
        return ""


def changed_since(recorded: dict[str, str], root: Path) -> list[str]:
    """The files among ``recorded`` that are different now, or gone."""
    return sorted(name for name, digest in recorded.items() if digest_of(root / name) != digest)
