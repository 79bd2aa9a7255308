"""Sends through Apprise in a process of its own: ``python -m tachograph_collector.alerts.apprise_child``.

Reads one JSON object a line (``url``, ``title``, ``body``, ``type``) and answers each with one (``error``, empty when it
was taken). Apprise speaks to a hundred services through many libraries; here, whatever they do, every connection is
looked at by the interpreter itself when it is made, and a service that hangs is killed from outside.
"""

from __future__ import annotations

import json
import logging
import sys
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
    sys.addaudithook(_fence(networks(sys.argv[1] if len(sys.argv) > 1 else "")))
    for line in sys.stdin:
        answer = {"error": _send(apprise, json.loads(line), heard)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _fence(allowed: tuple[Network, ...]) -> Any:
    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _REFUSED_EVENTS:
            raise PermissionError(f"a notification does not start programs ({event})")
        if event in {"socket.connect", "socket.sendto"}:
            where = arguments[1]
            if not isinstance(where, tuple) or not is_allowed(str(where[0]), allowed):
                sentence = "the address is not public; TACHO_ALERT_NETWORKS can allow it"
                raise PermissionError(sentence)

    return look


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
        taken = sender.notify(body=job["body"], title=job["title"], notify_type=job["type"])
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "" if taken else heard.last or "the service did not take it"


if __name__ == "__main__":
    main()
