"""The client of the control API, against answers that no collector gives: it says so, in time, and raises nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
from time import monotonic

import pytest

from tachograph_schemas.control_client import ControlClient

HEAD = b"HTTP/1.1 200 OK\r\n"


@contextlib.contextmanager
def answering(first: bytes, then: bytes = b"", *, hangs: bool = False):
    """A server that answers the first request like this: ``then`` byte by byte; ``hangs`` leaves it open."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(first)
                    for at in range(len(then)):
                        if over.wait(0.1):
                            return
                        connection.sendall(then[at : at + 1])
                    if hangs:
                        over.wait(60)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"\x1b[2J GARBAGE\r\n\r\n",
        HEAD + b"Connection: close\r\n\r\n" + b"[" * 200_000,
        HEAD + b'Connection: close\r\n\r\n{"a":' + b"9" * 6_000 + b"}",
        HEAD + b"Connection: close\r\n\r\n\xff\xfe",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        HEAD.replace(b"200", b"500") + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        HEAD + b"A: b\r\n" * 5_000 + b"\r\n",
        HEAD.replace(b"200", b"302") + b"Location: http://127.0.0.1:1/\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_told_and_not_raised(answer):
    with answering(answer) as url:
        said = ControlClient(url).call("GET", "/x", timeout_s=10)
    assert not said
    assert said.why.isprintable()


@pytest.mark.parametrize("status", [b"200", b"503"])
@pytest.mark.parametrize("head", [b"", b"Content-Length: 1000\r\n\r\n"], ids=["head", "body"])
def test_an_answer_that_trickles_in_is_not_waited_for_longer_than_one_that_does_not_come(
    status, head
):
    started_s = monotonic()
    with answering(HEAD.replace(b"200", status) + head, b"x" * 500) as url:
        said = ControlClient(url).call("GET", "/x", timeout_s=0.3)
    assert said.status == 0
    assert monotonic() - started_s < 25, "500 bytes would take 50 seconds"


def test_an_error_whose_text_never_comes_is_an_error():
    with answering(HEAD.replace(b"200", b"503") + b"Content-Length: 9\r\n\r\n", hangs=True) as url:
        assert ControlClient(url).call("GET", "/x", timeout_s=0.3).status == 0
