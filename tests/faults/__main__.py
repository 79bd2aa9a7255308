"""``python -m tests.faults NAME``: one durability harness in its long form."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "e2e")]

from faults import diskfull, engine, inject, kill, powercut  # noqa: E402
from faults.load import Verdict  # noqa: E402


def _inject(directory: Path, rounds: int) -> Verdict:
    return inject.run(directory / "home", inject.every(rounds))


def _kill(directory: Path, rounds: int) -> Verdict:
    return kill.run(directory / "home", rounds)


def _always() -> str:
    return ""


HARNESSES: dict[str, tuple[Callable[[Path, int], Verdict], int, str, Callable[[], str]]] = {
    "kill": (_kill, kill.ROUNDS, "SIGKILL at random moments under load", _always),
    "inject": (_inject, len(inject.every(1000)), "SIGKILL at system calls", inject.why_not),
    "powercut": (powercut.run, powercut.ROUNDS, "power cuts on a loop device", powercut.why_not),
    "diskfull": (diskfull.run, diskfull.ROUNDS, "a full disk that is freed", diskfull.why_not),
    "engine": (engine.run, engine.ROUNDS, "a ClickHouse server that comes and goes", _always),
}


def main() -> int:
    """Run one; 0 when nothing was lost, doubled or wrong, 1 otherwise, 2 when it cannot run here."""
    lines = [f"  {name:10}{what} ({rounds})" for name, (_, rounds, what, _) in HARNESSES.items()]
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description="Make the collector fail, and count what it lost. Harnesses, with their default rounds:\n"
        + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=HARNESSES)
    parser.add_argument("--rounds", type=int, help="how many faults to make")
    parser.add_argument("--directory", type=Path, help="where to work (default: a temporary one)")
    given = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)
    harness, rounds, _, why_not = HARNESSES[given.name]
    if reason := why_not():
        print(f"cannot run here: {reason}", file=sys.stderr)
        return 2
    started = time.monotonic()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="tacho-faults-", dir=given.directory) as name:
        verdict = harness(Path(name), given.rounds or rounds)
    print(verdict)
    took_s = time.monotonic() - started
    print(
        f"took {took_s:.0f} s, machine load {load:.1f} before and {os.getloadavg()[0]:.1f} after "
        f"on {os.cpu_count()} cores"
    )
    return 0 if verdict.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
