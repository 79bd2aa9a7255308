"""The token that opens the gateway: 256 random bits in a file only its owner can read."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from tachograph_collector.errors import StartError

FILE_NAME = "gateway.token"
_LENGTH_BYTES = 32


def ensure_token(home: Path) -> str:
    """The token of the installation at ``home`` (``TACHO_HOME``); made on first use. Blocks on the disk.

    Two processes that start at the same time agree on one token: the file appears complete or not at
    all, and whoever comes second reads what the first one wrote.

    Raises:
        StartError: the file is open to other users, belongs to one, or holds no token. The message says what to do.
    """
    path = home / FILE_NAME
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        _create(path)
    return _read(path)


def _create(path: Path) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(_LENGTH_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A link refuses to replace, which a rename would do to another process's token.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _read(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor) as file:
        state = os.fstat(file.fileno())
        if state.st_uid != os.geteuid():
            raise StartError(
                f"{path} belongs to another user. Remove it; a new token is made then."
            )
        if stat.S_IMODE(state.st_mode) & 0o077:
            raise StartError(
                f"{path} can be read or changed by other users, so its token may be known. Remove the file to "
                f"get a new token, or run `chmod 600 {path}` if you are sure that nobody read it."
            )
        token = file.read(1024).strip()
    if len(token) < 2 * _LENGTH_BYTES or not token.isalnum() or not token.isascii():
        raise StartError(f"{path} holds no token. Remove it; a new one is made then.")
    return token
