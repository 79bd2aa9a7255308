"""Listening for orders costs an agent nothing, whatever answers at the endpoint."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tachograph import _orders
from tachograph_schemas.control_client import ControlClient


class Ending(threading.Event):
    """Notes how long the listener wants to wait, and ends it then."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        self.set()
        return True


@pytest.fixture
def agreeable():
    """A backend that says 200 and {} to everything; its address and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_a_backend_that_agrees_to_everything_is_not_asked_again_and_again(agreeable):
    address, asked = agreeable
    follower = _orders._Follower(ControlClient(address, ""))
    follower.stopping = Ending()
    follower._listen()
    assert len(asked) == 1
    assert follower.stopping.waits == [_orders._NO_SUCH_THING_S]
