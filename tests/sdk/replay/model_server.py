"""A local server of a model that asks for three tools at once. It answers late and out of order."""

from __future__ import annotations

import json
import random
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event

TOOLS = [("weather", '{"city": "Bern"}'), ("weather", '{"city": "Rome"}'), ("stock", "{}")]


class ModelServer(ThreadingHTTPServer):
    """Asks for three tools at once, then says what they gave. Late, and each time otherwise."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked = 0
        self.never = Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        given = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked += 1
        self.server.never.wait(random.random() * 0.01)
        results = [m["content"] for m in given["messages"] if m["role"] == "tool"]
        message = {"role": "assistant", "content": None}
        if given.get("tools") and not results:
            message["tool_calls"] = [
                {
                    "id": f"call_{number}",
                    "type": "function",
                    "function": {"name": name, "arguments": arguments},
                }
                for number, (name, arguments) in enumerate(TOOLS)
            ]
        else:
            last = given["messages"][-1]["content"]
            message["content"] = f"{results or last} {random.random()}"
        content = json.dumps(
            {
                "id": f"chat-{self.server.asked}",
                "object": "chat.completion",
                "created": 1,
                "model": given["model"],
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14},
            }
        ).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format, *args):
        """The console belongs to the tests."""
