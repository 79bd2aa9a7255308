"""Sends through Apprise in a process of its own: ``python -m tachograph_collector.alerts.apprise_child``.

Reads one JSON object a line (``url``, ``title``, ``body``, ``type``) and answers each with one (``error``, empty when it
was taken), after a line that says that it listens. Apprise speaks to a hundred services through many libraries; here,
whatever they do, every connection is looked at by the interpreter itself when it is made, and so is every file: a URL can
name one as a template, and what it holds would leave with the message. A service that hangs is killed from outside.
"""

from __future__ import annotations

import json
import logging
import mimetypes
import os
import re
import sys
import sysconfig
from pathlib import Path
from typing import Any

from tachograph_collector.alerts.network import Network, is_allowed, networks

_REFUSED_EVENTS = frozenset(
    {
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.fork",
        "os.forkpty",
        "ctypes.dlopen",
        "syslog.openlog",
        "syslog.syslog",
    }
)
_CONNECTING_EVENTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})

_CALLS_ALL = re.compile(r"@(?=everyone\b|here\b|channel\b|all\b)", re.IGNORECASE)


class _Heard(logging.Handler):
    """The last thing that Apprise complained of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()


def main() -> None:
    """Serve until the input ends."""
    import apprise

    heard = _Heard()
    apprise.logger.addHandler(heard)
    allowed = networks(sys.argv[1] if len(sys.argv) > 1 else "")
    sys.addaudithook(_fence(allowed, _code()))
    print("ready", flush=True)
    for line in sys.stdin:
        answer = {"error": _send(apprise, json.loads(line), heard)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _fence(allowed: tuple[Network, ...], code: tuple[Path, ...]) -> Any:
    """An audit hook: connections to ``allowed`` and public networks, files of ``code`` for reading, no programs."""

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _REFUSED_EVENTS:
            raise PermissionError(f"a notification does not start programs ({event})")
        if event == "open" and not _is_code(arguments, code):
            raise PermissionError("a notification does not use files of the collector")
        if event in _CONNECTING_EVENTS:
            where = arguments[1]
            if event == "socket.sendmsg" and where is None:
                return  # the connection it belongs to was looked at
            if not isinstance(where, tuple) or not is_allowed(str(where[0]), allowed):
                sentence = "the address is not public; TACHO_ALERT_NETWORKS can allow it"
                raise PermissionError(sentence)

    return look


def _code() -> tuple[Path, ...]:
    """Where the interpreter and its libraries are, and the public lists that they read."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = {sysconfig.get_path(name) for name in names} | {str(Path(__file__).parents[1])}
    files = {*mimetypes.knownfiles, os.devnull, "/usr/share/zoneinfo", "/etc/localtime"}
    return tuple(Path(os.path.realpath(each)) for each in folders | files)


def _is_code(arguments: tuple[Any, ...], code: tuple[Path, ...]) -> bool:
    """Whether opening a file (its path, mode and flags) is only reading what belongs to the interpreter."""
    path, mode, flags = arguments
    if isinstance(path, int):
        return True  # it is open already
    writes = flags & (os.O_WRONLY | os.O_RDWR) or any(letter in (mode or "") for letter in "wax+")
    # The path as it is after links and dots: `/usr/lib/python3/../../../etc/passwd` is no code.
    real = Path(os.path.realpath(os.fsdecode(path)))
    return not writes and any(real == each or each in real.parents for each in code)


def _send(apprise: Any, job: dict[str, str], heard: _Heard) -> str:
    """Why it was not taken; empty when it was."""
    heard.last = ""
    asset = apprise.AppriseAsset(storage_mode="memory", plugin_paths=None)
    try:
        service = apprise.Apprise.instantiate(job["url"], asset=asset)
        if service is None:
            return "Apprise does not know this URL"
        service.redirects = False
        sender = apprise.Apprise(asset=asset)
        sender.add(service)
        # Names in it are an agent's, hence anybody's. Unsaid, HTML in them would be HTML of the mail.
        taken = sender.notify(
            body=_calling_nobody(job["body"]),
            title=_calling_nobody(job["title"]),
            notify_type=job["type"],
            body_format=apprise.NotifyFormat.TEXT,
        )
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "" if taken else heard.last or "the service did not take it"


def _calling_nobody(text: str) -> str:
    """With ``@everyone`` and its like as text: in chats they ring with everybody."""
    return _CALLS_ALL.sub("@\u200b", text)


if __name__ == "__main__":
    main()
