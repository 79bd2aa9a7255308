"""From a finished tape to the collector: together, one by one, or kept."""

from __future__ import annotations

import base64
import gzip
import json
import os
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from backports import zstd

from tachograph._kept import Kept, new_name
from tachograph.replay._drain import Drain
from tachograph.replay._ship import KEPT_S, Shipper
from tachograph.replay._tape import Room, Tape
from tachograph_schemas import tapes
from tachograph_schemas.control import PREFIX, PREFIX_LIMIT_BYTES

STORED = 200, b'{"added":1}'


class Place:
    """An HTTP server that answers as ``say`` says of method and body, and keeps what it took."""

    def __init__(self) -> None:
        self.say: Callable[[str, bytes], tuple[int, bytes]] = lambda *_: STORED
        self.asked: list[str] = []
        self.stored: list[bytes] = []
        self.kept: dict[str, bytes] = {}
        self.prefixed_bytes = 0
        """Of what was compressed against bodies of ``kept``."""
        self._answered = threading.Condition()

    def answer(self, method: str, body: bytes) -> tuple[int, bytes]:
        status, said = self.say(method, body)
        with self._answered:
            self.asked.append(method)
            if (status, said) == STORED:
                self.stored += tapes.parted(body) if method == "POST" else [body]
            self._answered.notify_all()
        return status, said

    def wait_for(self, condition: Callable[[], bool]) -> bool:
        with self._answered:
            return self._answered.wait_for(condition, 60)

    def runs(self) -> list[str]:
        return sorted(tapes.unpack(one)[0][0]["run_id"] for one in self.stored)


