"""The fence around a replay: nothing leaves the process and nothing outside of the sandbox changes.

An audit hook of the interpreter, which sees what Python code and most C code asks of the system, and cannot be taken
off again: so it is put into processes that do nothing but replay. What it refuses ends the replay as ``LEAK``.
"""

from __future__ import annotations

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
    )
)
_CHANGES = frozenset(
    (
        *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink"),
        *("os.truncate", "os.chmod", "os.chown", "os.utime", "os.mkfifo", "os.mknod"),
        *("shutil.rmtree", "shutil.move", "shutil.copyfile", "sqlite3.connect"),
    )
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
        elif event in _REFUSED or (
            event in _CHANGES and not self._in_sandbox(args[0] if args else "")
        ):
            self._refuse(event, args)

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
