"""The user's folders as libraries see them in a replay: read through links, changed as copies in the sandbox.

Packages write below the home folder when they are imported or first used: caches of fonts, settings, a file that tells
whether the folder can be written to. In a replay they are told of another home. That is a link to the real one until
something in it is to be changed; then each folder on the way there is made anew, of links to what the real one has, and
the file is copied. So what they read is there, and what they write is thrown away with the sandbox.

The program's own code is told of the real folders: what it makes of their names is part of what is compared, and what
it writes there itself is an effect that it has to declare.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from tachograph._waits import Mutex
from tachograph.replay._where import is_program

_FOLDERS = re.compile(r"(HOME|_CACHE|_DATA|DIR)$")
"""Variables by which libraries find the folders that they write to, as ``XDG_CACHE_HOME``, ``HF_HOME``, ``MPLCONFIGDIR``."""
_OTHERS = re.compile(r"TACHO_|PYTHON|XDG_RUNTIME_DIR$|TMPDIR$")
_COPIED_BYTES = 64 << 20
"""A larger file is not copied; to change it is refused."""
_BESIDE = ("-journal", "-wal", "-shm")
"""Files that SQLite writes beside a database without telling anyone."""
resolved = os.path.realpath
"""The system's own answer."""
_STANDARD = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120 - compared with file names as text
_READINGS = "tachograph.replay._sources"
"""Asks on behalf of whoever called it."""
_TACHOGRAPH = frozenset(("tachograph", "tachograph_schemas"))


class Mirror:
    """Stands in for folders. Used by the fence, before it judges a path; safe between threads."""

    def __init__(self, sandbox: Path) -> None:
        self._root = str(sandbox / "folders")
        self._sandbox = str(sandbox)
        self.stand_ins: dict[str, str] = {}
        """What libraries are told, and what it stands for; longer paths first."""
        self._lock = Mutex()
        self._made = 0
        self._at_work = threading.local()

    @property
    def is_at_work(self) -> bool:
        """Whether what this thread does now is done by the mirror itself."""
        return getattr(self._at_work, "now", False) is True

    def put_up(self, environment: MutableMapping[str, str]) -> None:
        """From now on libraries are told of other folders; ``environment`` is ``os.environ``."""
        given = {name: value for name, value in environment.items() if _is_folder(name, value)}
        given.setdefault("HOME", os.path.expanduser("~"))  # noqa: PTH111 - text throughout
        told: dict[str, str] = {}
        os.mkdir(self._root)  # noqa: PTH102 - as above
        # Parents first: what lies in a folder that is known has its place in there.
        for name, folder in sorted(given.items(), key=lambda item: len(item[1])):
            told[name] = self._told(folder.rstrip(os.sep) or os.sep)
        self.stand_ins = dict(sorted(self.stand_ins.items(), key=lambda each: -len(each[0])))
        real = {name: environment.get(name) for name in told}
        for name, folder in told.items():
            os.putenv(name, folder)  # for what is no Python code
        _tell(type(environment), told, real)
        setattr(os.path, "realpath", self._resolve)  # noqa: B010 - a function of a module

    def _resolve(self, path: Any, **options: Any) -> Any:
        """Folders do not turn out to be the real ones by being looked at closely: they are our own before."""
        with suppress(TypeError, ValueError, OSError):
            self.make_own(os.path.abspath(os.fsdecode(path)), leaf=True, folders=True)  # noqa: PTH100 - text throughout
        return resolved(path, **options)

    def _told(self, folder: str) -> str:
        for told, real in self.stand_ins.items():
            if folder == real or folder.startswith(real + os.sep):
                return told + folder[len(real) :]
        told = f"{self._root}{os.sep}{len(self.stand_ins)}"
        self.stand_ins[told] = folder
        if os.path.isdir(folder):  # noqa: PTH112 - text throughout
            os.symlink(folder, told)  # noqa: PTH211 - as above
        return told

    def make_own(
        self, place: str, *, leaf: bool, beside: bool = False, folders: bool = False
    ) -> None:
        """Before ``place`` is changed: what is on the way there becomes a part of the sandbox.

        Args:
            place: An absolute path.
            leaf: Its end too, and not only what it lies in.
            beside: The files that SQLite has beside a database, too.
            folders: Only folders, and no files.
        """
        place = os.path.normpath(place)
        if not place.startswith(self._root + os.sep):
            return
        with self._lock:
            self._at_work.now = True
            try:
                parts = place[len(self._root) + 1 :].split(os.sep)  # noqa: PTH206 - text throughout
                ends = len(parts) if leaf else len(parts) - 1
                for end in range(1, ends + 1):
                    here = os.path.join(self._root, *parts[:end])  # noqa: PTH118 - text throughout
                    if not folders or os.path.isdir(here):  # noqa: PTH112 - as above
                        self._own(here)
                for suffix in _BESIDE if beside else ():
                    self._own(place + suffix)
            except OSError:
                pass  # what could not be made our own is outside, and refused
            finally:
                self._at_work.now = False

    def _own(self, link: str) -> None:
        """Put a folder of links, or a copy, into the place of a link to the outside."""
        if not os.path.islink(link):  # noqa: PTH114 - text throughout
            return
        real = resolved(link)
        if real == self._sandbox or real.startswith(self._sandbox + os.sep):
            return
        self._made += 1
        # Each time another one: what could not be finished stays behind.
        made = f"{self._sandbox}{os.sep}made{self._made}"
        if os.path.isdir(real):  # noqa: PTH112 - as above
            os.mkdir(made)  # noqa: PTH102 - as above
            with os.scandir(real) as entries:
                for entry in entries:
                    os.symlink(entry.path, os.path.join(made, entry.name))  # noqa: PTH118, PTH211 - as above
            os.unlink(link)  # noqa: PTH108 - as above
        elif os.path.isfile(real) and os.path.getsize(real) <= _COPIED_BYTES:  # noqa: PTH113, PTH202 - as above
            shutil.copyfile(real, made)
            shutil.copystat(real, made)
        else:
            return
        os.replace(made, link)  # noqa: PTH105 - as above