@pytest.fixture
def place():
    found = Place()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            undo = {"zstd": zstd.decompress, "gzip": gzip.decompress, None: bytes}
            names = self.headers.get(PREFIX, "").split()
            if not found.kept.keys() >= set(names):
                status, said = 412, b""
                found.asked.append("gone")
            elif names:
                before = b"".join(found.kept[name] for name in names)
                found.prefixed_bytes += len(body)
                dictionary = zstd.ZstdDict(before, is_raw=True).as_prefix
                body = zstd.decompress(body, zstd_dict=dictionary)
                status, said = found.answer(self.command, body)
            else:
                body = undo[self.headers.get("Content-Encoding")](body)
                status, said = found.answer(self.command, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_PUT = do_POST = _do  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def shipper_to(url, folder, delay_s=60.0, kept=None):
    options = {"timeout_s": 60.0, "delay_s": delay_s, "compression": "auto"}
    return Shipper(folder, url, {}, kept=kept or Kept(), **options)


def finished(folder, run_id, payload="short"):
    """A journal that a run of that id has left."""
    content = json.dumps(payload).encode()
    name = tapes.blob_name(content.decode())
    crc, lines = 0, []
    for text in (
        json.dumps({"t": "run", "format": 1, "run_id": run_id, "args": {}}, separators=(",", ":")),
        tapes.blob_line(name, content),
        f'{{"t":"end","o":"ok","v":{{"$":"blob","h":"{name}"}}}}',
    ):
        line, crc = tapes.frame(text, crc)
        lines.append(line)
    path = folder / f"{run_id}.1-0.tape"
    path.write_bytes(b"".join(lines))
    return path


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_finishes_together_goes_in_one_request(place, tmp_path):
    shipper = shipper_to(place.url, tmp_path)
    for number in range(5):
        shipper.ship(finished(tmp_path, f"run{number}"))
    assert shipper.wait(60)
    assert place.asked == ["POST"]
    assert place.runs() == [f"run{number}" for number in range(5)]
    records, blobs = tapes.unpack(place.stored[0])
    assert records[-1]["v"]["h"] in blobs
    assert not left(tmp_path)


def noise(size_bytes):
    """Nothing that compresses."""
    return base64.b64encode(os.urandom(size_bytes)).decode()


def test_what_the_spans_had_is_not_sent_again(place, tmp_path):
    """Their bodies are with the collector, which says so; the tape is compressed against them."""
    kept, payloads = Kept(), [noise(3_000) for _ in range(3)]
    for payload in payloads:
        name = new_name()
        place.kept[name] = f"a span with {payload}, and more".encode()
        kept.add(name, place.kept[name])
    shipper = shipper_to(place.url, tmp_path, kept=kept)
    for number, payload in enumerate(payloads):
        shipper.ship(finished(tmp_path, f"run{number}", payload))
    assert shipper.wait(60)
    assert place.asked == ["POST"]
    assert place.runs() == ["run0", "run1", "run2"]
    assert 0 < place.prefixed_bytes < 2_000
    assert not left(tmp_path)


def test_what_the_collector_has_forgotten_is_sent_again(place, tmp_path):
    """As it is: at once, and after some times without asking first."""
    kept = Kept()
    shipper = shipper_to(place.url, tmp_path, kept=kept)
    for number in range(4):
        kept.add(new_name(), b"a body that is gone")
        shipper.ship(finished(tmp_path, f"run{number}"))
        assert shipper.wait(60)
        assert kept.is_wanted == (number < 2)
    assert place.asked == ["gone", "POST"] * 3 + ["POST"]
    assert place.runs() == [f"run{number}" for number in range(4)]


def test_so_much_is_looked_back_as_can_be_of_use():
    kept = Kept()
    for number in range(300):
        kept.add(f"{number}", bytes(100 << 10))
    names, text = kept.before(1_000)
    assert (names, len(text)) == ("299", 100 << 10)
    names, text = kept.before(100 << 10)
    assert names == "297 298 299", "in their order"
    assert len(kept.before(64 << 20)[1]) <= PREFIX_LIMIT_BYTES


def test_they_wait_for_each_other_no_longer_than_said(place, tmp_path):
    shipper = shipper_to(place.url, tmp_path, delay_s=0.05)
    shipper.ship(finished(tmp_path, "run"))
    assert place.wait_for(lambda: place.asked == ["POST"])


def test_a_slow_collector_holds_no_tape_up(place, tmp_path):
    goes_on, asked = threading.Event(), threading.Event()

    def say(*_):
        asked.set()
        assert goes_on.wait(60)
        return STORED

    place.say = say
    shipper, drain = shipper_to(place.url, tmp_path, delay_s=0.0), Drain()
    shipper.ship(finished(tmp_path, "run"))
    assert asked.wait(60)
    tape = Tape(tmp_path / "new.tape", str, drain, Room())
    tape.add({"t": "run"})
    drain.start(tape)
    drain.finish(tape, lambda: None)
    assert drain.wait(60)
    assert tape.path.exists()
    assert not place.stored
    goes_on.set()
    assert shipper.wait(60)
    assert place.runs() == ["run"]


def test_what_a_killed_process_left_goes_along(place, tmp_path):
    torn = finished(tmp_path, "killed")
    torn.write_bytes(torn.read_bytes()[:-5])
    shipper, drain = shipper_to(place.url, tmp_path), Drain()
    shipper.resume_on(drain)
    drain.start(Tape(tmp_path / "new.tape", str, drain, Room()))
    assert drain.wait(60)
    shipper.ship(finished(tmp_path, "run"))
    assert shipper.wait(60)
    assert sorted(place.asked) == ["POST", "PUT"]
    assert place.runs() == ["killed", "run"]


def test_no_more_wait_than_fit_into_a_request(place, tmp_path):
    shipper = shipper_to(place.url, tmp_path)
    for number in range(tapes.TOGETHER_LIMIT + 1):
        shipper.ship(finished(tmp_path, f"run{number:03}"))
    assert place.wait_for(lambda: place.asked == ["POST"]), "nobody hurries, but it is full"
    shipper.ship(finished(tmp_path, "large", "x" * (5 << 20)))
    assert shipper.wait(60)
    assert place.asked == ["POST", "POST", "PUT"]
    assert len(place.runs()) == tapes.TOGETHER_LIMIT + 2
    assert not left(tmp_path)


def test_an_earlier_collector_gets_them_one_by_one(place, tmp_path):
    place.say = lambda method, _: (405, b"no") if method == "POST" else STORED
    shipper = shipper_to(place.url, tmp_path)
    for number in range(4):
        shipper.ship(finished(tmp_path, f"run{number}"))
        if number:
            assert shipper.wait(60)
    assert place.asked == ["POST"] + ["PUT"] * 4
    assert place.runs() == [f"run{number}" for number in range(4)]
    assert not left(tmp_path)


@pytest.mark.parametrize("answer", [(404, b"no"), (200, b""), (200, b"{}")])
def test_who_does_not_say_that_it_has_them_has_them_not(place, tmp_path, answer):
    """Whatever takes everything it is sent is no collector of ours."""
    place.say = lambda *_: answer
    shipper = shipper_to(place.url, tmp_path)
    for number in range(3):
        shipper.ship(finished(tmp_path, f"run{number}"))
        assert shipper.wait(60)
    assert place.asked == ["POST", "PUT"], "it is asked no more"
    assert left(tmp_path) == [f"run{number}.1-0.tacho" for number in range(3)]


def test_what_nobody_took_goes_with_the_next(place, tmp_path):
    place.say = lambda *_: (503, b"not now")
    shipper = shipper_to(place.url, tmp_path)
    shipper.ship(finished(tmp_path, "first"))
    assert shipper.wait(60)
    assert left(tmp_path) == ["first.1-0.tacho"]
    place.say = lambda *_: STORED
    shipper.ship(finished(tmp_path, "second"))
    assert shipper.wait(60)
    assert place.runs() == ["first", "second"]
    assert not left(tmp_path)


def test_one_that_is_refused_takes_no_other_along(place, tmp_path, caplog):
    def say(method, body):
        is_bad = any(b'"bad"' in lines for lines in _lines_of(method, body))
        return (400, b"no") if is_bad else STORED

    place.say = say
    shipper = shipper_to(place.url, tmp_path)
    for run_id in ("a", "bad", "c"):
        shipper.ship(finished(tmp_path, run_id))
    assert shipper.wait(60)
    assert place.runs() == ["a", "c"]
    assert left(tmp_path) == ["bad.1-0.refused"]
    assert "refuses a recording" in caplog.text


def _lines_of(method, body):
    for one in tapes.parted(body) if method == "POST" else [body]:
        yield tapes.opened(one)[2][tapes.TAPE_MEMBER]


def test_what_was_set_aside_is_bounded_too(place, tmp_path):
    """Damaged and refused tapes, and what a killed process was packing, go like the rest when they are old."""
    old = time.time() - KEPT_S - 60
    for ending in ("tacho", "damaged", "refused", "packing"):
        for name, at in (("old", old), ("new", time.time())):
            (tmp_path / f"{name}.{ending}").write_bytes(b"x")
            os.utime(tmp_path / f"{name}.{ending}", (at, at))
    place.say = lambda *_: (503, b"")
    shipper = shipper_to(place.url, tmp_path)
    shipper.ship(finished(tmp_path, "a"))
    assert shipper.wait(60)
    kept = [f"new.{ending}" for ending in ("damaged", "packing", "refused", "tacho")]
    assert left(tmp_path) == ["a.1-0.tacho", *kept]
