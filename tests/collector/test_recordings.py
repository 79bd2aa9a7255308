"""The recordings API: keys, bounds, idempotence, and that what is acknowledged is there after a restart."""

from __future__ import annotations

import http.client
import json
import signal

import pytest
from collector_process import Collector

from tachograph_schemas import recordings, tapes

TYPE = "application/vnd.tachograph.recording+zip"
RUN = "0123456789abcdef0123456789abcdef"


def package(run_id=RUN, text="x", mode="exact", *between):
    blob = json.dumps(text)
    name = tapes.blob_name(blob)
    crc, lines = 0, []
    for record in (
        # The order of the fields is that of the recorder.
        {
            "t": "run",
            "format": 1,
            "mode": mode,
            "run_id": run_id,
            "agent": "desk",
            "entry": "desk:handle",
        },
        {"t": "call", "i": 0, "p": "", "n": "tool", "k": "tool", "a": {"$": "blob", "h": name}},
        *between,
        {"t": "end", "o": "ok", "v": 1},
    ):
        line, crc = tapes.frame(json.dumps(record, separators=(",", ":")), crc)
        lines.append(line)
    return tapes.zipped(b"".join(lines), {name: blob})


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    collector = Collector(tmp_path_factory.mktemp("recordings") / "home", TACHO_API_KEY="k").start()
    yield collector
    collector.stop()


def ask(up, method, run_id=RUN, body=None, key="k", content_type=TYPE):
    host = up.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=30)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": content_type}
    connection.request(method, f"/api/v1/recordings/{run_id}", body, headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, data


def test_a_recording_is_stored_once_and_read_back_whole(up):
    sent = package()
    assert json.loads(ask(up, "PUT", body=sent)[1]) == {"run_id": RUN, "added": True}
    assert json.loads(ask(up, "PUT", body=sent)[1])["added"] is False
    status, got = ask(up, "GET")
    assert status == 200
    assert tapes.unpack(got) == tapes.unpack(sent)
    assert ask(up, "GET", RUN[:8])[1] == got, "the beginning of an id is enough"
    rows = up.rows("SELECT run_id, agent, entrypoint, outcome, effects FROM recordings")
    assert rows == [(RUN, "desk", "desk:handle", "ok", 1)]
    assert up.rows("SELECT count() FROM blobs") == [(1,)]


def test_a_recording_that_was_acknowledged_survives_a_kill(up):
    other = "f" * 32
    assert ask(up, "PUT", other, package(other))[0] == 200
    up.signal(signal.SIGKILL)
    up.start()
    assert ask(up, "GET", other)[0] == 200


@pytest.mark.parametrize(
    ("status", "options"),
    [
        (401, {"key": "wrong"}),
        (415, {"content_type": "text/plain"}),
        (400, {"body": b"garbage"}),
        (400, {"body": package("another")}),
        (400, {"body": package()[:-40]}),
        (413, {"body": b"0" * ((64 << 20) + 1)}),
    ],
)
def test_what_is_no_recording_is_refused(up, status, options):
    assert ask(up, "PUT", **({"body": package()} | options))[0] == status


def test_what_is_not_there_is_said(up):
    assert ask(up, "GET", "e" * 32)[0] == 404
    assert ask(up, "GET", RUN, key="wrong")[0] == 401


@pytest.mark.parametrize(
    ("mode", "records", "limits"),
    [
        ("exact", [], ""),
        ("light", [], "light"),
        ("exact", [{"t": "light", "why": "its loop is of others"}], "light"),
        ("exact", [{"t": "cut", "n": 2, "why": "it is too large"}], "cut"),
        ("exact", [{"t": "read", "p": "", "n": '\n{"t":"cut",', "v": 1}], ""),
    ],
)
def test_what_a_tape_lacks_is_known_without_reading_it(up, mode, records, limits):
    run_id = f"{mode}{len(str(records)):x}"
    sent = package(run_id, "x", mode, *records)
    assert ask(up, "PUT", run_id, body=sent)[0] == 200
    with up.client() as client:
        state = recordings.state(client, run_id)
        assert (state.limits, state.effects, state.outcome) == (limits, 1, "ok")
        assert recordings.state(client, "of-nobody") is None
