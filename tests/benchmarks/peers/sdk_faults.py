"""SDKs side by side where things go wrong: which share of the calls reaches the sink, and how long an exit takes.

After each fault the sink is back and the same SDK starts once more in the same home, makes one call, lives for ten
seconds and ends in its ordinary way: whatever an SDK keeps for later has its chance.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .report import table
from .sdk import HERE, TITLES, _line, sink
from .venvs import NotInstalledError, clean_environment, default_directory, ensure

CALLS = 5_000
OUTAGE_S = 30.0
SLOW_S = 0.3
LATER_S = 10
PATIENCE_S = 90.0
"""How long an exit may take before it is ended by force."""
FAULTS = {
    "ok": "sink well",
    "slow": f"sink takes {SLOW_S} s to answer",
    "outage": f"sink away for {OUTAGE_S:.0f} s",
    "down": "sink away until after the exit",
    "sigterm": "SIGTERM",
    "sigkill": "SIGKILL",
}


@dataclass(frozen=True)
class Ending:
    """One SDK under one fault."""

    peer: str
    fault: str
    delivered: int
    """Results that are at the sink in the end, of :data:`CALLS`."""
    exit_s: float
    was_ended: bool
    """The exit took longer than :data:`PATIENCE_S`."""
    machine_load: float


def _ask(process: subprocess.Popen[str], line: str) -> dict[str, int]:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return _line(process)


def _child(python: str, home: str, words: list[str]) -> tuple[float, bool]:
    """Seconds from the last call to the end of the process, and whether it had to be ended."""
    variables = clean_environment() | {"HOME": home, "TACHO_HOME": home, "DO_NOT_TRACK": "1"}
    script = str(HERE / "sdk_child" / "ending.py")
    with subprocess.Popen(
        [python, script, *words],
        cwd=home,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        while (line := process.stdout.readline()) and line.strip() != "made":
            pass
        began_s = time.perf_counter()
        try:
            process.wait(PATIENCE_S)
            was_ended = False
        except subprocess.TimeoutExpired:
            process.kill()
            was_ended = True
        return time.perf_counter() - began_s, was_ended


def measure(peer: str, python: str, fault: str) -> Ending:
    """Blocks for seconds, for minutes where an SDK hangs at its exit."""
    machine_load = os.getloadavg()[0]
    with sink() as process, tempfile.TemporaryDirectory(prefix="tacho-peer-") as home:
        url = f"http://127.0.0.1:{_line(process)['port']}"
        if fault == "slow":
            _ask(process, f"slow {SLOW_S}")
        if fault in {"outage", "down"}:
            _ask(process, "down")
        # The calls go on while the sink is away and for as long after it is back.
        pace_s = 2 * OUTAGE_S if fault == "outage" else 0
        back = threading.Timer(OUTAGE_S, _ask, (process, "up"))
        if fault == "outage":
            back.start()
        how = fault if fault.startswith("sig") else "return"
        exit_s, was_ended = _child(python, home, [peer, url, str(CALLS), how, str(pace_s)])
        back.cancel()
        _ask(process, "slow 0")
        _ask(process, "up")
        _child(python, home, [peer, url, "1", "return", str(LATER_S)])
        # The marker of the later start's one call is that of the first.
        return Ending(
            peer, fault, _ask(process, "counts")["results"], exit_s, was_ended, machine_load
        )


def markdown(endings: list[Ending]) -> str:
    """One row an SDK: the share delivered, and the seconds of its exit."""
    found = {(ending.peer, ending.fault): ending for ending in endings}
    rows = []
    for peer in dict.fromkeys(ending.peer for ending in endings):
        row = [TITLES[peer][0]]
        for fault in FAULTS:
            ending = found.get((peer, fault))
            if ending is None:
                row.append("-")
                continue
            took = f"> {PATIENCE_S:.0f}" if ending.was_ended else f"{ending.exit_s:.1f}"
            exit_said = "" if fault.startswith("sig") else f" ({took} s)"
            row.append(f"{ending.delivered / CALLS:.1%}{exit_said}")
        rows.append(row)
    return table(["SDK", *FAULTS.values()], rows)


def main(words: list[str]) -> None:
    """Measure and print a table; exits with 2 for arguments that cannot be used."""
    names = [peer for peer in TITLES if peer not in {"plain", "ours-spans"}]
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks peers-faults", description=__doc__
    )
    parser.add_argument("--peers", default=",".join(names), help="names with commas between")
    parser.add_argument("--faults", default=",".join(FAULTS), help="names with commas between")
    parser.add_argument("--venvs", type=Path, default=default_directory())
    parser.add_argument("--out", type=Path, help="file for every single result, as JSON")
    chosen = parser.parse_args(words)
    for given, known in ((chosen.peers, names), (chosen.faults, FAULTS)):
        if unknown := set(given.split(",")) - set(known):
            parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    endings = []
    for peer in chosen.peers.split(","):
        try:
            python = sys.executable if peer == "ours" else str(ensure(chosen.venvs, peer).python)
        except NotInstalledError as error:
            print(f"Not measured: {TITLES[peer][0]} could not be installed: {error}")
            continue
        for fault in chosen.faults.split(","):
            endings.append(measure(peer, python, fault))
            print(json.dumps(asdict(endings[-1])), file=sys.stderr, flush=True)
    if chosen.out:
        found = [asdict(ending) for ending in endings]
        chosen.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(markdown(endings))


if __name__ == "__main__":
    main(sys.argv[1:])
