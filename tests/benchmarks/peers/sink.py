"""A collector that takes everything: what reaches it is kept and searched for the calls' markers when asked.

``python -m benchmarks.peers.sink`` prints its port, answers every line on standard input with one JSON object, and ends
when standard input does. The lines: ``counts``, ``down`` (nothing listens any more), ``up``, ``slow SECONDS`` before each
answer.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from backports import zstd

from tachograph_schemas.control import KEEP, KEPT, PREFIX

# What LangSmith's hosted service announces: its client then sends compressed multipart bodies.
INFO = {
    "version": "0.13.0",
    "batch_ingest_config": {
        "use_multipart_endpoint": True,
        "scale_up_qsize_trigger": 1000,
        "scale_up_nthreads_limit": 16,
        "scale_down_nempty_trigger": 4,
        "size_limit": 100,
        "size_limit_bytes": 20_971_520,
    },
    "instance_flags": {"zstd_compression_enabled": True},
}
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Kept:
    """Bodies as they came. Appending to a list is atomic; the counts are made when the senders rest."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes, bytes]] = []
        self.named: dict[str, bytes] = {}
        """Bodies of spans without their coding that a sender has named, as our collector keeps them."""
        self.is_down = False
        self.delay_s = 0.0

    def counts(self) -> dict[str, int]:
        arguments: set[bytes] = set()
        results: set[bytes] = set()
        for encoding, body, prefix in self.bodies:
            text = _plain(encoding, body, prefix)
            arguments.update(re.findall(rb"TPA\d{8}", text))
            results.update(re.findall(rb"TPR\d{8}", text))
        size = sum(len(body) for _, body, _ in self.bodies)
        return {"arguments": len(arguments), "results": len(results), "wire_bytes": size}


def _plain(encoding: str, body: bytes, prefix: bytes) -> bytes:
    if prefix:
        before = zstd.ZstdDict(prefix, is_raw=True).as_prefix
        return zstd.decompress(body, zstd_dict=before)
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "deflate":
        return zlib.decompress(body)
    return zstd.decompress(body) if body.startswith(ZSTD_MAGIC) else body


def _handler(kept: Kept) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _chunks(self) -> bytes:
            parts = []
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _answer(self) -> None:
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                body = self._chunks()
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if kept.is_down:
                self.close_connection = True
                return
            time.sleep(kept.delay_s)
            encoding = self.headers.get("Content-Encoding", "").lower()
            before = [kept.named[name] for name in self.headers.get(PREFIX, "").split()]
            kept.bodies.append((encoding, body, b"".join(before)))
            path = self.path.partition("?")[0]
            said = b"" if path.endswith("/v1/traces") else json.dumps(_said(path)).encode()
            kind = "application/json" if said else "application/x-protobuf"
            self.send_response(200)
            self.send_header("Content-Type", kind)
            if name := self.headers.get(KEEP):
                kept.named[name] = _plain(encoding, body, b"")
                self.send_header(KEPT, "1")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_PUT = do_PATCH = _answer  # noqa: N815 - http.server's names

        def log_message(self, format: str, *values: Any) -> None:
            pass

    return Handler


def _said(path: str) -> dict[str, Any]:
    return INFO if path == "/info" else {"added": 0} if path.endswith("/recordings") else {}


class _Server(ThreadingHTTPServer):
    # The threads of connections that clients keep open do not hold up the end.
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed breaks its connection: no news here."""


class Sink:
    """The server, which can go away and come back on its port."""

    def __init__(self) -> None:
        self.kept = Kept()
        self.port = 0
        self._server: _Server | None = None
        self.up()

    def up(self) -> None:
        self.kept.is_down = False
        if self._server is None:
            self._server = _Server(("127.0.0.1", self.port), _handler(self.kept))
            self.port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def down(self) -> None:
        self.kept.is_down = True
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def obey(self, line: str) -> dict[str, int]:
        command, _, value = line.strip().partition(" ")
        if command == "counts":
            return self.kept.counts()
        if command == "slow":
            self.kept.delay_s = float(value)
        else:
            {"down": self.down, "up": self.up}[command]()
        return {}


def main() -> None:
    sink = Sink()
    print(json.dumps({"port": sink.port}), flush=True)
    for line in sys.stdin:
        print(json.dumps(sink.obey(line)), flush=True)
    sink.down()


if __name__ == "__main__":
    main()
