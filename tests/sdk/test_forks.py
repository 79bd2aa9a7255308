"""Forks while threads of ours are at work: the child has none of them, and what they held is held for ever."""

from __future__ import annotations

import ast
import os
import socket

from tachograph import _orphans
from tachograph._segment import claim
from tachograph._spool import OWNER, Spool

HALF_AN_ANSWER = """
import os, signal, socket, threading, time
import tachograph as tacho
from tachograph import _setup

listener = socket.create_server(("127.0.0.1", 0))
child_is_over = threading.Event()

def serve():
    while True:
        threading.Thread(target=answer, args=listener.accept()[:1], daemon=True).start()

def answer(connection):
    if connection.recv(15) == b"POST /v1/traces":
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n")
        child_is_over.wait()
        connection.sendall(b"\\n\\0")
    connection.close()

threading.Thread(target=serve, daemon=True).start()
tacho.init(endpoint=f"http://127.0.0.1:{listener.getsockname()[1]}", record="off")
tacho.run(lambda: None)()
transport = _setup._sender._exporter.transport
while getattr(transport._connection, "_HTTPConnection__response", None) is None:
    time.sleep(0.01)
pid = os.fork()
if pid == 0:
    os._exit(0 if transport._connection is None else 1)
deadline_s = time.monotonic() + 60
while not (ended := os.waitpid(pid, os.WNOHANG))[0] and time.monotonic() < deadline_s:
    time.sleep(0.01)
if not ended[0]:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
child_is_over.set()
print(ended == (pid, 0), tacho.flush(60))
"""


def test_a_child_that_is_forked_while_an_answer_is_read_goes_on(run_script):
    """The buffer that it is read into has a lock of its own, and closing it would wait for that."""
    assert run_script(HALF_AN_ANSWER).stdout == "True True\n"


IMPORTS = """
import sys, threading, time
found = []

class Finder:
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is not threading.main_thread():
            found.append(name)

sys.meta_path.insert(0, Finder())
import tachograph as tacho
from tachograph import _price_list
from tachograph_schemas.control import Answer
from tachograph_schemas.control_client import ControlClient
ControlClient.call = lambda self, *words, **options: Answer(200, {"prices": []})
tacho.init(endpoint=sys.argv[1])

@tacho.model(provider="openai")
def ask(text): return {"model": "gpt-4o", "password": "hunter22"}

@tacho.run
def work(task):
    with tacho.budget(usd=1):
        ask(task)

for _ in range(3):
    work("x")
while _price_list._is_asking:
    time.sleep(0.01)
print([tacho.flush(60), found])
"""


def test_threads_of_ours_import_nothing(run_script, collector):
    """A child that is forked meanwhile, and comes to need the same module, would wait for it without end."""
    assert ast.literal_eval(run_script(IMPORTS, collector.url).stdout) == [True, []]


def test_a_child_keeps_nothing_that_its_parent_recovers(tmp_path):
    """What could not be sent now is to be found by the next who looks, and the child may live for long."""
    spool = Spool(tmp_path, {}, max_bytes=8 << 20, memory_records=100, memory_bytes=1 << 20)
    spool.open()
    spool.close(keep=True)
    (orphan,) = _orphans.find(tmp_path)
    ours, childs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        childs.send(b"forked")
        childs.recv(1)
        os._exit(0)
    childs.close()
    try:
        ours.recv(6)
        assert claim(orphan.folder / OWNER) is None
        orphan.release(remove=False)
        lock = claim(orphan.folder / OWNER)
    finally:
        ours.close()
        os.waitpid(child, 0)
    assert lock is not None
    os.close(lock)


def test_a_child_looks_itself_for_the_commit_that_its_parent_looks_for(run_script):
    script = """
import os, threading
from tachograph import _code_version
goes_on, parent = threading.Event(), os.getpid()

def git(*words):
    if os.getpid() == parent:
        goes_on.wait()
    return "" if "status" in words else "c0ffee"

_code_version._git = git
_code_version.known_for(__file__)
pid = os.fork()
if pid == 0:
    os._exit(0 if _code_version.known_for(__file__, wait_s=60) == "c0ffee" else 1)
assert os.waitpid(pid, 0)[1] == 0
goes_on.set()
assert _code_version.known_for(__file__, wait_s=60) == "c0ffee"
"""
    run_script(script)
