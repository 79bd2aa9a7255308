"""What the interpreter tells its audit hooks of a change to files: which places are changed, wherever they are named from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import unquote

_NO_FILE = ("", ":memory:")
"""Databases that leave nothing."""


class _Argument(NamedTuple):
    path: int
    directory: int | None = None
    """Where the descriptor is told that the path counts from; None: there is none."""
    follows: bool = True
    """Whether a link is followed, or is itself what is changed."""
    is_folder: bool = False
    """Whether it has to be a folder: then a link that stands for one will not do."""


CHANGES: dict[str, tuple[_Argument, ...]] = {
    "os.remove": (_Argument(0, 1, follows=False),),
    "os.rmdir": (_Argument(0, 1, follows=False, is_folder=True),),
    "os.rename": (_Argument(0, 2, follows=False), _Argument(1, 3, follows=False)),
    "os.mkdir": (_Argument(0, 2, follows=False),),
    # A second name of a file is a way to change it.
    "os.link": (_Argument(0, 2), _Argument(1, 3, follows=False)),
    "os.symlink": (_Argument(1, 2, follows=False),),
    "os.truncate": (_Argument(0),),
    "os.chmod": (_Argument(0, 2),),
    "os.chflags": (_Argument(0),),
    "os.chown": (_Argument(0, 3),),
    "os.utime": (_Argument(0, 3),),
    "os.setxattr": (_Argument(0),),
    "os.removexattr": (_Argument(0),),
    "shutil.rmtree": (_Argument(0, 1, follows=False, is_folder=True),),
    "shutil.move": (_Argument(0, follows=False), _Argument(1, follows=False)),
}
"""Events, and which of their arguments are paths that are changed."""


class Change(NamedTuple):
    """One place that is about to be changed."""

    place: str
    """An absolute path; empty when it cannot be known."""
    follows: bool
    is_folder: bool = False


def changes_of(event: str, args: tuple[Any, ...]) -> Iterator[Change]:
    """The places that an event of :data:`CHANGES` is about."""
    for argument in CHANGES[event]:
        given = args[argument.path] if argument.path < len(args) else None
        at = argument.directory
        base = args[at] if at is not None and at < len(args) else None
        yield Change(place_of(given, base), argument.follows, argument.is_folder)


def changes_of_database(name: Any) -> Iterator[Change]:
    """The files that SQLite may open by a name. It is not told whether names are URIs there, so they are taken as both."""
    if name in _NO_FILE:
        return
    yield Change(place_of(name), follows=True)
    text = os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else ""
    if text.startswith("file:"):
        path, _, query = text.removeprefix("file:").partition("#")[0].partition("?")
        if path.startswith("//"):
            path = os.sep + path[2:].partition("/")[2]
        path = unquote(path)
        if path not in _NO_FILE and "mode=memory" not in query.split("&"):
            yield Change(place_of(path), follows=True)


def place_of(path: Any, directory: Any = None) -> str:
    """The absolute path of a path or a descriptor, which may count from a directory's descriptor; empty when unknown."""
    if isinstance(path, int):
        return _of_descriptor(path)
    try:
        text = os.fsdecode(path)
        if isinstance(directory, int) and directory >= 0 and not os.path.isabs(text):  # noqa: PTH117 - text throughout
            base = _of_descriptor(directory)
            return os.path.join(base, text) if base else ""  # noqa: PTH118 - as above
        return os.path.join(os.getcwd(), text)  # noqa: PTH109, PTH118 - as above
    except (TypeError, ValueError, OSError):
        return ""


def _of_descriptor(descriptor: int) -> str:
    """What an open file is called; empty for pipes, sockets, and where the system does not tell."""
    with suppress(OSError):
        found = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - text throughout
        return found if found.startswith(os.sep) else ""
    with suppress(OSError, ImportError, AttributeError):
        import fcntl

        # macOS has no /proc.
        told = fcntl.fcntl(descriptor, getattr(fcntl, "F_GETPATH"), bytes(1024))  # noqa: B009 - not on Linux
        return os.fsdecode(told.rstrip(b"\0"))
    return ""
