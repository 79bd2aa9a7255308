"""A record that comes while the same thread keeps another: from a signal's handler, or a finaliser run by the collector
of garbage. The recorder's lock does not hold it off, as it is the same thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tachograph._segment import FINAL
from tachograph._spool import Spool


class Interrupting(bytes):
    """A record during which something else is recorded."""

    meanwhile: Callable[[], None]

    def __len__(self) -> int:
        self.meanwhile()
        return super().__len__()


def test_nothing_is_taken_and_recycled_in_the_midst_of_a_record(tmp_path: Path) -> None:
    """A handler that waits for a flush lets go of the lock: the sender must not move what is written."""
    spool = Spool(tmp_path, {}, max_bytes=8 << 20, memory_records=100, memory_bytes=1 << 20)
    spool.open()
    spool.append(FINAL, b"first" * 200_000)
    _, marks = spool.take(1_000, 8 << 20)
    looks, taken = iter(range(100)), []

    def flush() -> None:
        # At the first look its place has been chosen.
        if next(looks) == 0:
            taken.append(spool.take(1_000, 8 << 20)[0])
            spool.settle(marks)

    outer = Interrupting(b"outer")
    outer.meanwhile = flush
    spool.append(FINAL, outer)
    assert taken == [[]]
    assert [record.content for record in spool.take(1_000, 1 << 20)[0]] == [b"outer"]
    spool.close(keep=False)


def test_handler_may_complain_while_its_thread_complains(run_script: Callable[..., Any]) -> None:
    """A lock that does not know its holder would stop the agent for ever."""
    source = (
        "from tachograph import _guard\n"
        "class Said(dict):\n"
        "    def get(self, key):\n"
        "        if key == 'outer': _guard.say_rarely('handler', 'said by a handler')\n"
        "_guard._last_said_s = Said()\n"
        "_guard.say_rarely('outer', 'said')\n"
    )
    said = run_script(source).stderr.splitlines()
    assert said == ["said by a handler", "said"]


@pytest.mark.parametrize("on_disk", [True, False])
def test_record_that_comes_in_the_midst_of_another_is_kept_behind_it(
    tmp_path: Path, on_disk: bool
) -> None:
    """It was written over before, and the spool waited for it at every flush and at the exit."""
    home = tmp_path if on_disk else None
    spool = Spool(home, {}, max_bytes=8 << 20, memory_records=100, memory_bytes=1 << 20)
    spool.open()
    numbers = iter(range(100))
    outer = Interrupting(b"outer")
    outer.meanwhile = lambda: spool.append(FINAL, b"handler %d" % next(numbers))
    spool.append(FINAL, b"first")
    spool.append(FINAL, outer)
    outer.meanwhile = lambda: None
    spool.append(FINAL, b"last")
    came = next(numbers)
    handlers = [b"handler %d" % number for number in range(came)]
    assert came > 0
    assert spool.waiting == came + 3
    records, marks = spool.take(1_000, 1 << 20)
    assert [record.content for record in records] == [b"first", b"outer", *handlers, b"last"]
    assert spool.waiting == 0
    spool.settle(marks)
    spool.close(keep=False)


def test_a_ctrl_c_while_late_records_are_written_loses_none(tmp_path: Path) -> None:
    """It was counted as waiting and was nowhere, so that every later flush waited for it in vain."""
    spool = Spool(tmp_path, {}, max_bytes=8 << 20, memory_records=100, memory_bytes=1 << 20)
    spool.open()

    def stop() -> None:
        raise KeyboardInterrupt

    late = Interrupting(b"late")
    late.meanwhile = stop
    outer = Interrupting(b"outer")
    outer.meanwhile = lambda: None if spool._late else spool.append(FINAL, late)
    with pytest.raises(KeyboardInterrupt):
        spool.append(FINAL, outer)
    late.meanwhile = lambda: None
    spool.append(FINAL, b"last")
    kept = [record.content for record in spool.take(1_000, 1 << 20)[0]]
    assert sorted(kept) == [b"last", b"late", b"outer"]
    assert spool.waiting == 0
    spool.close(keep=False)
