"""Receivers of notifications, real ones on this machine: an HTTP server and an SMTP server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import email
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hook:
    """What a webhook received. ``answers`` are the next statuses; 200 when there is none."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    """The messages that were answered with success."""

    def ids(self) -> list[str]:
        return [message["id"] for message in self.taken]


@contextlib.contextmanager
def webhook() -> Iterator[Hook]:
    hook, one_at_a_time = Hook(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if len(body) < int(self.headers["content-length"]):
                return  # the sender was killed
            # A body and its headers stand at the same place.
            with one_at_a_time:
                hook.bodies.append(body)
                hook.headers.append({name.lower(): value for name, value in self.headers.items()})
                status = hook.answers.pop(0) if hook.answers else 200
                if status < 300:
                    hook.taken.append(json.loads(body))
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"{hook.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook.url = f"http://127.0.0.1:{server.server_port}/hook-s3cr3t"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def is_signed(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """The check that a receiver makes, written from the description of Standard Webhooks."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.split("_", 1)[1])
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return headers["webhook-signature"] == f"v1,{expected}"


@contextlib.contextmanager
def mailbox() -> Iterator[tuple[str, list[Any]]]:
    """An SMTP server: its ``host:port`` and the mails that it took, as ``email.message.Message``."""
    from aiosmtpd.smtp import SMTP

    mails: list[Any] = []

    class Keep:
        # The name is the library's.
        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
            mails.append(email.message_from_bytes(envelope.content))
            return "250 OK"

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def listen() -> asyncio.Server:
        return await loop.create_server(lambda: SMTP(Keep(), loop=loop), "127.0.0.1", 0)

    async def close(server: asyncio.Server) -> None:
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(30)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", mails
    finally:
        asyncio.run_coroutine_threadsafe(close(server), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
