"""A ClickHouse for the dashboard's tests: the embedded engine behind ClickHouse's HTTP protocol.

Run as a program it prints its DSN and serves until its standard input ends. Besides queries it takes
``POST /otlp``: one OTLP body, stored the way the collector stores it.
"""

import os
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tachograph_schemas import ingest, pricing, store
from tachograph_schemas.ingest_signals import TABLES

_HARMLESS = {"database", "session_id", "query_id", "compress", "wait_end_of_query"}


class Engine:
    """The embedded engine with its tables; one caller at a time."""

    def __init__(self, directory: Path) -> None:
        # The engine writes a cache folder into the working directory.
        os.chdir(directory)
        self._client = store.connect(f"chdb://{directory}/data")
        store.migrate(self._client)
        self._directory = directory
        self._lock = threading.Lock()
        self._batches = count(1)

    def query(self, sql: str, parameters: dict[str, str]) -> bytes:
        with self._lock:
            backend = self._client._backend
            return backend._handle.conn.query(sql, "TabSeparated", params=parameters).bytes()

    def load(self, bodies: list[bytes]) -> None:
        """Store bodies as one batch and recompute the runs it touched."""
        with self._lock:
            batch = next(self._batches)
            path = self._directory / f"batch-{batch}.pb"
            with path.open("wb") as file:
                for index, body in enumerate(bodies):
                    offset = batch * 10_000 + index
                    file.writelines(ingest.frame("default", offset, time.time_ns(), body))
            values = {"writer_id": 1, "batch": batch}
            self._client.command(
                TABLES["traces"].insert_from_file(str(path)),
                parameters=values,
                settings=ingest.insert_settings(),
            )
            pricing.price_pending(self._client, 1, [batch])
            ingest.roll_up(self._client, 1, [batch])
            path.unlink()


def handler(engine: Engine) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self._run(b"")

        def do_POST(self) -> None:
            self._run(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def _run(self, body: bytes) -> None:
            url = urlsplit(self.path)
            if url.path == "/otlp":
                engine.load([body])
                self._answer(200, b"")
                return
            values = {name: value[0] for name, value in parse_qs(url.query, True).items()}
            sql = (values.get("query", "") + "\n" + body.decode()).strip()
            parameters = {
                name.removeprefix("param_"): value
                for name, value in values.items()
                if name.startswith("param_")
            }
            try:
                answer = engine.query(sql, parameters)
            except Exception as error:
                self._answer(500, str(error).encode())
                return
            self._answer(200, answer, {"X-ClickHouse-Timezone": "UTC"})

        def log_message(self, *_: object) -> None:
            """Quiet: tests read what this program prints."""

    return Handler


def main() -> None:
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    server = ThreadingHTTPServer(("127.0.0.1", port), handler(Engine(directory.resolve())))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}/default", flush=True)
    # The parent closes the pipe when it is done, also when it is killed.
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
