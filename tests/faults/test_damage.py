"""Whatever happened to a log's files: no sound record is lost, nothing is overwritten, nothing ends the collector."""

from __future__ import annotations

import os
import struct
import threading
import zlib

import pytest

from tachograph_collector.wal import Log, records, segments
from tachograph_collector.wal.damage import Damage
from tachograph_collector.wal.log import Limits
from tachograph_collector.wal.records import Layout, Record
from tachograph_collector.wal.scan import scan

ALL = 1 << 40
SMALL = Limits(segment_bytes=5120, min_free_bytes=0, keep_s=0)
LAYOUT = Layout(writer_id=7, first_sequence=1, salt=0x5EED5EED)


def append(log: Log, *bodies: bytes) -> None:
    for body in bodies:
        done = threading.Event()
        verdicts = []
        log.append("default", body, 1, lambda e, v=verdicts, d=done: (v.append(e), d.set()))
        assert done.wait(60)
        assert verdicts == [None]


def bodies(log: Log) -> list[bytes]:
    return [record.body for record in log.read(log.start(), ALL, ALL)[0]]


def encoded(first: int, last: int) -> tuple[bytes, list[tuple[int, int]]]:
    """A segment with these sequence numbers, padded with zeros, and where each record begins and ends."""
    layout = Layout(LAYOUT.writer_id, first, LAYOUT.salt)
    data, places = records.file_header(layout), []
    for sequence in range(first, last + 1):
        record = Record(sequence, sequence * 10, 1, "default", b"%d" % sequence * 3)
        begin = len(data)
        data += b"".join(records.encode(record, layout.salt))
        places.append((begin, len(data)))
    return data + bytes(64), places


def sequences(directory, damage: Damage) -> list[int]:
    found = []
    for segment in scan(directory, LAYOUT.writer_id, damage).segments:
        fd = os.open(segment.path, os.O_RDONLY)
        start = segment.layout.start_offset
        for what, _ in segments.read(segment, fd, start, segment.end_offset):
            if isinstance(what, Record):
                found.append(what.sequence)
        os.close(fd)
    return found


