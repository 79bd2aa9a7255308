"""Which code made a recording: digests of the program's own modules."""

from __future__ import annotations

import sys
from hashlib import blake2b
from pathlib import Path

_FILES_LIMIT = 2_000
_known: dict[tuple[str, int, int], str] = {}


def digests(root: Path, entry_file: str) -> dict[str, str]:
    """Each loaded module's file under ``root`` with its digest, and ``entry_file`` whatever the modules say."""
    found: dict[str, str] = {}
    # A script that has ended has no __file__ any more.
    names = [entry_file, *(getattr(m, "__file__", None) for m in list(sys.modules.values()))]
    for name in names:
        if not name or not name.endswith(".py") or len(found) >= _FILES_LIMIT:
            continue
        path = Path(name)
        if not path.is_relative_to(root) or "site-packages" in path.parts:
            continue
        digest = digest_of(path)
        if digest:
            found[str(path.relative_to(root))] = digest
    return found


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
