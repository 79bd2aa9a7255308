"""The spans in a recording's file: no secret leaves with them, and none comes in that may be of another run."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest

from tachograph.cli.import_ import _begun
from tachograph.cli.problem import Problem
from tachograph.cli.recordings import package_of
from tachograph.cli.spans_file import _mask, _resource_spans, requests_in
from tachograph_schemas import names, tapes
from tachograph_schemas.control_client import ControlClient
from tachograph_schemas.rows import SpanRow

MINE = {"key": names.RUN_ID, "value": {"stringValue": "mine"}}

SECRET = "sk-ant-api03-" + "a" * 90


def test_every_text_is_masked():
    """Other SDKs send spans here that nobody has masked."""
    empty = dict.fromkeys((field.name for field in dataclasses.fields(SpanRow)), "")
    told = {"note": f"key {SECRET}"}
    row = SpanRow(
        **empty
        | {
            "name": f"GET /?{SECRET}",
            "kind": "client",
            "status": "error",
            "status_message": SECRET,
            "attributes": told,
            "resource": told,
            "start_ns": 1,
            "duration_ns": 1,
            "dropped_attributes": 0,
            "events": [(1, SECRET, told)],
            "links": [("t", "s", told)],
        }
    )
    text = json.dumps(_resource_spans(row, _mask()))
    assert SECRET not in text
    assert text.count("[redacted:anthropic_key:") == 7


def line(*attributes):
    span = {"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "attributes": list(attributes)}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


def test_spans_of_its_run_are_taken():
    assert [count for _, count in requests_in(line(MINE) + b"\n" + line(MINE), "mine")] == [1, 1]


@pytest.mark.parametrize(
    "attributes",
    [
        [],
        [MINE, MINE],
        [MINE, {"key": names.RUN_ID, "value": {"stringValue": "theirs"}}],
        # The collector reads the first of several.
        [{"key": names.RUN_ID, "value": {"bytesValue": "dGhlaXJz", "stringValue": "mine"}}],
        [{"key": names.RUN_ID, "value": {"intValue": 7, "stringValue": "mine"}}],
    ],
)
def test_a_span_that_may_be_of_another_run_is_refused(attributes):
    with pytest.raises(Problem, match="another run"):
        list(requests_in(line(*attributes), "mine"))


@pytest.mark.parametrize(
    "member",
    [b"[1]", b"null", b"\xff", b"[" * 100_000, b"9" * 5_000, line("text"), line({"key": 1})[:-1]],
    ids=["list", "null", "bytes", "deep", "digits", "text", "cut"],
)
def test_damaged_spans_are_said_to_be(member):
    with pytest.raises(Problem, match="damaged"):
        list(requests_in(member, "mine"))


def test_spans_do_not_count_among_the_values_of_a_recording(monkeypatch):
    """A long run has more commas in its spans than a recording may hold; a line of them may not."""
    crc, record = 0, {"t": "run", "run_id": "mine", "args": {}}
    tape, _ = tapes.frame(json.dumps(record), crc)
    monkeypatch.setattr(tapes, "VALUES_LIMIT", 50)
    file = tapes.with_spans(tapes.zipped(tape, {}), (line(MINE) + b"\n") * 20)
    _, member = tapes.without_spans(file)
    assert sum(count for _, count in requests_in(member, "mine")) == 20
    monkeypatch.setattr(tapes, "VALUES_LIMIT", 5)
    with pytest.raises(Problem, match="damaged"):
        list(requests_in(member, "mine"))


def test_what_is_no_file_is_not_read(tmp_path):
    pipe, huge = tmp_path / "pipe.tacho", tmp_path / "huge.tacho"
    os.mkfifo(pipe)
    with huge.open("wb") as file:
        file.truncate(tapes.LIMIT_BYTES + 1)  # sparse: it takes no room
    for path, said in ((pipe, "no file"), (huge, "larger than any recording")):
        with pytest.raises(Problem, match=said):
            package_of(str(path))


def test_an_interrupted_import_is_completed_where_it_was_begun_and_nowhere_else(
    tmp_path, monkeypatch
):
    """The same run may be known at another collector, or in another project, by spans of its own."""
    monkeypatch.setenv("TACHO_HOME", str(tmp_path))
    here, there = (ControlClient("http://127.0.0.1:9", key) for key in ("tk_a", "tk_b"))
    assert _begun(here, b"spans") == _begun(here, b"spans")
    assert len({_begun(to, b"spans") for to in (here, there)} | {_begun(here, b"other")}) == 3
