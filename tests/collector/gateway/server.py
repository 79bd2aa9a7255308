"""A ClickHouse server for tests: a read-write gateway over a fresh engine, in a process of its own.

Run as a program it prints its DSN as the first line and serves until its standard input ends:

    python tests/collector/gateway/server.py DIRECTORY [--read-only] [--limits JSON] [--writer]

``--read-only`` gives the gateway as the product runs it. Nothing can be stored through that, so the statements in
``DIRECTORY/setup.json`` run first, and ``--writer`` inserts into the table ``ticks`` all the while, from
a thread of the same process as the loader does.
"""

import argparse
import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunningServer:
    """A server in a child process."""

    dsn: str
    url: str
    token: str
    process: subprocess.Popen[str]
    directory: Path


@contextmanager
def running_server(
    *,
    read_only: bool = False,
    sql: list[str] | None = None,
    limits: dict | None = None,
    writer: bool = False,
) -> Iterator[RunningServer]:
    """Start a server, wait until it answers, and stop it cleanly at the end."""
    with tempfile.TemporaryDirectory(prefix="tacho-server-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        arguments = [sys.executable, __file__, name, "--limits", json.dumps(limits or {})]
        if read_only:
            arguments.append("--read-only")
        if writer:
            arguments.append("--writer")
        if sql:
            (directory / "setup.json").write_text(json.dumps(sql))
        with (directory / "server.log").open("w") as log:
            process = subprocess.Popen(
                arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError((directory / "server.log").read_text())
            ready = json.loads(line)
            yield RunningServer(ready["dsn"], ready["url"], ready["token"], process, directory)
        finally:
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
        said = (directory / "server.log").read_text()
        assert "Traceback" not in said, said


async def serve(directory: Path, *, read_only: bool, limits: dict) -> None:
    import uvicorn

    from tachograph_collector.gateway import EnginePool, Limits, create_gateway

    pool = EnginePool(directory / "data", Limits(**limits))
    token = secrets.token_hex(16)
    gateway = create_gateway(pool, token, read_write=not read_only)
    # The protocol must be named: asyncio turns Nagle's delay off only for sockets that say they are TCP.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        port = listener.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(gateway, log_level="warning", lifespan="on"))
        serving = asyncio.ensure_future(server.serve(sockets=[listener]))
        ready = {
            "dsn": f"http://default:{token}@127.0.0.1:{port}/default",
            "url": f"http://127.0.0.1:{port}",
            "token": token,
        }
        print(json.dumps(ready), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        server.should_exit = True
        await serving


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--read-only", action="store_true")
    parser.add_argument("--limits", type=json.loads, default={})
    parser.add_argument("--writer", action="store_true")
    given = parser.parse_args()
    # The engine reads its configuration from the working directory and writes a cache into it.
    os.chdir(given.directory)
    setup = given.directory / "setup.json"
    if setup.exists():
        import clickhouse_connect

        client = clickhouse_connect.get_client(dsn=f"chdb://{given.directory / 'data'}")
        for statement in json.loads(setup.read_text()):
            client.command(statement)
        client.close()
    stop = threading.Event()
    writing = threading.Thread(target=keep_writing, args=(given.directory, stop))
    if given.writer:
        writing.start()
    try:
        asyncio.run(serve(given.directory, read_only=given.read_only, limits=given.limits))
    finally:
        stop.set()
        if given.writer:
            writing.join()


def keep_writing(directory: Path, stop: threading.Event) -> None:
    """Insert whole batches of 1,000 rows, so that a reader that sees part of one has found a fault."""
    import clickhouse_connect

    client = clickhouse_connect.get_client(dsn=f"chdb://{directory / 'data'}")
    client.command("CREATE TABLE ticks (batch UInt64, n UInt64) ENGINE = MergeTree ORDER BY batch")
    batch = 0
    while not stop.is_set():
        client.command(f"INSERT INTO ticks SELECT {batch}, number FROM numbers(1000)")
        batch += 1
    client.close()


if __name__ == "__main__":
    main()
