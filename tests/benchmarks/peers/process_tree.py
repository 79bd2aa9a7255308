"""A server with all its workers, as the kernel accounts for them."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def _stat(process: Path) -> list[str]:
    """Fields of /proc/PID/stat from the state on; empty when the process is gone."""
    try:
        return (process / "stat").read_text(encoding="latin1").rpartition(")")[2].split()
    except OSError:
        return []


def members(root: int) -> list[int]:
    """``root`` and all that descend from it or share the session that it leads."""
    parents: dict[int, int] = {}
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        if fields := _stat(process):
            number = int(process.name)
            parents[number] = int(fields[1])
            if number == root or int(fields[3]) == root:
                found.add(number)
    grown = True
    while grown:
        more = {child for child, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return sorted(found)


def cpu_s(root: int) -> float:
    """User and system seconds of the tree, those of its ended and awaited children included."""
    ticks = 0
    for number in members(root):
        ticks += sum(map(int, _stat(Path(f"/proc/{number}"))[11:15]))
    return ticks / TICKS_A_SECOND


def pss_mb(root: int) -> float:
    """Proportional memory of the tree in MB of 10^6 bytes: pages shared by workers count once."""
    total_kb = 0
    for number in members(root):
        try:
            text = Path(f"/proc/{number}/smaps_rollup").read_text(encoding="ascii")
        except OSError:
            continue
        total_kb += next((int(t.split()[1]) for t in text.splitlines() if t.startswith("Pss:")), 0)
    return total_kb * 1024 / 1e6


def disk_bytes(directory: Path) -> int:
    """Blocks that the files hold; a preallocated or sparse file counts what it takes."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(Path(folder) / name).st_blocks * 512
            except FileNotFoundError:
                continue  # merged away meanwhile
    return total


class PeakMemory:
    """Asks for the tree's memory every second while the ``with`` block runs; ``mb`` is the most seen."""

    def __init__(self, root: int) -> None:
        self.mb = 0.0
        self._root = root
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._end.wait(1):
            self.mb = max(self.mb, pss_mb(self._root))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()
        self.mb = max(self.mb, pss_mb(self._root))
