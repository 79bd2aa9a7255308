"""The HTTP side of the bundled model server: requests in, JSON or server-sent events out."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, cast

from tachograph.demo.answer import Event, error_body, events_of
from tachograph.demo.conversation import Fault
from tachograph.demo.prompt_cache import prompt_tokens

MAX_BODY_BYTES = 32 << 20
_LARGE = Fault(413, "request_too_large", "Request exceeds the maximum size")


class Answering(Protocol):
    """What decides on the requests that come in."""

    seconds_per_token: float
    requests: list[dict[str, Any]]

    def check(self, path: str, key: str, body: dict[str, Any]) -> Fault | None: ...
    def answer(self, body: Mapping[str, Any]) -> dict[str, Any] | Fault: ...
    def identify(self, prefix: str, body: Mapping[str, Any]) -> str: ...


class HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, owner: Answering) -> None:
        self.owner = owner
        self._serving: dict[threading.Thread, socket.socket] = {}
        super().__init__(("127.0.0.1", 0), Handler)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self._serving[threading.current_thread()] = request
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._serving.pop(threading.current_thread(), None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news; anything else goes to standard error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        """Also end the connections that clients keep alive, and wait for their threads."""
        super().server_close()
        for thread, connection in list(self._serving.items()):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RD)
            thread.join(timeout=5)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "tachograph-demo"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        body = self._read_json()
        if isinstance(body, Fault):
            self.close_connection = True
            self._send_fault(body, {})
            return
        if self.path.partition("?")[0] == "/v1/messages":
            self._owner.requests.append(body)
            self._messages(body)
        elif self.path.partition("?")[0] == "/v1/messages/count_tokens":
            fault = self._owner.check("/count_tokens", self._key, body)
            if fault is not None:
                self._send_fault(fault, body)
            else:
                self._send_json(200, {"input_tokens": prompt_tokens(body)}, body)
        else:
            self._send_fault(Fault(404, "not_found_error", "Not found"), body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the console belongs to the demo."""

    @property
    def _owner(self) -> Answering:
        return cast(HttpServer, self.server).owner

    @property
    def _key(self) -> str:
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        return (self.headers.get("x-api-key") or bearer).strip()

    def _read_json(self) -> dict[str, Any] | Fault:
        size = int(self.headers.get("content-length") or 0)
        if size > MAX_BODY_BYTES:
            return _LARGE
        try:
            body = json.loads(self.rfile.read(size))
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return Fault(400, "invalid_request_error", "The request body is not valid JSON.")
        return body

    def _messages(self, body: dict[str, Any]) -> None:
        fault = self._owner.check(self.path, self._key, body)
        if fault is not None and not (fault.mid_stream and body.get("stream")):
            self._send_fault(fault, body)
            return
        message = self._owner.answer(body)
        if isinstance(message, Fault):
            self._send_fault(message, body)
        elif body.get("stream"):
            self._send_events(message, body, fault)
        else:
            time.sleep(self._owner.seconds_per_token * message["usage"]["output_tokens"])
            self._send_json(200, message, body)

    def _send_fault(self, fault: Fault, body: Mapping[str, Any]) -> None:
        request_id = self._owner.identify("req", body)
        headers = {} if fault.retry_after_s is None else {"retry-after": f"{fault.retry_after_s:g}"}
        content = error_body(fault.type, fault.message, request_id)
        self._send(fault.status, json.dumps(content).encode(), request_id, headers)

    def _send_json(self, status: int, content: Any, body: Mapping[str, Any]) -> None:
        self._send(status, json.dumps(content).encode(), self._owner.identify("req", body), {})

    def _send(
        self, status: int, content: bytes, request_id: str, headers: Mapping[str, str]
    ) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.send_header("request-id", request_id)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def _send_events(
        self, message: Mapping[str, Any], body: Mapping[str, Any], fault: Fault | None
    ) -> None:
        request_id = self._owner.identify("req", body)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("cache-control", "no-cache")
        self.send_header("transfer-encoding", "chunked")
        self.send_header("request-id", request_id)
        self.end_headers()
        events = list(events_of(message))
        pause_s = self._owner.seconds_per_token * message["usage"]["output_tokens"] / len(events)
        for event in events[: len(events) // 2] if fault else events:
            self._send_event(event)
            time.sleep(pause_s)
        if fault:
            self._send_event(("error", error_body(fault.type, fault.message, request_id)))
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _send_event(self, event: Event) -> None:
        name, data = event
        chunk = f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        self.wfile.flush()
