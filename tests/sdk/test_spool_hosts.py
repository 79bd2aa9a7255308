"""The recorder in the processes that servers, pools and notebooks make: each delivers its own spans, once."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
import urllib.request

import pytest
from test_spool_programs import (
    NOWHERE,
    START,
    environment,
    in_time,
    numbers,
    programs,
)

from free_port import free_port

__all__ = ["programs"]

PATIENT = "from tachograph import _setup; _setup.EXIT_TIMEOUT_S = 60\n"
"""A busy machine may need longer than two seconds for a batch."""
HOSTS = {
    "threads": (
        "threads = [threading.Thread(target=lambda k=k: [look(k * 100 + n) for n in range(100)]) for k in range(4)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
    ),
    "asyncio": (
        "async def main(): await asyncio.gather(*(look_async(n) for n in range(400)))\n"
        "asyncio.run(main())\n"
    ),
    "notebook": (
        "cells = ['import tachograph as tacho\\ntacho.init()', '@tacho.tool\\ndef look(n): return {\"n\": n}',\n"
        "         '[look(n) for n in range(200)]', '[look(n) for n in range(200, 400)]; tacho.flush()']\n"
        "scope = {'__name__': '__main__'}\n"
        "for cell in cells: exec(compile(cell, '<cell>', 'exec'), scope)\n"
    ),
    "fork": (
        "for k in range(4):\n"
        "    if os.fork() == 0:\n"
        "        [look(k * 100 + n) for n in range(100)]; tacho.flush(); os._exit(0)\n"
        "[os.wait() for _ in range(4)]\n"
    ),
    "fork, then os._exit": (
        "for k in range(4):\n"
        "    if os.fork() == 0:\n"
        "        [look(k * 100 + n) for n in range(100)]; os._exit(0)\n"
        "[os.wait() for _ in range(4)]\n"
    ),
    "fork, then SIGKILL of both": (
        "if os.fork() == 0:\n"
        "    [look(n) for n in range(200)]; os.kill(os.getpid(), signal.SIGKILL)\n"
        "os.wait(); [look(n) for n in range(200, 400)]; os.kill(os.getpid(), signal.SIGKILL)\n"
    ),
}
POOL = (
    "import multiprocessing\n"
    "def part(k): return [look(k * 100 + n) for n in range(100)] and k\n"
    "if __name__ == '__main__':\n"
    "    with multiprocessing.get_context({how!r}).Pool(2) as pool:\n"
    "        pool.map(part, range(4), chunksize=1); pool.close(); pool.join()\n"
)
HOSTS |= {f"multiprocessing {how}": POOL.format(how=how) for how in ("fork", "spawn", "forkserver")}


@pytest.mark.parametrize("host", HOSTS)
def test_every_call_is_delivered_once(programs, collector, host):
    """By the process that made it, or by a recovery of what it left."""
    program = programs.start(START + PATIENT + HOSTS[host], collector.url)
    _, err = program.communicate(timeout=180)
    assert err == ""
    code, said = programs.recover(collector.url)
    assert (code, said["held"]) == (0, [])
    name = "execute_tool look_async" if host == "asyncio" else "execute_tool look"
    by_id = {s.span_id: s for s in collector.final(name)}
    assert len(by_id) == 400
    assert sorted(set(numbers(collector, name))) == list(range(400))
    assert programs.left() == []


APP = START.replace("sys.argv[1]", "os.environ['SINK']") + (
    "async def app(scope, receive, send):\n"
    "    if scope['type'] == 'lifespan': return\n"
    "    look(os.getpid())\n"
    "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
    "    await send({'type': 'http.response.body', 'body': str(os.getpid()).encode()})\n"
    "def wsgi(environ, start_response):\n"
    "    look(os.getpid())\n"
    "    start_response('200 OK', []); return [str(os.getpid()).encode()]\n"
)
SERVERS = {
    "uvicorn": ["-m", "uvicorn", "app:app", "--workers", "2", "--lifespan", "off", "--port"],
    # A worker that is told to end before it has put its handlers in place never hears of it: it is killed after 5 s.
    "gunicorn": [
        "-m",
        "gunicorn",
        "app:wsgi",
        "--workers",
        "2",
        "--preload",
        "--graceful-timeout",
        "5",
        "--bind",
    ],
}


@pytest.mark.parametrize("server", SERVERS)
def test_workers_of_a_server_deliver_what_they_served(programs, collector, server):
    """Workers are forked or spawned from a parent that records as well, and end by a signal."""
    (programs.folder / "app.py").write_text(APP)
    port = free_port()
    address = str(port) if server == "uvicorn" else f"127.0.0.1:{port}"
    running = subprocess.Popen(
        [sys.executable, *SERVERS[server], address],
        cwd=programs.folder,
        env=environment(programs.home, SINK=collector.url),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    served = []

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
                served.append(int(answer.read()))
        except OSError:
            return False
        return True

    try:
        assert in_time(answers, 180)
        for _ in range(20):
            answers()
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)
    programs.recover(collector.url)
    by_id = {s.span_id: s for s in collector.final("execute_tool look")}
    assert len(by_id) == len(served) >= 20
    assert set(numbers(collector)) == set(served)


def test_spool_is_for_its_owner_alone(programs):
    """It holds payloads as they are."""
    program = programs.start(START + "look('my secret'); said('ready'); wait()\n", NOWHERE)
    assert program.stdout is not None
    program.stdout.readline()
    (folder,) = programs.left()
    for path in (programs.home, folder.parent, folder, *folder.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    program.communicate("x", timeout=180)


def test_recovery_masks_as_the_program_would_have(programs, collector):
    """Its rules lie beside its spans; functions of its own nobody else has, so those spans wait for it."""
    source = START.replace("heartbeat_s=0", "heartbeat_s=0, redact=[r'order-[0-9]+']") + (
        "look({'note': 'order-123', 'password': 'hunter2'}); os._exit(0)\n"
    )
    programs.run(source, NOWHERE)
    assert programs.recover(collector.url)[1]["spans"] == 1
    (span,) = collector.final()
    assert "order-123" not in str(span)
    assert "hunter2" not in str(span)
    own = source.replace("[r'order-[0-9]+']", "[hide]").replace(
        "tacho.init", "def hide(key, text): return text.replace('order-123', '?')\ntacho.init", 1
    )
    programs.run(own, NOWHERE)
    code, said = programs.recover(collector.url)
    assert (code, said["spans"]) == (1, 0)
    assert "functions of its own" in said["held"][0]["why"]
    programs.run(
        own.replace(
            "os._exit(0)",
            "\nwhile len(os.listdir(os.environ['TACHO_HOME'] + '/spool')) > 1: time.sleep(0.01)",
        ),
        collector.url,
    )
    assert in_time(lambda: programs.left() == [])
    assert "order-123" not in str(collector.final())
    assert len({s.span_id for s in collector.final()}) == 3


def test_spans_of_another_key_are_not_sent_with_ours(programs, collector):
    """Two projects may share a machine and a collector."""
    programs.run(START + "look(1); os._exit(0)\n", NOWHERE, TACHO_API_KEY="theirs")
    code, said = programs.recover(collector.url, TACHO_API_KEY="ours")
    assert (code, said["spans"]) == (1, 0)
    assert "another API key" in said["held"][0]["why"]
    assert programs.recover(collector.url, TACHO_API_KEY="theirs")[1]["spans"] == 1


def test_damaged_spool_gives_what_is_whole(programs, collector):
    """After a power failure pages may be missing: records before the damage are sent, none is made up."""
    programs.run(START + "for n in range(50): look(n)\nos._exit(0)\n", NOWHERE)
    (folder,) = programs.left()
    (ring,) = folder.glob("*.ring")
    data = bytearray(ring.read_bytes())
    middle = len(data.rstrip(b"\0")) // 2
    data[middle : middle + 64] = bytes(64)
    ring.write_bytes(data)
    assert programs.recover(collector.url)[0] == 0
    found = numbers(collector)
    assert found == list(range(len(found)))
    assert 10 < len(found) < 50


def test_recovery_without_a_collector_leaves_everything(programs):
    """Exit code 3, and the spool as it was."""
    programs.run(START + "look(1); os._exit(0)\n", NOWHERE)
    code, said = programs.recover(NOWHERE)
    assert (code, said["spans"]) == (3, 0)
    assert said["problem"]
    assert len(programs.left()) == 1
