"""An agent that tries to leave traces in every way, and catches whatever is raised. Run as a script: records itself."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import multiprocessing
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import tachograph as tacho

HERE = Path(__file__).parent
VICTIM = HERE / "victim"
TRIES = HERE / "tries"
PORT = int((HERE / "port").read_text()) if (HERE / "port").is_file() else 0
PID = int((HERE / "pid").read_text()) if (HERE / "pid").is_file() else 0


def inside(name):
    path = Path(tempfile.gettempdir()) / name
    path.write_text("from the sandbox")
    return path


def touch(name):
    return [sys.executable, "-c", f"open({str(HERE / name)!r}, 'w')"]


def in_a_process(method):
    process = multiprocessing.get_context(method).Process(target=HERE.joinpath("mp").write_text)
    process.start()
    process.join()


def database():
    with contextlib.closing(sqlite3.connect(HERE / "db")) as made:
        made.execute("create table t (x)")


WAYS = {
    "open": lambda: open(HERE / "opened", "w"),  # noqa: PTH123, SIM115 - the ways are the point
    "append": lambda: VICTIM.open("a").write("more"),
    "os.open": lambda: os.open(HERE / "made", os.O_CREAT | os.O_WRONLY),
    "write_text": lambda: (HERE / "text").write_text("x"),
    "remove": VICTIM.unlink,
    "rename": lambda: VICTIM.rename(HERE / "renamed"),
    "rename-in": lambda: inside("a").rename(HERE / "from-inside"),
    "replace": lambda: os.replace(inside("b"), VICTIM),  # noqa: PTH105 - as above
    "link": lambda: os.link(inside("c"), HERE / "linked"),
    "symlink": lambda: os.symlink(VICTIM, HERE / "symlinked"),  # noqa: PTH211 - as above
    "mkdir": (HERE / "folder").mkdir,
    "mkfifo": lambda: os.mkfifo(HERE / "fifo"),
    "chmod": lambda: VICTIM.chmod(0o777),
    "utime": lambda: os.utime(VICTIM, (1, 1)),
    "truncate": lambda: os.truncate(VICTIM, 0),
    "copy": lambda: shutil.copy(VICTIM, HERE / "copied"),
    "move": lambda: shutil.move(VICTIM, HERE / "moved"),
    "rmtree": lambda: shutil.rmtree(HERE / "tree"),
    "sqlite": database,
    "popen": lambda: subprocess.run(touch("popen"), check=False),
    "system": lambda: os.system(f"touch {HERE / 'system'}"),
    "spawn": lambda: os.posix_spawn(sys.executable, touch("spawn"), {}),
    "fork": lambda: os.fork() or os._exit(0),
    "mp-fork": lambda: in_a_process("fork"),
    "mp-spawn": lambda: in_a_process("spawn"),
    "kill": lambda: os.kill(PID, signal.SIGTERM),
    "killpg": lambda: os.killpg(PID, signal.SIGTERM),
    "connect": lambda: socket.create_connection(("127.0.0.1", PORT), 5),
    "connect-raw": lambda: socket.socket().connect(("127.0.0.1", PORT)),
    "udp": lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", PORT)),
    "dns": lambda: socket.getaddrinfo("localhost", 80),
    "bind": lambda: socket.socket().bind(("127.0.0.1", 0)),
    "urllib": lambda: urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=5),
    "http": lambda: http.client.HTTPConnection("127.0.0.1", PORT, timeout=5).request("GET", "/"),
}


async def by_loop():
    await asyncio.get_running_loop().create_connection(asyncio.Protocol, "127.0.0.1", PORT)


async def by_process():
    await asyncio.create_subprocess_exec(*touch("loop-process"))


LOOP_WAYS = {"loop-connect": by_loop, "loop-process": by_process}


async def try_on_loop():
    tried = []
    for name, way in LOOP_WAYS.items():
        try:
            await way()
        except BaseException as error:
            tried.append(f"{name}: {type(error).__name__}")
    return tried


@tacho.run
def canary():
    if not TRIES.is_file():
        return []  # while it is recorded
    refused = []
    for name, way in WAYS.items():
        try:
            way()
        except BaseException as error:
            refused.append(f"{name}: {type(error).__name__}")
    refused += asyncio.run(try_on_loop())
    with contextlib.suppress(ImportError):
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            refused += [f"uvloop-{each}" for each in runner.run(try_on_loop())]
    print("\n".join(refused), file=sys.stderr)
    return refused


if __name__ == "__main__":
    tacho.init()
    canary()
    tacho.shutdown()
