"""The announcement of a running collector."""

import os
import stat
import subprocess
import sys

import pytest

from tachograph_schemas import instance
from tachograph_schemas.instance import Instance, read_instance, remove_instance, write_instance

HERE = Instance(
    os.getpid(),
    "http://127.0.0.1:4318",
    None,
    "http://u:t@127.0.0.1:8123/default",
    None,
    "2026-11-20T09:00:00+00:00",
)


def test_what_is_written_is_read(tmp_path):
    write_instance(tmp_path, HERE)
    assert read_instance(tmp_path) == HERE


def test_the_file_is_for_its_owner_alone_and_nothing_else_is_left(tmp_path):
    before = os.umask(0)
    try:
        write_instance(tmp_path, HERE)
        write_instance(tmp_path, HERE)
    finally:
        os.umask(before)
    assert [path.name for path in tmp_path.iterdir()] == ["instance.json"]
    assert stat.S_IMODE(instance.path(tmp_path).stat().st_mode) == 0o600


def test_an_instance_whose_process_is_gone_counts_as_none(tmp_path):
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    write_instance(tmp_path, Instance(done.pid, "http://x", None, "", None, ""))
    assert read_instance(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"pid": "x"}',
        '{"pid": -1, "collector": "", "grpc": null, "gateway": "", "dashboard": null, "started_at": ""}',
    ],
)
def test_a_file_that_cannot_be_understood_counts_as_none(tmp_path, text):
    instance.path(tmp_path).write_text(text)
    assert read_instance(tmp_path) is None


def test_no_file_and_no_home_count_as_none(tmp_path):
    assert read_instance(tmp_path) is None
    assert read_instance(tmp_path / "nowhere") is None


def test_a_home_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        write_instance(tmp_path / "nowhere", HERE)


def test_removing_leaves_the_announcement_of_another_process(tmp_path):
    write_instance(tmp_path, HERE)
    remove_instance(tmp_path, pid=HERE.pid + 1)
    assert read_instance(tmp_path) == HERE
    remove_instance(tmp_path, pid=HERE.pid)
    assert read_instance(tmp_path) is None
    remove_instance(tmp_path)
