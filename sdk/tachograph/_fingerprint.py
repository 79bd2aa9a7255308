"""A keyed hash of what is not recorded: equal values stay recognisable as equal, and nothing more.

The key is 32 random bytes of this installation, kept in ``TACHO_HOME`` and readable by its owner only, so
that a secret has the same mark in every process of a machine. Where there is no home (or it cannot be
written) each process has a key of its own. Without the key a mark does not even confirm a guess.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

from tachograph._guard import say_rarely

KEY_FILE = "redaction.key"
KEY_BYTES = 32
_PRIVATE = 0o600

_process_key = secrets.token_bytes(KEY_BYTES)
_home: Path | None = None
_key: bytes | None = None


def keep_key_in(home: Path | None) -> None:
    """Keep the key in ``home`` when it exists; None: one for this process. Reads nothing yet."""
    global _home, _key
    _home, _key = home, None


def fingerprint(text: str, digits: int = 4) -> str:
    """The first ``digits`` (at most 32) hexadecimal digits of a keyed hash of ``text``. Never raises.

    The first call reads one small file.
    """
    data = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, key=_current_key(), digest_size=16).hexdigest()[:digits]


def _current_key() -> bytes:
    global _key
    if _key is None:
        _key = _installed_key(_home) or _process_key
    return _key


def _installed_key(home: Path | None) -> bytes | None:
    if home is None:
        return None
    path = home / KEY_FILE
    try:
        # The directory is made by whoever installs; an agent in a container leaves no trace of one.
        if not home.is_dir():
            return None
        if not path.exists():
            _create(path)
        if path.stat().st_mode & 0o077:
            path.chmod(_PRIVATE)
        key = path.read_bytes()
    except OSError as error:
        say_rarely("fingerprint", "tachograph: %s: %s; this process uses its own key", path, error)
        return None
    return key if len(key) == KEY_BYTES else None


def _create(path: Path) -> None:
    """Write a new key as a whole; when another process was faster, its key stays."""
    draft = path.with_name(f"{KEY_FILE}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
