"""The fence around a replay: nothing leaves the process and nothing outside of the sandbox changes.

An audit hook of the interpreter, which sees what Python code and most C code asks of the system, and cannot be taken
off again: so it is put into processes that do nothing but replay. What it refuses ends the replay as ``LEAK``.
"""

from __future__ import annotations

import _posixshmem  # type: ignore[import-not-found]  # typeshed has none
import _posixsubprocess
import asyncio
import errno
import os
import platform
import posix
import signal
import socket
import sqlite3
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from tachograph import _on_import
from tachograph.replay._changes import CHANGES, Change, changes_of, changes_of_database, place_of
from tachograph.replay._divergence import Diverged, Divergence
from tachograph.replay._mirror import Mirror, resolved
from tachograph.replay._where import program_line

_REFUSED = frozenset(
    (
        *("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"),
        *("socket.sendmsg", "socket.bind", "socket.gethostbyaddr", "subprocess.Popen"),
        *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty"),
        *("os.kill", "os.killpg", "signal.pthread_kill", "pty.spawn", "ftplib.connect"),
        *("smtplib.connect", "imaplib.open", "poplib.connect", "telnetlib.Telnet.open"),
        *("urllib.Request", "webbrowser.open", "os.startfile", "syslog.openlog"),
        *("syslog.syslog", "socket.sendfile", "resource.prlimit", "os.posix_spawnp"),
        # Another interpreter has no fence.
        *("socket.sethostname", "cpython.PyInterpreterState_New", "_xxsubinterpreters.create"),
    )
)
_TOLD_CHARS = 160
"""Of an argument of what was refused."""
_FORKS = frozenset(("os.fork", "os.forkpty", "fork_exec"))
_UNHEARD = (
    *(
        (os, "mkfifo"),
        (os, "mknod"),
        (posix, "mkfifo"),
        (posix, "mknod"),
        (time, "clock_settime"),
        (time, "clock_settime_ns"),
    ),
    (signal, "pidfd_send_signal"),
    # multiprocessing starts processes and shares memory with them.
    *((_posixsubprocess, "fork_exec"), (_posixshmem, "shm_open"), (_posixshmem, "shm_unlink")),
)
"""What the interpreter does not tell its hooks."""
_OF_LOOPS = (
    *("create_connection", "create_unix_connection", "create_datagram_endpoint", "sock_connect"),
    *("create_server", "create_unix_server", "subprocess_exec", "subprocess_shell", "sock_sendto"),
    *("getaddrinfo", "getnameinfo"),
)
_FACTORY_AT = 5
"""Among the arguments of `sqlite3.connect`."""
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Fence:
    """Put up once a process; :meth:`down` lets the replay's own report out."""

    def __init__(self) -> None:
        self.sandbox = Path(tempfile.mkdtemp(prefix="tacho-replay-")).resolve()
        self.mirror = Mirror(self.sandbox)
        self.stand_ins: dict[str, str] = {}
        """Names of folders as code is told them in here, and the real ones; longer ones first."""
        self.leaked: Callable[[Divergence], None] | None = None
        """Told what was tried, even if the agent swallows what is raised."""
        self._up = False
        self._in_thread = threading.local()

    def put_up(self, temporary: str = "") -> None:
        """From now on. ``temporary``: the folder for such files where the program ran; default: as it is here."""
        # Clients of model providers ask for it once a process, which is `uname` in a child the first time.
        platform.processor()
        temporary = temporary or tempfile.gettempdir()
        tempfile.tempdir = str(self.sandbox)
        os.environ["TMPDIR"] = str(self.sandbox)
        sys.dont_write_bytecode = True
        self.mirror.put_up(os.environ)
        self.stand_ins = self.mirror.stand_ins | {str(self.sandbox): temporary}
        self._up = True
        sys.addaudithook(self._hook)
        for owner, name in _UNHEARD:
            if hasattr(owner, name):
                setattr(owner, name, self._refusing(name, getattr(owner, name)))
        self._watch_opening()
        self._watch_attaching()
        _on_import.call_after("uvloop", "fence", self._watch_uvloop)
        socket.socket._accept = self._turning_away(socket.socket._accept)  # type: ignore[attr-defined]

    def guard(self, loop: asyncio.AbstractEventLoop) -> None:
        """Refuse what a loop that is no Python code reaches out with, which no hook hears of."""
        if type(loop).__module__.partition(".")[0] == "asyncio":
            return
        for name in _OF_LOOPS:
            loop.__dict__[name] = self._refusing(f"loop.{name}", getattr(loop, name))

    def _watch_uvloop(self) -> None:
        """Guard its loops from their beginning: a library may have one where no run is."""
        cls = sys.modules["uvloop"].Loop
        real = cls.__init__

        def made(loop: Any, *args: Any, **kwargs: Any) -> None:
            real(loop, *args, **kwargs)
            self.guard(loop)

        cls.__init__ = made

    def _refusing(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def refuse(*args: Any, **kwargs: Any) -> Any:
            if self._up:
                self._refuse(name, args)
            return real(*args, **kwargs)

        return refuse

    def down(self) -> None:
        """The agent's code has ended."""
        self._up = False

    def _watch_opening(self) -> None:
        """Put the folder in front of paths that count from a descriptor, of which the hook is not told."""
        real = os.open

        def opened(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if self._up and dir_fd is not None and flags & _WRITING:
                path, dir_fd = place_of(path, dir_fd) or self._refuse("os.open", (path,)), None
            return real(path, flags, mode, dir_fd=dir_fd)

        os.open = posix.open = opened

    def _turning_away(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """A port that the agent listens on is deaf: who comes in from outside is no part of the recording."""

        def accept(listening: Any) -> Any:
            descriptor, address = real(listening)
            if not self._up:
                return descriptor, address
            os.close(descriptor)
            raise ConnectionAbortedError(errno.ECONNABORTED, "nobody comes in during a replay")

        return accept

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._up or self.mirror.is_at_work or self._is_telling:
            return
        if event == "open":
            self._opening(*args)
        elif event == "os.kill" and args[1:] == (0,):
            return  # only asks whether a process is there
        elif event == "socket.bind" and _tries_a_port(*args[1:]):
            return  # libraries find out so, when they are imported, whether there is IPv6
        elif event in _REFUSED or not self._stays(event, args):
            self._refuse(event, args)

    def _stays(self, event: str, args: tuple[Any, ...]) -> bool:
        if event == "sqlite3.connect":
            return self._has_database(args[0])
        if event not in CHANGES or _changes_nothing(event, args):
            return True  # libraries see to their folders when they are imported
        return all(map(self._is_inside, changes_of(event, args)))

    def _has_database(self, name: Any) -> bool:
        return all(self._is_inside(each, beside=True) for each in changes_of_database(name))

    def _opening(self, path: Any, mode: Any, flags: Any) -> None:
        writes = isinstance(flags, int) and flags & _WRITING
        if isinstance(mode, str) and not writes:
            writes = any(letter in mode for letter in "wax+")
        if not writes or path == os.devnull or isinstance(path, int):
            return
        if not self._is_inside(Change(place_of(path), follows=True)):
            self._refuse("open for writing", (path,))

    def _watch_attaching(self) -> None:
        """A database that SQL names is as good as opened."""
        real, may = sqlite3.connect, self._may

        class Connection(sqlite3.Connection):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                self.set_authorizer(may)

        # On tapes it is what it stands for.
        Connection.__module__, Connection.__qualname__ = "sqlite3", "Connection"

        def connect(*args: Any, **kwargs: Any) -> Any:
            if len(args) <= _FACTORY_AT:
                kwargs.setdefault("factory", Connection)
            made = real(*args, **kwargs)
            made.set_authorizer(may)
            return made

        for module in (sqlite3, sqlite3.dbapi2):
            setattr(module, "connect", connect)  # noqa: B010 - typed as a function
            setattr(module, "Connection", Connection)  # noqa: B010 - as above

    def _may(self, action: int, name: str | None, *_: Any) -> int:
        if self._up and action == sqlite3.SQLITE_ATTACH and not self._has_database(name):
            self._refuse("sqlite3 attach", (name,))
        return sqlite3.SQLITE_OK

    def _is_inside(self, change: Change, *, beside: bool = False) -> bool:
        place = change.place.rstrip(os.sep)
        if not place:
            return False
        self.mirror.make_own(place, leaf=change.follows or change.is_folder, beside=beside)
        folder, name = os.path.split(place)
        if change.follows or name in {".", ".."}:
            place = resolved(place)
        else:
            place = os.path.join(resolved(folder), name)  # noqa: PTH118 - text throughout
        return place == str(self.sandbox) or place.startswith(f"{self.sandbox}{os.sep}")

    @property
    def _is_telling(self) -> bool:
        """Whether what this thread does now is done to say what was refused."""
        return getattr(self._in_thread, "tells", False) is True

    def _refuse(self, event: str, args: tuple[Any, ...]) -> NoReturn:
        self._in_thread.tells = True
        try:
            what = ", ".join(_told(arg) for arg in args[:2])
            line = program_line(2, or_any=True)
            said = f"{event}({what}) was tried at {line or 'an unknown place'}, and not recorded as an effect."
            if event in _FORKS:
                said += (
                    " What a child process does is not on the tape: start it, and take what it gives, in a function"
                    " under @tacho.tool."
                )
            divergence = Divergence("LEAK", said, where=line)
            if self.leaked is not None:
                self.leaked(divergence)
        finally:
            self._in_thread.tells = False
        raise Diverged(divergence)


def _told(argument: Any) -> str:
    """An argument for people. What a path is of, its end says."""
    text = str(argument)
    half = _TOLD_CHARS // 2
    return text if len(text) <= _TOLD_CHARS else f"{text[:half]}…{text[-half:]}"


def _changes_nothing(event: str, args: tuple[Any, ...]) -> bool:
    """Whether a folder is made that is there already, or something gets the mode that it has."""
    if event not in {"os.mkdir", "os.chmod"}:
        return False
    (change,) = changes_of(event, args)
    try:
        mode = Path(change.place).stat().st_mode
    except (OSError, ValueError):
        return False
    return event == "os.mkdir" or stat.S_IMODE(mode) == args[1]


def _tries_a_port(address: Any = None, *_: Any) -> bool:
    """Whether any free port of this machine's own is bound: what the agent sends there is refused, who comes in is turned away."""
    return isinstance(address, tuple) and address[0] in _LOOPBACK and address[1] == 0
