"""The recordings API: keys, bounds, idempotence, and that what is acknowledged is there after a restart."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import io
import json
import secrets
import signal
import tracemalloc
import zipfile

import pytest
from backports import zstd
from collector_process import Collector
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.requests import Request

from tachograph_collector import recordings as store
from tachograph_collector import recordings_api
from tachograph_collector.content import inflated
from tachograph_collector.errors import BadBodyError, GoneError, StalledError, TooLargeError
from tachograph_collector.kept_bodies import KeptBodies
from tachograph_schemas import recordings, tapes
from tachograph_schemas.control import PREFIX_LIMIT_BYTES

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
    connection = http.client.HTTPConnection(host, timeout=180)
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


def test_more_payloads_than_one_question_names(client, monkeypatch):
    """A server reads a megabyte of names: 25,000. Some are there already, of another run."""
    monkeypatch.setattr(recordings, "_NAMES_TOGETHER", 3)
    blobs = {tapes.blob_name(f'"{number}"'): f'"{number}"' for number in range(11)}
    some = dict(list(blobs.items())[4:9])
    for run_id, known in (("one", some), ("two", blobs), ("none", {})):
        recording = recordings.StoredRecording(run_id, "a", "e", "ok", 1, b"tape", known)
        assert recordings.save(client, recording)
        assert not recordings.save(client, recording)
        assert dict(recordings.load(client, run_id).blobs) == known
    assert client.query("SELECT count() FROM blob_rows").result_rows == [(11,)]


def test_many_long_payloads_are_stored_and_read_in_parts(up):
    """More than go together at once: each is there, and is its own."""
    texts = [json.dumps(f"{number} " * (1 << 20)) for number in range(7)]
    blobs = {tapes.blob_name(text): text for text in texts}
    other = "d" * 32
    record = {"t": "run", "run_id": other, "v": [{"$": "blob", "h": name} for name in blobs]}
    line, _ = tapes.frame(json.dumps(record), 0)
    sent = tapes.zipped(line, blobs)
    assert ask(up, "PUT", other, sent)[0] == 200
    assert ask(up, "GET", other) == (200, sent)


def test_checking_holds_one_payload_at_a_time():
    """A small body may unpack to hundreds of times its size."""
    blobs = {
        tapes.blob_name(text): text for text in (json.dumps(f"{n}" * (4 << 20)) for n in "abcdefgh")
    }
    line, _ = tapes.frame(json.dumps({"t": "run", "run_id": RUN}), 0)
    body = tapes.zipped(line, blobs)
    tracemalloc.start()
    try:
        recording, size_bytes = store.checked(body)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size_bytes > 8 * (4 << 20)
    assert peak_bytes < size_bytes * 3 / 4
    assert dict(recording.blobs) == blobs


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


SEVERAL = "application/vnd.tachograph.recordings"


def post(up, body, key="k", content_type=SEVERAL, **headers):
    connection = http.client.HTTPConnection(up.url.removeprefix("http://"), timeout=30)
    headers |= {"Authorization": f"Bearer {key}", "Content-Type": content_type}
    connection.request("POST", "/api/v1/recordings", body, headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, data


def journal(run_id):
    """What a run leaves behind: the lines of its blobs are among the others."""
    content = json.dumps("long " * 20).encode()
    name = tapes.blob_name(content.decode())
    crc, lines = 0, []
    for text in (
        json.dumps({"t": "run", "format": 1, "mode": "exact", "run_id": run_id, "agent": "desk"}),
        tapes.blob_line(name, content),
        json.dumps({"t": "call", "i": 0, "p": "", "n": "tool", "a": {"$": "blob", "h": name}}),
    ):
        line, crc = tapes.frame(text, crc)
        lines.append(line)
    return b"".join(lines)


def lines(*texts):
    """A journal of these lines, whatever they say."""
    crc, framed = 0, []
    for text in texts:
        line, crc = tapes.frame(text, crc)
        framed.append(line)
    return b"".join(framed)


FIRST = '{"t":"run","format":1,"run_id":"never"}'


def corrupt_lzma():
    """A zip whose member claims a compression that its bytes are not in."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("tape.jsonl", lines(FIRST))
    data = out.getvalue()
    at = data.index(b"tape.jsonl") + 24
    return data[:at] + bytes(8) + data[at + 8 :]


@pytest.mark.parametrize("coding", [{}, {"Content-Encoding": "zstd"}, {"Content-Encoding": "gzip"}])
def test_several_are_stored_at_once(up, coding):
    kind = "".join(coding.values()) or "plain"
    sent = {f"{kind}-1": journal(f"{kind}-1"), f"{kind}-2": package(f"{kind}-2")}
    undo = {"zstd": zstd.compress, "gzip": gzip.compress, "plain": bytes}
    body = undo[kind](tapes.joined(sent.values()))
    assert json.loads(post(up, body, **coding)[1]) == {"added": 2}
    assert json.loads(post(up, body, **coding)[1]) == {"added": 0}, "the same again"
    for run_id, one in sent.items():
        assert tapes.unpack(ask(up, "GET", run_id)[1]) == tapes.unpack(one)


