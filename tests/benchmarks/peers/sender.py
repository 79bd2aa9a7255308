"""A client in a process of its own: sends the next request when the last one was answered.

``python -m benchmarks.peers.sender`` reads one JSON object, makes its requests, says ``ready``, waits for a line, and sends
until the time or the number is used up. Its answer is one JSON object, also when the server dies meanwhile.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from .bodies import templates

PAUSE_S = 0.02
"""Before a request is sent again to a server that asked for patience."""
MOST_ERRORS = 20
RECENT = 5


@dataclass
class Sent:
    """What one client saw."""

    client: int
    bodies: int = 0
    refused: int = 0
    errors: int = 0
    last_error: str = ""
    seconds: float = 0.0
    cpu_s: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    recent: list[int] = field(default_factory=list)
    """Sequence numbers of the requests acknowledged last."""


def send(orders: dict[str, Any], wait_for_start: Any) -> Sent:
    """Send as ordered; blocks until done."""
    made = templates(orders["client"])
    sent = Sent(orders["client"])
    headers = {"Content-Type": "application/x-protobuf", **orders["headers"]}
    connection = http.client.HTTPConnection("127.0.0.1", orders["port"], timeout=60)
    wait_for_start()
    started, sequence, body = time.perf_counter(), orders["first"], None
    used_s = time.process_time()
    while sent.bodies < orders["bodies"] and sent.errors < MOST_ERRORS:
        if time.perf_counter() - started > orders["seconds"]:
            break
        if body is None:
            sequence += 1
            body = made[sequence % len(made)].body(sent.client, sequence, time.time_ns() - 10**10)
        asked = time.perf_counter()
        try:
            connection.request("POST", orders["path"], body, headers)
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            sent.errors, sent.last_error = sent.errors + 1, repr(error)
            connection.close()
            if isinstance(error, ConnectionRefusedError):
                break
            continue
        if answer.status == 200:
            sent.bodies, body = sent.bodies + 1, None
            sent.latencies_ms.append((time.perf_counter() - asked) * 1e3)
            sent.recent = [*sent.recent[1 - RECENT :], sequence]
        elif answer.status in {429, 503}:
            sent.refused += 1
            time.sleep(PAUSE_S)
        else:
            sent.errors, sent.last_error = sent.errors + 1, said[:300].decode("latin1")
    sent.seconds, sent.cpu_s = time.perf_counter() - started, time.process_time() - used_s
    connection.close()
    return sent


def main() -> None:
    orders = json.loads(sys.stdin.readline())

    def wait_for_start() -> None:
        print("ready", flush=True)
        sys.stdin.readline()

    print(json.dumps(asdict(send(orders, wait_for_start))), flush=True)


if __name__ == "__main__":
    main()