def _is_folder(name: str, value: str) -> bool:
    if _OTHERS.search(name) or not _FOLDERS.search(name):
        return False
    return os.path.isabs(value) and os.pathsep not in value and not os.path.isfile(value)  # noqa: PTH113, PTH117 - text


def _tell(cls: Any, told: dict[str, str], real: dict[str, str | None]) -> None:
    """Have ``os.environ`` answer by who asks."""
    plain = cls.__getitem__

    def get_item(self: Any, key: Any) -> Any:
        if self is not os.environ or key not in told:
            return plain(self, key)
        now = getattr(self, "_data").get(self.encodekey(key))  # noqa: B009 - no public name
        found = real[key]
        if now != (None if found is None else self.encodevalue(found)):
            return plain(self, key)  # somebody has set it since
        if not _asks_for_itself(sys._getframe(1)):
            return told[key]
        if found is None:
            raise KeyError(key)
        return found

    cls.__getitem__ = get_item


def _asks_for_itself(frame: FrameType | None) -> bool:
    """Whether the program asks, or Tachograph, be it through the standard library; and not a library."""
    while frame is not None:
        file, module = frame.f_code.co_filename, str(frame.f_globals.get("__name__"))
        is_between = file.startswith("<") or module == _READINGS
        is_between |= file.startswith(_STANDARD) and "site-packages" not in file
        if not is_between:
            # What Tachograph only drives was asked further in.
            return module.partition(".")[0] in _TACHOGRAPH or is_program(file)
        frame = frame.f_back
    return False


def as_real(tree: Any, stand_ins: dict[str, str]) -> Any:
    """A tree of JSON types with the real names of folders for what code is told in here."""
    if isinstance(tree, dict):
        return {name: as_real(item, stand_ins) for name, item in tree.items()}
    if isinstance(tree, list):
        return [as_real(item, stand_ins) for item in tree]
    if isinstance(tree, str):
        for told, real in stand_ins.items():
            # A root's name ends with a separator, others do not.
            tree = tree.replace(told + os.sep, real.rstrip(os.sep) + os.sep).replace(told, real)
    return tree
