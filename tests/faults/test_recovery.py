"""What people and programs do to a home behind the collector's back: it goes on, and loads what the log still has."""

from __future__ import annotations

import shutil
import signal

import pytest

from faults.load import compare, health, post, settle
from faults.process import Collector
from otlp import plain_body

SPANS = 5


def send(collector: Collector, *numbers: int) -> None:
    for number in numbers:
        assert post(collector.url, plain_body(number, SPANS))[0] == 200


def shows(collector: Collector, *numbers: int) -> None:
    settle(collector)
    verdict = compare(collector.rows, set(numbers), SPANS)
    assert verdict.is_clean, verdict
    assert verdict.facts["traces stored"] == len(numbers)


@pytest.fixture
def collector(tmp_path):
    with Collector(tmp_path / "home", TACHO_LOG_KEEP_S="900") as made:
        yield made.start()


def test_data_that_was_deleted_is_loaded_again_from_the_log(collector):
    send(collector, 1, 2, 3)
    settle(collector)
    assert collector.stop() == 0
    shutil.rmtree(collector.home / "data")
    collector.start()
    shows(collector, 1, 2, 3)
    send(collector, 4)
    shows(collector, 1, 2, 3, 4)
    assert "What the log still holds is stored again" in collector.errors()
    assert collector.stop() == 0
    said = collector.errors()
    collector.start()
    shows(collector, 1, 2, 3, 4)
    assert "stored again" not in collector.errors().removeprefix(said)


def test_an_older_copy_of_the_data_is_brought_up_to_date_from_the_log(collector):
    send(collector, 1, 2)
    settle(collector)
    assert collector.stop() == 0
    shutil.copytree(collector.home / "data", collector.home / "copy", symlinks=True)
    collector.start()
    send(collector, 3, 4)
    settle(collector)
    assert collector.stop() == 0
    shutil.rmtree(collector.home / "data")
    (collector.home / "copy").rename(collector.home / "data")
    collector.start()
    shows(collector, 1, 2, 3, 4)


def test_a_log_file_removed_while_it_runs_ends_nothing(collector):
    send(collector, 1)
    settle(collector)
    for path in (collector.home / "log").glob("*.segment"):
        path.unlink()
    send(collector, 2, 3)
    shows(collector, 1, 2, 3)
    assert health(collector.url)["status"] == "ok"
    collector.signal(signal.SIGKILL)
    collector.start()
    shows(collector, 1, 2, 3)


@pytest.mark.parametrize("odd", ["empty", "garbage", "directory"])
def test_an_odd_checkpoint_is_made_anew(collector, odd):
    send(collector, 1, 2)
    settle(collector)
    assert collector.stop() == 0
    path = collector.home / "log" / "checkpoint"
    path.unlink()
    if odd == "directory":
        path.mkdir()
    else:
        path.write_bytes(b"" if odd == "empty" else b"garbage" * 9)
    collector.start()
    send(collector, 3)
    shows(collector, 1, 2, 3)
    assert "Traceback" not in collector.errors()
