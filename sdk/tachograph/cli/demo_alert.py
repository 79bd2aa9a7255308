"""The demo's alert: a rule over stops by budgets, told to a webhook that listens here while the demo runs."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tachograph_schemas import words
from tachograph_schemas.control import ALERTS
from tachograph_schemas.control_client import ControlClient

NETWORKS = {"TACHO_ALERT_NETWORKS": "127.0.0.0/8"}
"""What a collector has to be started with: else nobody may be told on this machine."""
AGENT = "loop"
"""The agent of the demo that its budget stops."""
_TOLD_S = 8.0
_MOST_BYTES = 1 << 16
_TARGET = "demo webhook"
_RULE = {
    "name": "a budget stopped an agent",
    "metric": "budget_stops",
    "group_by": "agent",
    "window_s": 3_600,
    "critical": 1,
    "targets": [_TARGET],
    "note": "The demo made this rule; `tacho alert rm` takes it away.",
}


class Heard:
    """What the webhook heard."""

    def __init__(self) -> None:
        self._titles: queue.Queue[str] = queue.Queue()

    def put(self, body: bytes) -> None:
        """Note a message."""
        with contextlib.suppress(ValueError, AttributeError):
            self._titles.put(str(json.loads(body).get("title")))

    def sentence(self) -> str:
        """What came, after a few seconds at most; empty when nothing did."""
        try:
            title = self._titles.get(timeout=_TOLD_S)
        except queue.Empty:
            return ""
        return f"An alert was delivered to a webhook on this machine: {words.plain(title)}"


@contextlib.contextmanager
def listening(endpoint: str, api_key: str) -> Iterator[Heard]:
    """A webhook that is told what the demo's rule finds; the rule stays, the webhook does not."""
    heard = Heard()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(heard))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    thread.start()
    client = ControlClient(endpoint, api_key)
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        client.call("POST", f"{ALERTS}/targets", {"name": _TARGET, "url": url, "actor": "demo"})
        client.call("POST", f"{ALERTS}/rules", {"rule": _RULE, "actor": "demo"})
        yield heard
    finally:
        client.call("DELETE", f"{ALERTS}/targets", query={"name": _TARGET, "by": "demo"})
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(heard: Heard) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            heard.put(self.rfile.read(min(length, _MOST_BYTES)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """The demo's output is its own."""

    return Handler
