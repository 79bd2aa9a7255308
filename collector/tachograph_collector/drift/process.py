"""The process that feeds: ``python -m tachograph_collector.drift.process``, started and watched by the collector.

History is read and compared here, so that the intake's interpreter never waits for it. What to read and where to write
comes as one line of JSON on standard input, because a command line is for everybody to see; the collector holds that pipe
open for as long as it lives, and when it closes, whatever has become of the collector, this process ends. It may do so at
any moment: everything it keeps is written in one transaction a page.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass

from tachograph_collector.control.database import Database
from tachograph_collector.drift.feeder import Feeder
from tachograph_collector.drift.keeping import DriftTables
from tachograph_collector.errors import StartError

PROGRESS, FAULT = b"+", b"-"
"""What is written to standard output after each page, which was fed or not."""
_NICE = 10
"""Whoever waits for an answer goes before."""


@dataclass(frozen=True, slots=True)
class Work:
    """What the process is to do."""

    dsn: str
    """Where runs are read."""
    control_db: str
    budget_runs: int
    settle_s: float
    most_bytes: int
    """Of memory; with more it ends and is started again."""

    def line(self) -> bytes:
        """What is written to its standard input."""
        return json.dumps(asdict(self)).encode() + b"\n"


def main() -> None:
    """Feed until standard input ends."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # What they say of a store that is away, we say ourselves.
    for name in ("urllib3", "clickhouse_connect"):
        logging.getLogger(name).setLevel(logging.ERROR)
    work = Work(**json.loads(sys.stdin.buffer.readline()))
    # Ctrl-C is meant for the collector, which closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_collector, name="parent", daemon=True).start()
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_DATA, (work.most_bytes, work.most_bytes))
    try:
        feeder = Feeder(DriftTables(Database(work.control_db)), work.budget_runs)
    except StartError as error:
        sys.exit(f"Drift is not looked for, and is tried again: {error}")
    while True:
        feeder.look(work.dsn, work.settle_s, _beat)
        time.sleep(work.settle_s)


def _beat(is_progress: bool) -> None:
    """Tell the collector that this process lives, and whether it gets anywhere."""
    os.write(sys.stdout.fileno(), PROGRESS if is_progress else FAULT)


def _end_with_the_collector() -> None:
    # Not through the buffer: the interpreter wants its lock when this process ends by itself.
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
