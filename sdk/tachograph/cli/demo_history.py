"""The demo's made-up past, sent beside the agents that really run, once for a collector."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tachograph._transport import Transport
from tachograph.demo import history
from tachograph_schemas.control import DRIFT
from tachograph_schemas.control_client import ControlClient

SETTLED_SOON = {"TACHO_DRIFT_SETTLE_S": "5"}
"""What a collector is started with for the demo: nobody waits a minute for the first alarm."""
_POST_S = 30.0


@contextmanager
def sending(endpoint: str, api_key: str) -> Iterator[None]:
    """Send it on a thread of its own; the block ends when all is delivered, or the collector takes no more."""
    thread = threading.Thread(target=_send, args=(endpoint, api_key), name="demo history")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _send(endpoint: str, api_key: str) -> None:
    client = ControlClient(endpoint, api_key)
    known = client.call("GET", f"{DRIFT}/agents", query={"agent": history.STORIES[0].agent})
    if known:
        return
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    transport = Transport(f"{client.base}/v1/traces", headers, "auto")
    try:
        for body in history.bodies(time.time_ns()):
            if transport.post(body, _POST_S).kind != "accepted":
                return
    finally:
        transport.close()
