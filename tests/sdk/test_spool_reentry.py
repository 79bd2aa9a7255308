"""A record that comes while the same thread keeps another: from a signal's handler, or a finaliser run by the collector
of garbage. The recorder's lock does not hold it off, as it is the same thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tachograph._segment import FINAL
from tachograph._spool import Spool


class Interrupting(bytes):
    """A record during which something else is recorded."""

    meanwhile: Callable[[], None]

    def __len__(self) -> int:
        self.meanwhile()
        return super().__len__()


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