@pytest.mark.parametrize("which", ["older", "newest"])
def test_a_flipped_bit_anywhere_costs_at_most_the_record_it_is_in(tmp_path, monkeypatch, which):
    """Every byte of a log of two files, one bit each."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)  # thousands of logs are opened
    files = {"older": encoded(1, 4), "newest": encoded(5, 8)}
    paths = {name: tmp_path / f"{name}.segment" for name in files}
    data, places = files[which]
    numbers = range(1, 5) if which == "older" else range(5, 9)
    for name, path in paths.items():
        path.write_bytes(files[name][0])
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 1 << position % 8
        paths[which].write_bytes(flipped)
        damage = Damage(tmp_path)
        found = sequences(tmp_path, damage)

        hit = [n for n, (a, b) in zip(numbers, places, strict=True) if a <= position < b]
        expected = [n for n in range(1, 9) if n not in hit]
        assert found == expected, f"byte {position}"
        has_something_behind = bool(hit) and hit != [8]
        in_header = position in {*range(36), *range(512, 548)}
        assert damage.count == (has_something_behind or in_header), f"byte {position}"
        if has_something_behind:
            begin, end = places[numbers.index(hit[0])]
            (copy,) = damage.kept
            assert copy.read_bytes() == flipped[begin:end]
        if hit:
            assert sequences(tmp_path, Damage(tmp_path)) == expected, "a second start sees the same"
        for path in damage.kept:
            path.unlink()


def test_every_cut_of_the_newest_file_is_a_torn_tail_and_is_removed_quietly(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    data, places = encoded(1, 4)
    path = tmp_path / "newest.segment"
    for size in range(len(data)):
        path.write_bytes(data[:size])
        damage = Damage(tmp_path)
        whole = [n for n, (_, end) in enumerate(places, 1) if end <= size]
        found = sequences(tmp_path, damage)
        assert found == whole, f"cut at {size}"
        in_header = size < 548 and damage.count
        assert damage.count == 0 or in_header
        assert path.exists() == bool(whole), "a file without records is of no use"
        for rest in (tmp_path / "damaged").glob("*"):
            rest.unlink()


def test_a_lost_sector_costs_only_the_records_in_it(tmp_path):
    log = Log(tmp_path, Limits(segment_bytes=1 << 16, min_free_bytes=0))
    append(log, *[b"%04d" % n * 50 for n in range(100)])
    log.close()
    (path,) = tmp_path.glob("*.segment")
    data = bytearray(path.read_bytes())
    for sector in (0, 8, 9, 20):
        data[sector * 512 : sector * 512 + 512] = os.urandom(512)
    path.write_bytes(data)
    reopened = Log(tmp_path, SMALL)
    # 247 bytes a record: sectors 8 and 9 touch at most six of them, sector 20 at most four.
    assert len(bodies(reopened)) >= 90
    assert reopened.damages >= 3
    append(reopened, b"on it goes")
    assert bodies(reopened)[-1] == b"on it goes"
    reopened.close()


def test_a_body_cannot_pass_for_records_of_somebody_else(tmp_path):
    """A customer sends the bytes of sound records of another customer, and then the disk damages its record."""
    forged = b"".join(
        b"".join(records.encode(Record(n, n, 1, "victim", b"forged"), salt))
        for n in range(2, 6)
        for salt in (0, 1, LAYOUT.salt)
    )
    log = Log(tmp_path, SMALL)
    append(log, forged, b"honest")
    log.close()
    (path,) = tmp_path.glob("*.segment")
    data = bytearray(path.read_bytes())
    data[records.FILE_HEADER_BYTES + 10] ^= 1  # in the header of the record, so that it is searched
    path.write_bytes(data)
    reopened = Log(tmp_path, SMALL)
    (found,) = reopened.read(reopened.start(), ALL, ALL)[0]
    assert (found.project, found.body) == ("default", b"honest")
    reopened.close()


@pytest.mark.parametrize("left", ["nothing", "zeros", "header", "torn record"])
def test_what_a_kill_leaves_of_a_new_file_is_removed_and_never_taken_for_the_active_one(
    tmp_path, left
):
    log = Log(tmp_path, SMALL)
    append(log, b"a")
    log.close()
    header = records.file_header(Layout(log.writer_id, 2, 1))
    record = b"".join(records.encode(Record(2, 1, 1, "default", b"torn"), 1))
    leftover = tmp_path / f"{2:020d}.segment"
    content = {
        "nothing": b"",
        "zeros": bytes(5120),
        "header": header + bytes(4096),
        "torn record": header + record[:-1] + bytes(4096),
    }
    leftover.write_bytes(content[left])

    reopened = Log(tmp_path, SMALL)
    assert not leftover.exists()
    append(reopened, b"b")
    reopened.confirm(1)
    assert bodies(reopened) == [b"b"]
    reopened.confirm(2)
    append(reopened, b"c")
    reopened.close()

    last = Log(tmp_path, SMALL)
    assert bodies(last) == [b"c"]
    assert last.damages == 0
    last.close()


def test_a_file_that_has_the_next_name_is_left_alone(tmp_path):
    log = Log(tmp_path, SMALL)
    foreign = tmp_path / f"{1:020d}.segment"
    foreign.write_bytes(b"put here while the log is open")
    append(log, b"a")
    assert bodies(log) == [b"a"]
    assert foreign.read_bytes() == b"put here while the log is open"
    log.close()


def test_a_file_removed_while_the_log_is_open_costs_only_what_was_in_it(tmp_path, caplog):
    log = Log(tmp_path, SMALL)
    for n in range(8):
        append(log, bytes([n]) * 1500)
    first = min(tmp_path.glob("*.segment"))
    first.unlink()
    assert [body[0] for body in bodies(log)] == list(range(2, 8))
    assert [body[0] for body in bodies(log)] == list(range(2, 8))
    assert log.damages == 1
    assert caplog.text.count("is gone, removed by somebody else") == 1
    position = log.read(log.start(), ALL, ALL)[1]
    assert position.sequence == log.committed, "nobody waits for what is gone"
    log.confirm(log.committed)
    append(log, b"next")
    assert bodies(log) == [b"next"]
    log.close()


@pytest.mark.parametrize("then", ["read", "append", "close", "nothing"])
def test_the_active_file_is_made_again_when_it_is_removed(tmp_path, then):
    log = Log(tmp_path, SMALL)
    append(log, b"a", b"b")
    (path,) = tmp_path.glob("*.segment")
    path.unlink()
    expected = [b"a", b"b"]
    if then == "read":
        assert bodies(log) == expected
    if then == "append":
        append(log, b"c")
        expected.append(b"c")
        assert path.exists()
        assert bodies(log) == expected
    log.close()
    reopened = Log(tmp_path, SMALL)
    assert bodies(reopened) == expected
    reopened.close()


def test_a_removed_log_directory_is_made_again(tmp_path):
    home = tmp_path / "log"
    log = Log(home, SMALL)
    append(log, b"a" * 4000)
    for path in home.iterdir():
        path.unlink()
    home.rmdir()
    append(log, b"b" * 4000, b"c")
    log.close()
    reopened = Log(home, SMALL)
    assert bodies(reopened) == [b"a" * 4000, b"b" * 4000, b"c"]
    reopened.close()


def test_a_file_cut_short_under_the_reader_kills_nothing(tmp_path):
    log = Log(tmp_path, SMALL)
    for n in range(6):
        append(log, bytes([n]) * 1500)
    first = min(tmp_path.glob("*.segment"))
    os.truncate(first, records.FILE_HEADER_BYTES + 1600)
    assert [body[0] for body in bodies(log)] == [0, 2, 3, 4, 5]
    assert log.damages == 1
    log.close()


@pytest.mark.parametrize("odd", ["directory", "symlink", "fifo"])
@pytest.mark.parametrize("name", ["00000000000000000001.segment", "checkpoint", "checkpoint.new"])
def test_things_that_are_no_files_are_moved_aside(tmp_path, name, odd):
    thing = tmp_path / name
    if odd == "directory":
        thing.mkdir()
    elif odd == "symlink":
        (tmp_path / "secret").write_bytes(b"not ours")
        thing.symlink_to(tmp_path / "secret")
    else:
        os.mkfifo(thing)
    log = Log(tmp_path, SMALL)
    append(log, b"a")
    assert bodies(log) == [b"a"]
    log.confirm(log.committed)
    log.close()
    assert [path.name.startswith(name) for path in (tmp_path / "damaged").iterdir()] == [True]


@pytest.mark.parametrize("odd", ["empty", "garbage", "cut", "future", "other writer", "missing"])
def test_whatever_the_checkpoint_is_the_log_opens_and_hides_nothing(tmp_path, odd):
    log = Log(tmp_path, SMALL)
    append(log, b"a", b"b")
    log.close()
    path = tmp_path / "checkpoint"
    body = struct.pack("<8sQQ", b"TACHOCKP", log.writer_id + 1, 2)
    content = {
        "empty": b"",
        "garbage": os.urandom(28),
        "cut": path.read_bytes()[:-1],
        "future": b"TACHOCK9" + bytes(40),
        "other writer": body + struct.pack("<I", zlib.crc32(body)),
        "missing": None,
    }[odd]
    path.unlink() if content is None else path.write_bytes(content)

    reopened = Log(tmp_path, SMALL)
    assert reopened.writer_id == log.writer_id
    assert bodies(reopened) == [b"a", b"b"]
    reopened.confirm(2)
    reopened.close()
    last = Log(tmp_path, SMALL)
    assert bodies(last) == []
    last.close()


def test_rewinding_brings_back_all_that_is_kept(tmp_path):
    log = Log(tmp_path, Limits(segment_bytes=5120, min_free_bytes=0, keep_s=900))
    append(log, *[bytes([n]) * 1500 for n in range(5)])
    log.confirm(log.committed)
    log.close()
    reopened = Log(tmp_path, SMALL)
    assert bodies(reopened) == []
    assert reopened.kept_after == 0
    reopened.rewind()
    assert [body[0] for body in bodies(reopened)] == list(range(5))
    assert reopened.unstored_bytes > 0
    append(reopened, b"new")
    assert bodies(reopened)[-1] == b"new"
    reopened.close()


def test_a_log_of_the_first_format_is_read(tmp_path):
    head = struct.pack("<8sIQQ", b"TACHOLOG", 1, 7, 1)
    data = head + struct.pack("<I", zlib.crc32(head))
    for n in (1, 2, 3):
        rest = struct.pack("<QQIHI", n, n, 1, 7, 3) + b"default" + b"%03d" % n
        data += struct.pack("<HI", 0x7AC0, zlib.crc32(rest)) + rest
    (tmp_path / f"{1:020d}.segment").write_bytes(data + bytes(4096))
    log = Log(tmp_path, SMALL)
    append(log, b"new")
    assert bodies(log) == [b"001", b"002", b"003", b"new"]
    assert log.writer_id == 7
    log.close()


def test_records_keep_their_kind(tmp_path):
    log = Log(tmp_path, SMALL)
    done = threading.Event()
    log.append("default", b"a metric", 3, lambda error: done.set(), 2)
    assert done.wait(60)
    append(log, b"spans")
    log.close()
    reopened = Log(tmp_path, SMALL)
    assert [(r.kind, r.spans) for r in reopened.read(reopened.start(), ALL, ALL)[0]] == [
        (2, 3),
        (0, 1),
    ]
    reopened.close()
