"""A local server that speaks the protocol of OpenAI's APIs; its answers are given by the test."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 90,
    "total_tokens": 1290,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 64},
}
RESPONSE_USAGE = {
    "input_tokens": 1200,
    "input_tokens_details": {"cached_tokens": 1024, "cache_write_tokens": 100},
    "output_tokens": 90,
    "output_tokens_details": {"reasoning_tokens": 64},
    "total_tokens": 1290,
}


@dataclass
class Reply:
    """What one request is answered with: JSON, or server-sent events when ``events`` are given."""

    body: Any = None
    status: int = 200
    events: list[Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    done: bool = True
    """Whether a stream of chat chunks ends with ``[DONE]``."""


def completion(message: dict[str, Any], finish: str = "stop", **more: Any) -> Reply:
    """A chat completion with one choice."""
    return Reply(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-5-mini-2025-08-07",
            "service_tier": "default",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": finish,
                    "message": {"role": "assistant", "content": None, **message},
                }
            ],
            "usage": USAGE,
            **more,
        }
    )


def chunks(*deltas: dict[str, Any], finish: str | None = "stop", usage: bool = True) -> Reply:
    """The same as a stream."""
    base = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-5-mini-2025-08-07",
    }
    events = [
        {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    if finish is not None:
        last = {"index": 0, "delta": {}, "finish_reason": finish}
        events.append({**base, "choices": [last]})
    if usage:
        events.append({**base, "choices": [], "usage": USAGE})
    return Reply(events=events, done=finish is not None)


def response(output: list[Any], status: str = "completed", **more: Any) -> dict[str, Any]:
    """A response of the Responses API."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "gpt-5-mini-2025-08-07",
        "status": status,
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": RESPONSE_USAGE if status != "in_progress" else None,
        **more,
    }


def said(text: str) -> dict[str, Any]:
    """An output item with a text."""
    content = {"type": "output_text", "text": text, "annotations": []}
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [content],
    }


def refusal(status: int, code: str, **headers: str) -> Reply:
    """An error as the API words it; ``retry-after-ms`` keeps the tests short."""
    error = {"message": f"{code}, please retry", "type": "requests", "param": None, "code": code}
    return Reply({"error": error}, status, headers={"retry-after-ms": "20", **headers})


class OpenAIServer:
    """Answers each request with the next reply; the last one is repeated."""

    def __init__(self) -> None:
        self.replies: deque[Reply] = deque()
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def will_say(self, *replies: Reply) -> None:
        self.replies.extend(replies)

    def next_reply(self) -> Reply:
        return self.replies.popleft() if len(self.replies) > 1 else self.replies[0]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    owner: OpenAIServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def do_POST(self) -> None:
        owner = self.server.owner
        size = int(self.headers.get("content-length") or 0)
        owner.requests.append(json.loads(self.rfile.read(size)))
        owner.headers.append({key.lower(): value for key, value in self.headers.items()})
        reply = owner.next_reply()
        stream = reply.events is not None
        content = _events(reply) if stream else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        kind = "text/event-stream; charset=utf-8" if stream else "application/json"
        self.send_header("content-type", kind)
        self.send_header("x-request-id", f"req_{len(owner.requests)}")
        self.send_header("content-length", str(len(content)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """The console belongs to the tests."""


def _events(reply: Reply) -> bytes:
    lines = []
    for event in reply.events or ():
        if "type" in event:
            lines.append(f"event: {event['type']}\n")
        lines.append(f"data: {json.dumps(event)}\n\n")
    named = any("type" in event for event in reply.events or ())
    return ("".join(lines) + ("data: [DONE]\n\n" if reply.done and not named else "")).encode()