def send_spans(up, key="k", **headers):
    connection = http.client.HTTPConnection(up.url.removeprefix("http://"), timeout=30)
    headers |= {"Authorization": f"Bearer {key}", "Content-Type": "application/x-protobuf"}
    span = {"traceId": "ab" * 16, "spanId": "cd" * 8, "name": secrets.token_hex(3_000)}
    spans = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    body = json_format.ParseDict(spans, ExportTraceServiceRequest()).SerializeToString()
    coded = zstd.compress(body) if "Content-Encoding" in headers else body
    connection.request("POST", "/v1/traces", coded, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 200
    return answer.getheader("Tacho-Kept"), body, span["name"]


def behind(prefix, body):
    """``body`` as zstd with ``prefix`` for its raw dictionary."""
    options = {zstd.CompressionParameter.enable_long_distance_matching: 1}
    dictionary = zstd.ZstdDict(prefix, is_raw=True).as_prefix
    return zstd.compress(body, options=options, zstd_dict=dictionary)


@pytest.mark.parametrize("coding", [{}, {"Content-Encoding": "zstd"}])
def test_recordings_are_read_behind_the_spans_that_came_before(up, coding):
    first, second = (secrets.token_hex(16) for _ in range(2))
    found = [send_spans(up, **coding, **{"Tacho-Keep": name}) for name in (first, second)]
    assert [one[0] for one in found] == ["1", "1"]
    text = "".join(one[2] for one in found)
    run_id = secrets.token_hex(16)
    body = tapes.joined([lines(FIRST.replace("never", run_id), json.dumps({"v": text}))])
    sent = behind(b"".join(one[1] for one in found), body)
    assert len(sent) < len(text) / 10
    options = {"Content-Encoding": "zstd", "Tacho-Prefix": f"{first} {second}"}
    assert post(up, sent, **options) == (200, b'{"added":1}')
    assert text.encode() in tapes.opened(ask(up, "GET", run_id)[1])[2]["tape.jsonl"]
    assert post(up, sent, **options | {"Tacho-Prefix": secrets.token_hex(16)})[0] == 412
    assert post(up, sent, **options | {"Tacho-Prefix": second})[0] == 400, "behind something else"
    assert post(up, gzip.compress(body), **options | {"Content-Encoding": "gzip"})[0] == 400
    assert post(up, body, **{"Tacho-Prefix": first})[0] == 400


@pytest.mark.parametrize("name", ["short", "x" * 32, "0" * 33])
def test_spans_are_kept_by_sound_names_alone(up, name):
    assert send_spans(up, **{"Tacho-Keep": name})[0] is None


def test_bodies_are_kept_for_their_project_and_in_bounds():
    names = [f"{number:032x}" for number in range(4)]
    kept = KeptBodies(limit_bytes=300 + 2 * 512)
    assert kept.keep("a", names[0], b"0" * 150, "identity")
    assert not kept.keep("a", names[0], b"1" * 10, "identity"), "a name means one body"
    assert kept.prefix("a", names[0]) == b"0" * 150
    with pytest.raises(GoneError):
        kept.prefix("b", names[0])
    assert kept.keep("a", names[1], b"1" * 150, "identity")
    assert kept.keep("b", names[2], b"2", "identity")
    assert kept.prefix("a", names[1]) == b"1" * 150
    with pytest.raises(GoneError):
        kept.prefix("a", f"{names[0]} {names[1]}")
    assert not kept.keep("a", names[3], bytes(PREFIX_LIMIT_BYTES + 1), "identity")


def test_bodies_without_content_take_room_as_well():
    """Else whoever sends empty bodies has as many kept as there is memory."""
    kept = KeptBodies(limit_bytes=10_000)
    names = [f"{number:032x}" for number in range(100)]
    assert all(kept.keep("a", name, b"", "identity") for name in names)
    with pytest.raises(GoneError):
        kept.prefix("a", names[0])
    assert kept.prefix("a", names[-1]) == b""


def test_a_prefix_is_of_few_bodies_and_for_one_frame():
    """Each name has a body unpacked, each frame loads the whole prefix."""
    kept, name = KeptBodies(), "0" * 32
    assert kept.keep("a", name, b"text", "identity")
    with pytest.raises(BadBodyError):
        kept.prefix("a", " ".join([name] * 101))
    frame = behind(b"some text", b"more text")
    assert inflated(frame, "zstd", 100, lambda _: None, b"some text") == b"more text"
    for sent, prefix in ((frame * 2, b"some text"), (frame, b"text")):
        with pytest.raises(BadBodyError):
            inflated(sent, "zstd", 100, lambda _: None, prefix)


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_a_kept_body_of_many_members_is_no_prefix(encoding, pack):
    """A hundred of them would be a million members to unpack, for a few bytes of text."""
    kept, names = KeptBodies(), ("0" * 32, "1" * 32)
    assert kept.keep("a", names[0], pack(b"text"), encoding)
    assert kept.keep("a", names[1], pack(b"") * 9_000 + pack(b"text"), encoding)
    assert kept.prefix("a", names[0]) == b"text"
    with pytest.raises(BadBodyError, match="pieces"):
        kept.prefix("a", names[1])


def test_a_prefix_unpacks_to_no_more_than_allowed():
    kept, name = KeptBodies(), "0" * 32
    assert kept.keep("a", name, zstd.compress(bytes(PREFIX_LIMIT_BYTES + 1)), "zstd")
    with pytest.raises(TooLargeError):
        kept.prefix("a", name)


def test_several_that_were_acknowledged_survive_a_kill(up):
    runs = [f"{number:032x}" for number in range(5)]
    assert post(up, tapes.joined(journal(run_id) for run_id in runs))[0] == 200
    up.signal(signal.SIGKILL)
    up.start()
    assert {ask(up, "GET", run_id)[0] for run_id in runs} == {200}


@pytest.mark.parametrize(
    ("status", "body", "options"),
    [
        (401, tapes.joined([journal("never")]), {"key": "wrong"}),
        (415, tapes.joined([journal("never")]), {"content_type": TYPE}),
        (415, b"", {"Content-Encoding": "br"}),
        (400, tapes.joined([journal("never")])[:-1], {}),
        (400, tapes.joined([journal("never"), b"garbage"]), {}),
        (400, tapes.joined([journal("never"), journal("")]), {}),
        (400, tapes.joined([journal("never"), package()[:-40]]), {}),
        (400, tapes.joined([journal("never"), journal("x").replace(b"long", b"lung")]), {}),
        (400, tapes.joined([journal("never")] * (tapes.TOGETHER_LIMIT + 1)), {}),
        (400, tapes.joined([journal("never"), lines(FIRST, "[1]")]), {}),
        (400, tapes.joined([journal("never"), lines(FIRST, "[" * 100_000)]), {}),
        (400, tapes.joined([journal("never"), lines('{"t":"run","run_id":"\\ud800"}')]), {}),
        (400, tapes.joined([journal("never"), corrupt_lzma()]), {}),
        (400, b"no zstd", {"Content-Encoding": "zstd"}),
        (413, zstd.compress(b"0" * ((64 << 20) + 1)), {"Content-Encoding": "zstd"}),
    ],
)
def test_nothing_is_stored_of_several_of_which_one_is_no_recording(up, status, body, options):
    assert post(up, body, **options)[0] == status
    assert ask(up, "GET", "never")[0] == 404


def test_several_may_have_more_than_other_bodies(up):
    """More than the megabyte that the rest of the API takes; what cannot be packed, so that it stays long."""
    long = package("long", secrets.token_hex(2 << 20))
    assert post(up, tapes.joined([long, journal("beside")])) == (200, b'{"added":2}')
    assert tapes.unpack(ask(up, "GET", "long")[1]) == tapes.unpack(long)


@pytest.mark.parametrize(
    ("then", "error"),
    [([], StalledError), ([{"type": "http.disconnect"}], BadBodyError)],
    ids=["waits", "hangs up"],
)
def test_a_body_of_which_no_more_comes_gives_up_its_place(monkeypatch, then, error):
    """Two clients that stop in the middle would else keep everybody out."""
    monkeypatch.setattr(recordings_api, "STALL_S", 0.05)

    async def read():
        said = iter([{"type": "http.request", "body": b"half", "more_body": True}, *then])

        async def receive():
            return next(said, None) or await asyncio.Event().wait()

        await recordings_api._read(Request({"type": "http", "headers": []}, receive))

    with pytest.raises(error):
        asyncio.run(read())


def test_small_files_do_not_unpack_to_more_than_one_may(monkeypatch):
    """Each within the limit, all together beyond it: the engine is not even asked."""
    monkeypatch.setattr(store, "INFLATED_LIMIT_BYTES", 100_000)
    bombs = [package(f"bomb-{number}", "a" * 60_000) for number in range(2)]
    with pytest.raises(BadBodyError, match="unpacks to more"):
        store.RecordingStore(None).save_several(tapes.joined(bombs), "identity", "p")


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


def test_several_unpack_to_no_more_than_one_may(monkeypatch):
    """A small body of packages must not take the memory of a hundred large ones."""
    one = package("run-1", "x" * 10_000)
    monkeypatch.setattr(store, "INFLATED_LIMIT_BYTES", 25_000)
    with pytest.raises(BadBodyError, match="unpacks to more"):
        store.RecordingStore(None).save_several(tapes.joined([one] * 3), "identity", "default")
