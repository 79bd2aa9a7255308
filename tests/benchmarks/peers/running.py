"""A server that was booted in an empty directory, and is certainly stopped."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from . import process_tree
from .api import Api, ApiError
from .bodies import SPANS
from .sender import Sent
from .servers import Server
from .venvs import Environment, clean_environment

START_S = 180.0
STOP_S = 60.0
STANDSTILL_S = 20.0
TESTS = Path(__file__).parents[2]


@dataclass(frozen=True)
class Start:
    """Seconds from the command to the first connection accepted, and to the health check's yes."""

    accepts_s: float
    ready_s: float


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _accepts(port: int) -> bool:
    with socket.socket() as caller:
        caller.settimeout(1)
        return caller.connect_ex(("127.0.0.1", port)) == 0


class Running:
    """Context manager over one server; the directory and every process of it are gone afterwards."""

    def __init__(self, server: Server, environment: Environment | None) -> None:
        self.server = server
        self._environment = environment
        self.directory = Path(tempfile.mkdtemp(prefix="tacho-peer-"))
        self._log = self.directory.with_suffix(".err")
        self._process: subprocess.Popen[bytes] | None = None
        self.port, self._second_port = free_port(), free_port()
        self.api = Api(self.port)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        if error is not None and self._log.exists():
            tail = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
            print(f"{self.server.title} said:\n{tail}", file=sys.stderr)
        shutil.rmtree(self.directory, ignore_errors=True)
        self._log.unlink(missing_ok=True)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Start:
        """Start it, a second time on the same port; blocks until its health check says yes.

        Raises:
            ApiError: it ended, or was not ready in time.
        """
        place = self._environment.directory if self._environment else Path(sys.prefix)
        made = self.server.command(place, self.directory, self.port, self._second_port)
        variables = clean_environment() | {"HOME": str(self.directory)} | made.environment
        variables["PATH"] = f"{place / 'bin'}{os.pathsep}{variables['PATH']}"
        with (self.directory / "out.log").open("ab") as out, self._log.open("ab") as errors:
            started = time.perf_counter()
            self._process = subprocess.Popen(
                made.words,
                env=variables,
                cwd=self.directory,
                stdout=out,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._wait(lambda: _accepts(self.port), started)
        accepts_s = time.perf_counter() - started
        self._wait(lambda: self.api.healthy(self.server.health), started)
        return Start(accepts_s, time.perf_counter() - started)

    def _wait(self, condition: Callable[[], bool], started: float) -> None:
        while not condition():
            if self._process is None or self._process.poll() is not None:
                raise ApiError(f"{self.server.title} ended while starting")
            if time.perf_counter() - started > START_S:
                raise ApiError(f"{self.server.title} was not ready after {START_S:.0f} s")
            time.sleep(0.02)

    def stop(self) -> None:
        """Ask it to end and wait; what is left of its processes is killed."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the whole tree at once, without a word before."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.poll() is None:
            self._process.wait()
        self._process = None

    def count(self) -> int:
        """All spans that its API shows; 0 while it does not answer."""
        try:
            return self.server.count(self.api, self.directory)
        except ApiError:
            return 0

    def settle(self, wanted: int, most_s: float = 120) -> tuple[float, int]:
        """Ask until ``wanted`` spans are there, or nothing comes any more, or ``most_s`` are over.

        Returns:
            The moment of the last growth on the clock of ``time.perf_counter`` and the number then.
        """
        began = grown_at = time.perf_counter()
        best = -1
        while True:
            number = self.count()
            now = time.perf_counter()
            if number > best:
                grown_at, best = now, number
            if best >= wanted or now - grown_at > STANDSTILL_S or now - began > most_s:
                return grown_at, best
            # Counting costs the server too: seldom while much is missing.
            time.sleep(2 if wanted - best > 20_000 else 0.25)

    def cpu_s(self) -> float:
        return process_tree.cpu_s(self.pid)

    def send(
        self,
        clients: int,
        seconds: float,
        *,
        bodies: int = 1 << 23,
        first: int = 0,
        meanwhile: Callable[[], None] | None = None,
    ) -> tuple[float, list[Sent]]:
        """Let ``clients`` processes send at once; blocks until all are done.

        Returns:
            The moment they were let go, on the clock of ``time.perf_counter``, and what each saw.
        """
        orders = {
            "port": self.port,
            "path": "/v1/traces",
            "headers": self.server.headers,
            "seconds": seconds,
            "bodies": bodies,
            "first": first,
        }
        senders = [_sender(orders | {"client": number}) for number in range(clients)]
        try:
            for one in senders:
                assert one.stdout is not None
                one.stdout.readline()
            started = time.perf_counter()
            for one in senders:
                assert one.stdin is not None
                one.stdin.write("go\n")
                one.stdin.flush()
            if meanwhile is not None:
                meanwhile()
            return started, [Sent(**json.loads(one.communicate()[0])) for one in senders]
        finally:
            for one in senders:
                if one.poll() is None:
                    one.kill()
                    one.wait()

    def warm(self) -> int:
        """A few requests from as many clients as it has workers; returns the spans it then shows."""
        clients = self.server.warm_clients
        _, sent = self.send(clients, 60, bodies=3, first=1 << 23)
        return self.settle(sum(one.bodies for one in sent) * SPANS)[1]


def _sender(orders: dict[str, Any]) -> subprocess.Popen[str]:
    one = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peers.sender"],
        cwd=TESTS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert one.stdin is not None
    one.stdin.write(json.dumps(orders) + "\n")
    one.stdin.flush()
    return one
