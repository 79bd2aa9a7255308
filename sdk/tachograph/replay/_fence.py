"""The fence around a replay: nothing leaves the process and nothing outside of the sandbox changes.

An audit hook of the interpreter, which sees what Python code and most C code asks of the system, and cannot be taken
off again: so it is put into processes that do nothing but replay. What it refuses ends the replay as ``LEAK``.
"""

from __future__ import annotations

import _posixsubprocess
import asyncio
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tachograph.replay._divergence import Diverged, Divergence
from tachograph.replay._where import program_line

_REFUSED = frozenset(
    (
        *("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"),
        *("socket.sendmsg", "socket.bind", "socket.gethostbyaddr", "subprocess.Popen"),
        *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty"),
        *("os.kill", "os.killpg", "signal.pthread_kill", "pty.spawn", "ftplib.connect"),
        *("smtplib.connect", "imaplib.open", "poplib.connect", "telnetlib.Telnet.open"),
        *("urllib.Request", "webbrowser.open", "os.startfile", "syslog.openlog"),
        *("syslog.syslog", "os.listen", "socket.sendfile", "resource.prlimit", "os.posix_spawnp"),
    )
)
_CHANGES = frozenset(
    (
        *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink"),
        *("os.truncate", "os.chmod", "os.chown", "os.utime", "os.setxattr", "os.removexattr"),
        *("shutil.rmtree", "shutil.move", "shutil.copyfile", "sqlite3.connect"),
    )
)
_TWO_PATHS = frozenset(("os.rename", "os.link", "os.symlink", "shutil.move", "shutil.copyfile"))
"""Of which the second is changed too."""
_UNHEARD = (
    *((os, "mkfifo"), (os, "mknod")),
    # multiprocessing starts processes with it.
    (_posixsubprocess, "fork_exec"),
)
"""What the interpreter does not tell its hooks."""
_OF_LOOPS = (
    *("create_connection", "create_unix_connection", "create_datagram_endpoint", "sock_connect"),
    *("create_server", "create_unix_server", "subprocess_exec", "subprocess_shell", "sock_sendto"),
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Fence:
    """Put up once a process; :meth:`down` lets the replay's own report out."""

    def __init__(self) -> None:
        self.sandbox = Path(tempfile.mkdtemp(prefix="tacho-replay-")).resolve()
        self.leaked: Callable[[Divergence], None] | None = None
        """Told what was tried, even if the agent swallows what is raised."""
        self._up = False

    def put_up(self) -> None:
        """From now on."""
        tempfile.tempdir = str(self.sandbox)
        os.environ["TMPDIR"] = str(self.sandbox)
        sys.dont_write_bytecode = True
        self._up = True
        sys.addaudithook(self._hook)
        for owner, name in _UNHEARD:
            if hasattr(owner, name):
                setattr(owner, name, self._refusing(name, getattr(owner, name)))

    def guard(self, loop: asyncio.AbstractEventLoop) -> None:
        """Refuse what a loop that is no Python code reaches out with, which no hook hears of."""
        if type(loop).__module__.partition(".")[0] == "asyncio":
            return
        for name in _OF_LOOPS:
            loop.__dict__[name] = self._refusing(f"loop.{name}", getattr(loop, name))

    def _refusing(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def refuse(*args: Any, **kwargs: Any) -> Any:
            if self._up:
                self._refuse(name, args)
            return real(*args, **kwargs)

        return refuse

    def down(self) -> None:
        """The agent's code has ended."""
        self._up = False

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._up:
            return
        if event == "open":
            self._opening(*args)
        elif event == "os.kill" and args[1:] == (0,):
            return  # only asks whether a process is there
        elif event in _REFUSED or (event in _CHANGES and not self._stays(event, args)):
            self._refuse(event, args)

    def _stays(self, event: str, args: tuple[Any, ...]) -> bool:
        paths = args[:2] if event in _TWO_PATHS else args[:1]
        # A path that counts from a directory's descriptor may be anywhere.
        relative = any(isinstance(arg, int) and arg >= 0 for arg in args[2:4])
        return not relative and bool(paths) and all(map(self._in_sandbox, paths))

    def _opening(self, path: Any, mode: Any, flags: Any) -> None:
        writes = isinstance(flags, int) and flags & _WRITING
        if isinstance(mode, str) and not writes:
            writes = any(letter in mode for letter in "wax+")
        elsewhere = path != os.devnull and not isinstance(path, int)
        if writes and elsewhere and not self._in_sandbox(path):
            self._refuse("open for writing", (path,))

    def _in_sandbox(self, path: Any) -> bool:
        try:
            place = os.path.realpath(os.fsdecode(path))
        except (TypeError, ValueError):
            return False
        return place == str(self.sandbox) or place.startswith(f"{self.sandbox}{os.sep}")

    def _refuse(self, event: str, args: tuple[Any, ...]) -> None:
        self._up = False
        try:
            what = ", ".join(str(arg)[:80] for arg in args[:2])
            line = program_line(2, or_any=True)
            said = f"{event}({what}) was tried at {line or 'an unknown place'}, and not recorded as an effect."
            divergence = Divergence("LEAK", said, where=line)
            if self.leaked is not None:
                self.leaked(divergence)
        finally:
            self._up = True
        raise Diverged(divergence)
