"""An agent that tries to leave traces in every way, and catches whatever is raised. Run as a script: records itself."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import multiprocessing
import os
import posix
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


def by_address():
    with (
        from_inside(),
        contextlib.closing(sqlite3.connect(f"file:{HERE / 'db2'}", uri=True)) as made,
    ):
        made.execute("create table t (x)")


def attached(connect, words):
    with contextlib.closing(connect(":memory:")) as made:
        made.execute(words)


@contextlib.contextmanager
def from_inside():
    """A descriptor of the program's folder, while paths count from a folder of the sandbox."""
    folder, before = os.open(HERE, os.O_RDONLY), Path.cwd()
    os.chdir(inside("d").parent)
    try:
        yield folder
    finally:
        os.chdir(before)
        os.close(folder)


def opened_from_inside():
    with from_inside() as folder:
        os.close(os.open("victim", os.O_WRONLY | os.O_TRUNC, dir_fd=folder))


def opened_by_system():
    with from_inside() as folder:
        os.close(posix.open("victim", os.O_WRONLY | os.O_TRUNC, dir_fd=folder))


def removed_from_inside():
    with from_inside() as folder:
        os.unlink("victim", dir_fd=folder)


def linked_inside():
    os.link(VICTIM, inside("e").with_name("second"))


def through_a_link():
    link = inside("f").with_name("link")
    link.symlink_to(VICTIM)
    link.write_text("x")


def in_another_interpreter():
    import _xxsubinterpreters

    made = _xxsubinterpreters.create()
    _xxsubinterpreters.run_string(made, f"open({str(HERE / 'interpreter')!r}, 'w')")


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
    "dir-fd": opened_from_inside,
    "dir-fd-posix": opened_by_system,
    "remove-dir-fd": removed_from_inside,
    "link-inside": linked_inside,
    "through-a-link": through_a_link,
    "sqlite": database,
    "sqlite-uri": by_address,
    "sqlite-attach": lambda: attached(sqlite3.connect, f"attach '{HERE / 'attached'}' as a"),
    "sqlite-direct": lambda: attached(sqlite3.Connection, f"attach '{HERE / 'attached'}' as a"),
    "sqlite-vacuum": lambda: attached(sqlite3.connect, f"vacuum into '{HERE / 'vacuumed'}'"),
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
    "bind": lambda: socket.socket().bind(("0.0.0.0", 0)),
    "urllib": lambda: urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=5),
    "http": lambda: http.client.HTTPConnection("127.0.0.1", PORT, timeout=5).request("GET", "/"),
}


async def by_loop():
    await asyncio.get_running_loop().create_connection(asyncio.Protocol, "127.0.0.1", PORT)


async def by_process():
    await asyncio.create_subprocess_exec(*touch("loop-process"))


if sys.platform == "linux":
    WAYS["pidfd"] = lambda: signal.pidfd_send_signal(os.pidfd_open(PID), signal.SIGTERM)
if sys.version_info < (3, 13):
    WAYS["interpreter"] = in_another_interpreter


async def by_name():
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)


LOOP_WAYS = {"loop-connect": by_loop, "loop-process": by_process}
UVLOOP_WAYS = LOOP_WAYS | {"loop-dns": by_name}


async def try_on_loop(ways):
    tried = []
    for name, way in ways.items():
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
    refused += asyncio.run(try_on_loop(LOOP_WAYS))
    with contextlib.suppress(ImportError):
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            refused += [f"uvloop-{each}" for each in runner.run(try_on_loop(UVLOOP_WAYS))]
    print("\n".join(refused), file=sys.stderr)
    return refused


if __name__ == "__main__":
    tacho.init()
    canary()
    tacho.shutdown()
