"""The write-ahead log on a real disk: what was acknowledged is there, whatever happened to the file."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tachograph_collector.wal import Log, LogFullError, checkpoint, records
from tachograph_collector.wal.log import Limits, Position
from tachograph_collector.wal.records import Gap, Layout, Record
from tachograph_collector.wal.scan import LaterLogError

ALL = 1 << 40
SMALL = Limits(segment_bytes=5120, min_free_bytes=0, keep_s=0)


def append(log: Log, *bodies: bytes) -> list[OSError | None]:
    """Append the bodies and wait for every verdict."""
    verdicts: list[OSError | None] = []
    all_done = threading.Event()

    def done(error: OSError | None) -> None:
        verdicts.append(error)
        if len(verdicts) == len(bodies):
            all_done.set()

    for body in bodies:
        log.append("default", body, 1, done)
    assert all_done.wait(60)
    return verdicts


def bodies_behind(log: Log, position: Position | None = None) -> list[bytes]:
    read, _ = log.read(position or log.start(), ALL, ALL)
    return [record.body for record in read]


def save_checkpoint(directory: Path, writer_id: int, sequence: int) -> None:
    checkpoint.save(directory / "checkpoint", writer_id, sequence)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=9000), max_size=30))
def test_everything_appended_is_read_back_in_order(tmp_path_factory, bodies):
    directory = tmp_path_factory.mktemp("log")
    log = Log(directory, SMALL)
    for body in bodies:
        assert append(log, body) == [None]
    assert bodies_behind(log) == bodies
    log.close()

    reopened = Log(directory, SMALL)
    assert bodies_behind(reopened) == bodies
    assert reopened.writer_id == log.writer_id
    reopened.close()


def test_a_reader_goes_on_where_it_stopped(tmp_path):
    log = Log(tmp_path, SMALL)
    append(log, *[bytes([n]) * 1500 for n in range(9)])
    position, seen = log.start(), []
    while True:
        read, position = log.read(position, max_bytes=3000, max_spans=ALL)
        if not read:
            break
        seen += [record.body[0] for record in read]
    append(log, b"later")
    read, _ = log.read(position, ALL, ALL)
    log.close()
    assert seen == list(range(9))
    assert [record.body for record in read] == [b"later"]


@settings(deadline=None, max_examples=60)
@given(cut=st.integers(min_value=0, max_value=400), junk=st.binary(max_size=40))
def test_a_torn_tail_loses_only_the_torn_record(tmp_path_factory, cut, junk):
    directory = tmp_path_factory.mktemp("log")
    log = Log(directory, Limits(segment_bytes=1 << 16, min_free_bytes=0))
    bodies = [bytes([n]) * 50 for n in range(6)]
    for body in bodies:
        append(log, body)
    log.close()
    (path,) = directory.glob("*.segment")
    data = path.read_bytes()
    layout, _ = records.read_file_header(data)
    ends = [end for _, end in records.walk(layout, data, layout.start_offset)]
    keep = max(records.FILE_HEADER_BYTES, ends[-1] - cut)
    path.write_bytes(data[:keep] + junk)

    reopened = Log(directory, SMALL)
    survivors = bodies_behind(reopened)
    assert survivors == bodies[: sum(end <= keep for end in ends)]
    assert append(reopened, b"after the crash") == [None]
    assert bodies_behind(reopened)[-1] == b"after the crash"
    reopened.close()


def test_damage_is_counted_copied_and_said_once_and_all_sound_records_are_read(tmp_path, caplog):
    log = Log(tmp_path, SMALL)
    for n in range(12):
        append(log, bytes([n]) * 1500)
    log.close()
    second = sorted(tmp_path.glob("*.segment"))[1]
    data = bytearray(second.read_bytes())
    offset = records.FILE_HEADER_BYTES
    data[offset + 60] ^= 0xFF
    second.write_bytes(data)

    reopened = Log(tmp_path, SMALL)
    for _ in range(2):
        assert [body[0] for body in bodies_behind(reopened)] == [0, 1, *range(3, 12)]
    assert reopened.damages == 1
    (copy,) = reopened.damaged
    assert copy.parent == tmp_path / "damaged"
    record_bytes = records.encoded_bytes("default", b"x" * 1500)
    assert copy.read_bytes() == data[offset : offset + record_bytes]
    said = [record.getMessage() for record in caplog.records if "is damaged" in record.message]
    assert len(said) == 1
    assert f"{second} is damaged at byte {offset}:" in said[0]
    reopened.close()


def test_a_file_without_a_sound_header_is_moved_aside_and_never_overwritten(tmp_path):
    log = Log(tmp_path, SMALL)
    append(log, b"precious")
    log.close()
    (path,) = tmp_path.glob("*.segment")
    content = bytearray(path.read_bytes())
    content[0] ^= 0xFF
    content[512] ^= 0xFF
    path.write_bytes(content)

    reopened = Log(tmp_path, SMALL)
    append(reopened, b"new")
    (aside,) = reopened.damaged
    assert b"precious" in aside.read_bytes()
    assert bodies_behind(reopened) == [b"new"]
    reopened.close()


def test_confirmed_records_are_not_read_again_and_their_files_go(tmp_path):
    log = Log(tmp_path, SMALL)
    for n in range(10):
        append(log, bytes([n]) * 1500)
    read, _ = log.read(log.start(), ALL, ALL)
    before = len(list(tmp_path.glob("*.segment")))
    log.confirm(read[-1].sequence)
    assert log.unstored_bytes == 0
    assert len(list(tmp_path.glob("*.segment"))) < before
    log.close()

    reopened = Log(tmp_path, SMALL)
    assert bodies_behind(reopened) == []
    append(reopened, b"next")
    (record,) = reopened.read(reopened.start(), ALL, ALL)[0]
    assert record.sequence == read[-1].sequence + 1
    reopened.close()


def test_sequence_numbers_go_on_when_every_file_is_gone(tmp_path):
    log = Log(tmp_path, SMALL)
    append(log, b"a", b"b")
    log.confirm(log.committed)
    log.close()
    for path in tmp_path.glob("*.segment"):
        path.unlink()

    reopened = Log(tmp_path, SMALL)
    append(reopened, b"c")
    assert [record.sequence for record in reopened.read(reopened.start(), ALL, ALL)[0]] == [3]
    reopened.close()


def test_receive_times_strictly_increase(tmp_path):
    log = Log(tmp_path, SMALL)
    append(log, *[b"x"] * 500)
    times = [record.received_ns for record in log.read(log.start(), ALL, ALL)[0]]
    log.close()
    assert times == sorted(set(times))


def test_a_full_log_refuses_and_takes_again_after_confirming(tmp_path):
    log = Log(tmp_path, Limits(segment_bytes=4096, max_unstored_bytes=10_000, min_free_bytes=0))
    append(log, *[b"x" * 1000] * 8)
    with pytest.raises(LogFullError, match="full"):
        append(log, *[b"x" * 1000] * 5)
    log.confirm(log.committed)
    assert append(log, b"x" * 1000) == [None]
    log.close()


def test_a_nearly_full_disk_refuses_before_it_is_full(tmp_path):
    log = Log(tmp_path, Limits(segment_bytes=4096, min_free_bytes=1 << 62))
    (verdict,) = append(log, b"x")
    assert isinstance(verdict, LogFullError)
    assert bodies_behind(log) == []
    log.close()


@pytest.mark.parametrize("call", ["pwritev", "fdatasync", "posix_fallocate"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_failing_disk_fails_the_group_and_the_next_one_works(tmp_path, monkeypatch, call, number):
    log = Log(tmp_path, SMALL)
    append(log, b"before")
    log_module_os = os
    real = getattr(os, call)
    broken = threading.Event()

    def failing(*arguments):
        if broken.is_set():
            raise OSError(number, os.strerror(number))
        return real(*arguments)

    monkeypatch.setattr(log_module_os, call, failing)
    broken.set()
    body = b"y" * 5000  # larger than what is left of the segment, so that a new one is made
    (verdict,) = append(log, body)
    broken.clear()
    assert verdict is not None
    assert append(log, b"after") == [None]
    log.close()

    reopened = Log(tmp_path, SMALL)
    stored = bodies_behind(reopened)
    assert stored[0] == b"before"
    assert stored[-1] == b"after"
    reopened.close()


def test_a_torn_checkpoint_means_starting_over_not_losing(tmp_path):
    log = Log(tmp_path, SMALL)
    append(log, b"a", b"b")
    log.confirm(log.committed)
    writer_id = log.writer_id
    log.close()
    path = tmp_path / "checkpoint"
    path.write_bytes(path.read_bytes()[:-1])

    reopened = Log(tmp_path, SMALL)
    assert reopened.writer_id == writer_id
    assert bodies_behind(reopened) == [b"a", b"b"]
    reopened.close()


def test_segments_of_another_log_are_set_aside(tmp_path):
    log = Log(tmp_path, SMALL)
    append(log, b"mine")
    log.close()
    foreign = Layout(4711, 900)
    path = tmp_path / "00900.segment"
    content = records.encode(Record(900, 1, 1, "default", b"theirs"), foreign.salt)
    path.write_bytes(records.file_header(foreign) + b"".join(content))
    save_checkpoint(tmp_path, log.writer_id, 0)

    reopened = Log(tmp_path, SMALL)
    assert not path.exists()
    assert len(reopened.damaged) == 1
    assert bodies_behind(reopened) == [b"mine"]
    reopened.close()


def test_a_log_of_a_later_version_is_not_touched(tmp_path):
    log = Log(tmp_path, SMALL)
    append(log, b"from the future")
    log.close()
    (path,) = tmp_path.glob("*.segment")
    content = bytearray(path.read_bytes())
    for copy in (0, 512):
        content[copy + 8] = records.FILE_VERSION + 1
    path.write_bytes(content)
    with pytest.raises(LaterLogError, match=r"format 3, this version reads up to 2\. Start the"):
        Log(tmp_path, SMALL)
    assert path.read_bytes() == content


@given(
    sequence=st.integers(0, 2**63),
    received_ns=st.integers(0, 2**63),
    spans=st.integers(0, 2**31),
    project=st.text(max_size=20).filter(lambda text: text.isprintable()),
    body=st.binary(max_size=500),
    flip=st.integers(0, 10_000),
    salt=st.integers(0, 2**32 - 1),
    kind=st.integers(0, 255),
)
def test_no_single_damaged_byte_goes_unnoticed(
    sequence, received_ns, spans, project, body, flip, salt, kind
):
    layout = Layout(1, 1, salt)
    record = Record(sequence, received_ns, spans, project, body, kind)
    data = bytearray(b"".join(records.encode(record, salt)))
    assert list(records.walk(layout, bytes(data), 0)) == [(record, len(data))]
    data[flip % len(data)] ^= 0x55
    for found, _ in records.walk(layout, bytes(data), 0):
        assert isinstance(found, Gap)


def test_the_log_directory_is_private(tmp_path):
    log = Log(tmp_path / "log", SMALL)
    append(log, b"secret")
    log.close()
    for path in [tmp_path / "log", *(tmp_path / "log").iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, Path(path).name
