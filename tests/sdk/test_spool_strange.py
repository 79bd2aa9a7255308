"""What else may lie in the directory of spools: it is left alone, said, and never waited for."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tachograph._export import Delivery
from tachograph._orphans import Recovery, destination_of
from tachograph._redact import Redactor
from tachograph._segment import FINAL, Record, read_left
from tachograph._slots import read_open
from tachograph._spool import Spool
from tachograph._transport import Transport

ABOUT = {
    "version": 1,
    "service": "shop",
    "key_digest": "",
    "patterns": [],
    "paths": [],
    "emails": False,
    "functions": [],
    "resource": "",
    "scope": "",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "spool").mkdir()
    return tmp_path


def spool(folder: Path, url: str, **said: object) -> Path:
    folder.mkdir()
    (folder / "owner").touch()
    (folder / "about.json").write_text(json.dumps(ABOUT | {"url": url} | said))
    return folder


def recover(home: Path, url: str) -> tuple[list[str], list[Delivery]]:
    transport, redactor = Transport(url, {}, "none"), Redactor()
    destination = destination_of(transport, redactor)
    recovery = Recovery(home, transport, redactor, destination, lambda: 5.0)
    deliveries = list(recovery.steps())
    return [why for _, why in recovery.held], deliveries


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "1.ring")


def _directory(folder: Path) -> None:
    (folder / "1.ring").mkdir()


def _link(folder: Path) -> None:
    (folder / "1.ring").symlink_to("/etc/passwd")


@pytest.mark.parametrize("add", [_pipe, _directory, _link])
def test_spool_with_what_is_no_file_is_left(home: Path, add: Callable[[Path], None]) -> None:
    """A pipe would hold up the sender of every program of this home for ever."""
    folder = spool(home / "spool" / "1-a", "http://127.0.0.1:9")
    add(folder)
    assert recover(home, "http://127.0.0.1:9") == (["1.ring in it is no file"], [])
    assert (folder / "owner").exists()


@pytest.mark.parametrize("name", ["1-link", "gone-link"])
def test_link_is_not_followed(home: Path, name: str) -> None:
    """What it leads to may be anything: it is neither sent nor removed."""
    target = spool(home / "elsewhere", "http://127.0.0.1:9")
    (home / "spool" / name).symlink_to(target)
    assert recover(home, "http://127.0.0.1:9") == ([], [])
    assert sorted(path.name for path in target.iterdir()) == ["about.json", "owner"]


@pytest.mark.parametrize(
    "said",
    ["[" * 100_000, "[]", "\ufffe{", json.dumps(ABOUT | {"url": "", "patterns": [["(", 0]]})],
)
def test_spool_that_says_nonsense_of_itself_is_left(home: Path, said: str) -> None:
    """However it is broken, the reason is told and the next spool is looked at."""
    folder = spool(home / "spool" / "1-a", "http://127.0.0.1:9")
    (folder / "about.json").write_text(said)
    spool(home / "spool" / "2-b", "http://127.0.0.1:9")
    held, _ = recover(home, "http://127.0.0.1:9")
    assert len(held) == 1
    assert held[0].startswith("what it says of itself cannot be read")
    assert [path.name for path in (home / "spool").iterdir()] == ["1-a"]


def test_spool_of_another_user_is_left(home: Path) -> None:
    """Its owner's rules and spans are not ours to run and to send."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    folder = spool(home / "spool" / "1-a", "http://127.0.0.1:9")
    os.chown(folder, 12_345, 12_345)
    held, deliveries = recover(home, "http://127.0.0.1:9")
    assert held == ["it belongs to the user with the number 12345, who can recover it"]
    assert deliveries == []
    assert folder.exists()


def test_removed_directory_is_made_anew(tmp_path: Path) -> None:
    """Whoever clears a disk must not cost a program that lives its recorder."""
    spool = Spool(tmp_path, {}, max_bytes=8 << 20, memory_records=100, memory_bytes=1 << 20)
    spool.open()
    assert spool.folder is not None
    assert spool.slots is not None
    before, place = spool.folder, spool.slots.put(0, b"open")
    spool.append(FINAL, b"first")
    spool.mend()
    assert spool.folder == before
    shutil.rmtree(before)
    spool.mend()
    spool.append(FINAL, b"second")
    assert spool.folder != before
    left = [read_left(path) for path in spool.folder.glob("*.ring")]
    kept = [record.content for one in left if one for _, record in one.records()]
    assert kept == [b"second"]
    assert read_open(spool.folder) == [Record(0, b"open")]
    spool.slots.free(place)
    assert read_open(spool.folder) == []
    records, marks = spool.take(100, 1 << 20)
    assert [record.content for record in records] == [b"first", b"second"]
    spool.settle(marks)
    assert spool.close(keep=False) is None
    assert list((tmp_path / "spool").iterdir()) == []
