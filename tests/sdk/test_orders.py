"""Listening for orders costs an agent nothing, whatever answers at the endpoint."""

from __future__ import annotations

import asyncio
import threading
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import tachograph as tacho
from tachograph import _orders
from tachograph._waits import Bell
from tachograph.testing import captured_spans
from tachograph_schemas.control_client import ControlClient


class Ending(Bell):
    """Notes how long the listener wants to wait, and ends it then."""

    def __init__(self, follower: _orders._Follower) -> None:
        super().__init__()
        self.follower = follower
        self.waits: list[float] = []

    def wait(self, timeout_s: float = -1) -> bool:
        self.waits.append(timeout_s)
        self.follower.stop()
        return super().wait(timeout_s)


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
    follower._woken = Ending(follower)
    follower._listen()
    assert len(asked) == 1
    assert follower._woken.waits == [_orders._NO_SUCH_THING_S]


@tacho.tool
@types.coroutine
def generated():
    yield from asyncio.sleep(0).__await__()


@tacho.tool
async def stream():
    yield 1


@tacho.tool
async def plain():
    return 1


async def by_hand():
    await generated()


async def consume():
    return [item async for item in stream()]


@pytest.mark.parametrize("call", [plain, consume, by_hand], ids=lambda call: call.__name__)
def test_a_pause_leaves_the_event_loop_to_others(call):
    """Whatever kind of asynchronous function the tool is."""
    lifted_by = []

    def lift(by):
        lifted_by.append(by)
        _orders._put({})

    async def main():
        paused = asyncio.create_task(call())
        asyncio.get_running_loop().call_later(0.01, lift, "the loop")
        await paused

    order = {
        "id": "1",
        "action": "pause",
        "scope": "all",
        "target": "",
        "reason": "",
        "actor": "ada",
    }
    # Where the loop is held nobody else would ever lift it.
    rescue = threading.Timer(30, lift, ["the rescue"])
    with captured_spans() as spans:
        _orders._put({"orders": [order]})
        rescue.start()
        try:
            asyncio.run(main())
        finally:
            rescue.cancel()
            _orders._put({})
    assert lifted_by == ["the loop"]
    assert len(spans.where(layer="tool")) == 1
